#include "bench/store/csv.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"

namespace nvllm::bench {
namespace {

TEST(Csv, ReadsQuotesCommasAndLineEndsInsideFields) {
  const auto rows = parse_csv("a,b\r\n\"x,\"\"y\"\"\n2\",\n\nlast,1", "test");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1].fields, (std::vector<std::string>{"x,\"y\"\n2", ""}));
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(rows[2].line, 5) << "a line end inside quotes and an empty line were counted";
  EXPECT_EQ(rows[2].fields[1], "1");
}

TEST(Csv, WritesWhatItReads) {
  const std::array<std::string, 4> raw = {"plain", "a,b", "say \"x\"", "two\nlines"};
  std::array<std::string, 4> fields;
  for (std::size_t i = 0; i < raw.size(); ++i) fields[i] = csv_field(raw[i]);
  EXPECT_EQ(csv_line(fields), "plain,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\n");
  EXPECT_EQ(parse_csv(csv_line(fields), "test")[0].fields, std::vector<std::string>(raw.begin(), raw.end()));
}

TEST(Csv, RefusesBrokenQuotesWithTheLine) {
  for (const char* text : {"a\nb,\"open\n\n", "a\n\"x\"y\n", "a\nx\"y\n"}) {
    try {
      parse_csv(text, "file.csv");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("file.csv:2:"), std::string::npos) << error.what();
    }
  }
}

TEST(Csv, NumbersMustBeWholeFields) {
  const auto row = parse_csv("12,1.5,nan,1x,", "test")[0];
  EXPECT_EQ(csv_int(row, 0, "n", "test"), 12);
  EXPECT_DOUBLE_EQ(csv_double(row, 1, "n", "test"), 1.5);
  EXPECT_THROW(csv_double(row, 2, "n", "test"), Error);
  EXPECT_THROW(csv_int(row, 1, "n", "test"), Error);
  EXPECT_THROW(csv_int(row, 3, "n", "test"), Error);
  EXPECT_THROW(csv_int(row, 4, "n", "test"), Error);
}

}  // namespace
}  // namespace nvllm::bench
