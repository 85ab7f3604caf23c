#include "base/hashing.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace nvllm {

Sha256 sha256(std::span<const std::byte> bytes) {
  Sha256 digest{};
  static_assert(digest.size() == SHA256_DIGEST_LENGTH);
  ::SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : sha256(bytes)) {
    text.push_back(kDigits[std::to_integer<unsigned>(byte) >> 4]);
    text.push_back(kDigits[std::to_integer<unsigned>(byte) & 15]);
  }
  return text;
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

void hash_until_the_end() { ::OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

}  // namespace nvllm
