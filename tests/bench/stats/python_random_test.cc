// Digests and elements were printed by CPython 3.11: sha256 of the sample joined with commas.

#include "bench/stats/python_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/hashing.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;

std::string digest(const std::vector<std::int64_t>& sample) {
  std::string text;
  for (const std::int64_t index : sample) {
    if (!text.empty()) text += ',';
    text += std::to_string(index);
  }
  return sha256_hex(text);
}

std::vector<std::int64_t> slice(const std::vector<std::int64_t>& all, std::ptrdiff_t first,
                                std::ptrdiff_t count) {
  return {all.begin() + first, all.begin() + first + count};
}

TEST(PythonRandom, DrawsTheFiftyQuestionsOfTheReference) {
  const std::vector<std::int64_t> sample = PythonRandom(42).sample(1319, 50);
  ASSERT_EQ(sample.size(), 50u);
  EXPECT_THAT(slice(sample, 0, 12),
              ElementsAre(1309, 228, 51, 563, 501, 457, 285, 209, 1116, 178, 1209, 864));
  EXPECT_EQ(digest(sample), "defc1ee79bc28640230209a93b3e01a23e3248edfb4d81021f7f51e0127c0fbb");
}

TEST(PythonRandom, ShufflesAPoolForASmallPopulation) {
  const std::vector<std::int64_t> sample = PythonRandom(42).sample(200, 50);
  EXPECT_THAT(slice(sample, 0, 8), ElementsAre(163, 28, 6, 189, 70, 62, 57, 35));
  EXPECT_THAT(slice(sample, 22, 3), ElementsAre(197, 143, 50));
}

TEST(PythonRandom, ShufflesAPoolForTheWholeSplit) {
  const std::vector<std::int64_t> sample = PythonRandom(42).sample(1319, 1319);
  EXPECT_THAT(slice(sample, 22, 3), ElementsAre(1310, 859, 451));
  std::vector<std::int64_t> sorted = sample;
  std::sort(sorted.begin(), sorted.end());
  for (std::int64_t i = 0; i < 1319; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i);
}

TEST(PythonRandom, SampleMatchesCPythonOnBothSidesOfItsThreshold) {
  struct Row {
    std::int64_t population, count;
    std::uint64_t seed;
    const char* sha256;
  };
  for (const Row& row : {
           Row{200, 50, 42, "ac783fc4413eb1826e9921dab5378bd39e91b80aba4d97aabfadd2ea68838c11"},
           Row{1319, 1319, 42, "5dde69be67b5d8a6860a27cc5c94cedf8a2430bc9dd62798e97f7021ed4e47d9"},
           Row{277, 50, 42, "880ef7d32acd0d8d5bb26053ec0b4571fc58071389bd73cd788b47a473eb73f6"},
           Row{278, 50, 42, "acf32850f39cb61cc56924f8e36695ad5c1ea870a899ffdec1bb609742d2d74e"},
           Row{21, 5, 0, "831ceafbd28051e57e63c860a09b376dd95a82656594ce28fecf678868a566a5"},
           Row{22, 5, 1, "77da66d9abb2c46c35812ab7d9e5dfef70eec56c6f8b36d4e95ae7a34ebc4f05"},
           Row{1000, 1000, 0xffffffffu,
               "e6d5e36c7805ea467ca471da5fb75b893bd20fb2ba77aaec93ff121c1aa2c9db"},
           Row{1000000, 100, 1ull << 32,
               "d2e7fb9028787cd78de76bbaca3477455ab0c77f20b0fabb1aa5a554beb03bb6"},
           Row{100000, 64, ~0ull,
               "1b080803b4412fc95c74c8399e3f3363f57f36f7e4a7ae1a0a1dd4c8ad5cc1a3"},
           Row{7473, 1319, 7, "ba983fd209aaf70319b3b3e1519e4e93683992951af1dfb157daee89ad5a7bea"},
       }) {
    EXPECT_EQ(digest(PythonRandom(row.seed).sample(row.population, row.count)), row.sha256)
        << row.population << " " << row.count << " " << row.seed;
  }
}

TEST(PythonRandom, TakesSeedsWiderThanSixtyFourBits) {
  // random.Random(123456789012345678901234567890).sample(range(2**33), 20)
  constexpr std::array<std::uint32_t, 5> kWords = {1312754386u, 3279151342u, 2397638646u, 1u, 0u};
  const std::vector<std::int64_t> sample = PythonRandom(kWords).sample(std::int64_t{1} << 33, 20);
  EXPECT_EQ(sample.front(), 3124625047);
  EXPECT_EQ(digest(sample), "5c419c11859e41faef2d2d7817097aea924c29a957303807e1ae7c79b6834f75");
}

TEST(PythonRandom, TakesBitsAsCPythonDoes) {
  PythonRandom random(5);
  EXPECT_EQ(random.getrandbits(1), 1u);
  EXPECT_EQ(random.getrandbits(5), 8u);
  EXPECT_EQ(random.getrandbits(32), 3185950873u);
  EXPECT_EQ(random.getrandbits(33), 5834865596u);
  EXPECT_EQ(random.getrandbits(40), 1038052564958u);
  EXPECT_EQ(random.getrandbits(64), 13648719601384375088u);
}

TEST(PythonRandom, TheInitialiserByArrayMatchesItsPublishedOutput) {
  // The authors' test program: key {0x123, 0x234, 0x345, 0x456}, first outputs.
  constexpr std::array<std::uint32_t, 4> kKey = {0x123, 0x234, 0x345, 0x456};
  PythonRandom random(kKey);
  EXPECT_EQ(random.getrandbits(32), 1067595299u);
  EXPECT_EQ(random.getrandbits(32), 955945823u);
  EXPECT_EQ(random.getrandbits(32), 477289528u);
}

TEST(PythonRandom, AnEmptySampleIsEmpty) { EXPECT_TRUE(PythonRandom(7).sample(5, 0).empty()); }

TEST(PythonRandomDeath, RefusesMoreThanThereAre) {
  EXPECT_DEATH(static_cast<void>(PythonRandom(1).sample(3, 4)), "population");
}

}  // namespace
}  // namespace nvllm::bench
