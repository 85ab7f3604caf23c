#include "base/hashing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

namespace nvllm {
namespace {

constexpr std::string_view kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // FIPS 180-2, appendix B.1

TEST(Hashing, IsThatOfTheStandard) { EXPECT_EQ(sha256_hex("abc"), kOfAbc); }

TEST(HashingDeathTest, GoesOnWhileTheProcessEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process of its own, in which nothing has been hashed
  const auto hash_at_exit = [] {
    hash_until_the_end();
    std::atexit([] { std::_Exit(sha256_hex("abc") == kOfAbc ? 0 : 1); });
    static_cast<void>(sha256_hex("abc"));  // here the library says what it does at the end, and that it comes before ours
    std::exit(2);
  };
  EXPECT_EXIT(hash_at_exit(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace nvllm
