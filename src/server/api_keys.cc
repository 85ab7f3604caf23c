#include "server/api_keys.h"

#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"

namespace nvllm::server {
namespace {

constexpr std::int64_t kKeyFileBytesMax = 64 * 1024;

/// Looks at every byte whatever it finds.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

/// Of the key that a request carries as "Authorization: Bearer KEY".
std::optional<std::string> digest_of_key(const net::HttpRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string* header = request.header("Authorization");
  if (header == nullptr || header->size() < kScheme.size() ||
      !net::equal_ignoring_case(std::string_view(*header).substr(0, kScheme.size()), kScheme)) {
    return std::nullopt;
  }
  return sha256_hex(std::string_view(*header).substr(kScheme.size()));
}

}  // namespace

ApiKeys ApiKeys::load(const std::filesystem::path& path) {
  const std::string content = read_file(path, kKeyFileBytesMax);
  ApiKeys keys;
  std::string_view rest = content;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    if (!line.empty() && line.front() != '#') keys.add(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (!keys.required()) {
    throw Error(ErrorKind::kBadFile,
                path.string() + " holds no API key; one key per line is wanted");
  }
  return keys;
}

void ApiKeys::add(std::string_view key) { digests_.push_back(sha256_hex(key)); }

bool ApiKeys::allow(const net::HttpRequest& request) const {
  if (!required()) return true;
  const std::optional<std::string> digest = digest_of_key(request);
  if (!digest) return false;
  bool known = false;
  for (const std::string& candidate : digests_) {
    known = equal_in_constant_time(candidate, *digest) || known;
  }
  return known;
}

std::string cache_salt_of(const net::HttpRequest& request, std::string_view clients_salt) {
  // The digest has one length, so that nothing of the one can be taken for the other.
  static const std::string without_key = sha256_hex("");
  return digest_of_key(request).value_or(without_key) + std::string(clients_salt);
}

}  // namespace nvllm::server
