#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/hashing.h"

namespace nvllm::engine {

/// Names of the beginnings of one sequence of tokens: a chain of SHA-256 over its full blocks, begun with a salt, so
/// that equal tokens of different salts have different names.
class PrefixKeys {
 public:
  /// Tests give a hash that collides.
  using Hash = Sha256 (*)(std::span<const std::byte> bytes);
  PrefixKeys(std::string_view salt, std::int64_t tokens_per_block, Hash hash = sha256);

  /// Goes on with the full blocks of `tokens`, which begin with what was given before.
  ///   Cost: one hash of some hundred bytes for each full block not seen before.
  void extend(std::span<const std::int32_t> tokens);
  /// Of the first `blocks` full blocks; 0: of the salt alone.
  const Sha256& of(std::int64_t blocks) const { return keys_[static_cast<std::size_t>(blocks)]; }
  std::int64_t blocks() const { return static_cast<std::int64_t>(keys_.size()) - 1; }

 private:
  std::int64_t tokens_per_block_;
  Hash hash_;
  std::vector<Sha256> keys_;
};

}  // namespace nvllm::engine
