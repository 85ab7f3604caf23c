#include "base/units.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm {
namespace {

TEST(ParseBytes, ReadsBinaryAndDecimalSuffixes) {
  EXPECT_EQ(parse_bytes("4096", "--x"), 4096);
  EXPECT_EQ(parse_bytes("2GiB", "--x"), std::int64_t{2} << 30);
  EXPECT_EQ(parse_bytes("1.5M", "--x"), 3 << 19);
  EXPECT_EQ(parse_bytes("3 MB", "--x"), 3'000'000);
}

TEST(ParseBytes, RefusesWhatIsNotASizeAndNamesTheFlag) {
  for (const char* bad : {"", "GiB", "-1", "1XB", "nan", "inf", "1e30GiB", "1 2"}) {
    try {
      parse_bytes(bad, "--memory-budget");
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find("--memory-budget"), std::string::npos);
    }
  }
}

TEST(FormatBytes, UsesThreeSignificantDigits) {
  EXPECT_EQ(format_bytes(912), "912 B");
  EXPECT_EQ(format_bytes(3408000), "3.25 MiB");
  EXPECT_EQ(format_bytes(std::int64_t{150} << 20), "150 MiB");
}

}  // namespace
}  // namespace nvllm
