#include "engine/prefix_keys.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace nvllm::engine {

namespace {

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace

PrefixKeys::PrefixKeys(std::string_view salt, std::int64_t tokens_per_block, Hash hash)
    : tokens_per_block_(tokens_per_block), hash_(hash) {
  // The length stands first: no salt with something appended is another salt with less.
  const std::array<std::uint64_t, 1> length = {salt.size()};
  std::vector<std::byte> bytes;
  append(bytes, std::as_bytes(std::span(length)));
  append(bytes, std::as_bytes(std::span(salt.data(), salt.size())));
  keys_.push_back(hash_(bytes));
}

void PrefixKeys::extend(std::span<const std::int32_t> tokens) {
  const std::int64_t full = static_cast<std::int64_t>(tokens.size()) / tokens_per_block_;
  std::vector<std::byte> bytes;
  for (std::int64_t i = blocks(); i < full; ++i) {
    bytes.clear();
    append(bytes, keys_.back());
    append(bytes, std::as_bytes(tokens.subspan(static_cast<std::size_t>(i * tokens_per_block_), static_cast<std::size_t>(tokens_per_block_))));
    keys_.push_back(hash_(bytes));
  }
}

}  // namespace nvllm::engine
