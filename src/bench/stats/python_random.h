#pragma once

// Python's random.Random, as far as choosing questions needs it. The reference chose its questions
// with it; std::mt19937(42) is another sequence (Python seeds through the array initialiser).

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace nvllm::bench {

/// The Mersenne Twister as CPython seeds and reads it.
///   Source: Matsumoto and Nishimura 1998 and their 2002 initialisers; CPython's random.sample.
class PythonRandom {
 public:
  /// As random.Random(seed) for a seed of up to 64 bits.
  explicit PythonRandom(std::uint64_t seed);

  /// For wider seeds: the magnitude in 32-bit words, least significant first.
  explicit PythonRandom(std::span<const std::uint32_t> words);

  /// As getrandbits(bits), for 0 to 64 bits.
  std::uint64_t getrandbits(int bits);

  /// As randrange(bound): uniform in [0, bound), by rejection.
  ///   Errors: aborts unless bound > 0.
  std::uint64_t below(std::uint64_t bound);

  /// As sample(range(population), count): distinct indices in the order drawn.
  ///   Errors: aborts unless 0 <= count <= population.
  std::vector<std::int64_t> sample(std::int64_t population, std::int64_t count);

 private:
  static constexpr std::size_t kWords = 624;

  void seed_by_array(std::span<const std::uint32_t> key);
  void refill();
  std::uint32_t next();

  std::array<std::uint32_t, kWords> state_{};
  std::size_t position_ = kWords;
};

}  // namespace nvllm::bench
