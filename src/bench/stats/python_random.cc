// The generator is the published one; what is CPython's own is how a seed becomes the key, how bits
// are taken from the words, and which of two ways sample() takes.

#include "bench/stats/python_random.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_set>

#include "base/check.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kLag = 397;
constexpr std::uint32_t kUpperBit = 0x80000000u;
constexpr std::uint32_t kLowerBits = 0x7fffffffu;

/// Above this population CPython remembers what it drew; up to it, it shuffles a list of everyone.
std::int64_t pool_population_max(std::int64_t count) {
  std::int64_t size = 21;
  if (count <= 5) return size;
  std::int64_t power = 1;
  while (power < 3 * count) power *= 4;
  return size + power;
}

}  // namespace

PythonRandom::PythonRandom(std::uint64_t seed) {
  const std::array<std::uint32_t, 2> words = {static_cast<std::uint32_t>(seed),
                                              static_cast<std::uint32_t>(seed >> 32)};
  seed_by_array(std::span(words).first(words[1] == 0 ? 1 : 2));
}

PythonRandom::PythonRandom(std::span<const std::uint32_t> words) {
  while (!words.empty() && words.back() == 0) words = words.first(words.size() - 1);
  constexpr std::array<std::uint32_t, 1> kZero = {0};
  seed_by_array(words.empty() ? std::span<const std::uint32_t>(kZero) : words);
}

void PythonRandom::seed_by_array(std::span<const std::uint32_t> key) {
  state_[0] = 19650218u;
  for (std::uint32_t i = 1; i < kWords; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
  std::size_t i = 1;
  const auto advance = [&] {
    if (++i == kWords) {
      state_[0] = state_[kWords - 1];
      i = 1;
    }
  };
  const auto mixed = [&](std::uint32_t factor) {
    return state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * factor);
  };
  for (std::size_t step = 0; step < std::max(kWords, key.size()); ++step) {
    const std::size_t j = step % key.size();
    state_[i] = mixed(1664525u) + key[j] + static_cast<std::uint32_t>(j);
    advance();
  }
  for (std::size_t step = 0; step + 1 < kWords; ++step) {
    state_[i] = mixed(1566083941u) - static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = kUpperBit;
  position_ = kWords;
}

void PythonRandom::refill() {
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t y = (state_[i] & kUpperBit) | (state_[(i + 1) % kWords] & kLowerBits);
    state_[i] = state_[(i + kLag) % kWords] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfu : 0u);
  }
  position_ = 0;
}

std::uint32_t PythonRandom::next() {
  if (position_ == kWords) refill();
  std::uint32_t y = state_[position_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

std::uint64_t PythonRandom::getrandbits(int bits) {
  NVLLM_CHECK(bits >= 0 && bits <= 64);
  if (bits == 0) return 0;
  if (bits <= 32) return next() >> (32 - bits);
  const std::uint64_t low = next();
  const std::uint64_t high = next() >> (64 - bits);
  return high << 32 | low;
}

std::uint64_t PythonRandom::below(std::uint64_t bound) {
  NVLLM_CHECK_LT(0u, bound);
  // CPython takes the width of the bound itself, not of the largest result.
  const auto bits = static_cast<int>(std::bit_width(bound));
  while (true) {
    const std::uint64_t drawn = getrandbits(bits);
    if (drawn < bound) return drawn;
  }
}

std::vector<std::int64_t> PythonRandom::sample(std::int64_t population, std::int64_t count) {
  NVLLM_CHECK_LE(0, count);
  NVLLM_CHECK_LE(count, population);
  std::vector<std::int64_t> drawn;
  if (population <= pool_population_max(count)) {
    std::vector<std::int64_t> pool(static_cast<std::size_t>(population));
    std::iota(pool.begin(), pool.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < count; ++i) {
      const std::size_t j = below(static_cast<std::uint64_t>(population - i));
      drawn.push_back(pool[j]);
      pool[j] = pool[static_cast<std::size_t>(population - i - 1)];
    }
    return drawn;
  }
  std::unordered_set<std::int64_t> taken;
  while (static_cast<std::int64_t>(drawn.size()) < count) {
    const auto index = static_cast<std::int64_t>(below(static_cast<std::uint64_t>(population)));
    if (taken.insert(index).second) drawn.push_back(index);
  }
  return drawn;
}

}  // namespace nvllm::bench
