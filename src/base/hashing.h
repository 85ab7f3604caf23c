#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nvllm {

using Sha256 = std::array<std::byte, 32>;

/// SHA-256 of the bytes.
Sha256 sha256(std::span<const std::byte> bytes);
/// SHA-256 of the bytes, as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

/// Lets sha256_hex() be called until the very end of the process, also after what is registered with std::atexit() has run.
/// Of use only before the process's first hash.
void hash_until_the_end();

/// Counter-based random bits: the value depends on (seed, counter) alone, never on who asked before.
///   Source: SplitMix64's finaliser (Steele, Lea, Flood 2014) over the mixed pair.
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter) {
  std::uint64_t z = seed * 0xd1342543de82ef95ull + (counter + 1) * 0x9e3779b97f4a7c15ull;
  for (int round = 0; round < 2; ++round) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
  }
  return z;
}

/// A uniform double in [0, 1) with 53 random bits, from the same counter.
constexpr double random_uniform(std::uint64_t seed, std::uint64_t counter) {
  return static_cast<double>(random_bits(seed, counter) >> 11) * 0x1.0p-53;
}

}  // namespace nvllm
