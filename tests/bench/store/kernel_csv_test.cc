#include "bench/store/kernel_csv.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/records/kernel_name.h"

namespace nvllm::bench {
namespace {

KernelRow row(const std::string& name, std::int64_t calls, double mean) {
  KernelRow made;
  made.name = name;
  made.short_name = short_kernel_name(name);
  made.n_calls = calls;
  made.mean_us = made.p50_us = made.p95_us = mean;
  made.total_ms = static_cast<double>(calls) * mean * 1e-3;
  return made;
}

KernelTable table() {
  KernelTable made;
  made.leg = "lower8";
  made.requests = 10;
  made.decode_steps = 2550;
  made.rows = {row("memset", 10, 1.25), row("void f<1, \"q\">(int, int)", 2550, 100.0)};
  made.rows[1].grid = Dim3{48, 2, 1};
  made.rows[1].block = Dim3{256, 1, 1};
  made.rows[1].shared_bytes = 0;
  made.rows[1].bytes = 1000000;
  made.rows[1].min_us = 99.0;
  made.rows[1].log_mean = 4.605;
  return made;
}

constexpr const char* kHeader = "config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms\n";

TEST(ProfileKernelsCsv, HasTheSevenColumnsThreeDecimalsAndTheLargestTotalFirst) {
  EXPECT_EQ(format_profile_kernels(table()),
            std::string(kHeader) +
                "lower8,\"void f<1, \"\"q\"\">(int, int)\",2550,100.000,100.000,100.000,255.000\n"
                "lower8,\"memset\",10,1.250,1.250,1.250,0.013\n");
}

TEST(ProfileKernelsCsv, ReadsBackToTheSameBytes) {
  const std::string text = format_profile_kernels(table());
  const KernelTable read = parse_profile_kernels(text, "test", "");
  EXPECT_EQ(read.leg, "lower8");
  EXPECT_EQ(format_profile_kernels(read), text);
}

std::string refusal(const std::string& lines) {
  try {
    parse_profile_kernels(lines, "f.csv", "leg");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ProfileKernelsCsv, RefusesWithLineAndColumn) {
  const std::string header = kHeader;
  EXPECT_NE(refusal("a,b\n").find("f.csv:1: the columns"), std::string::npos);
  EXPECT_NE(refusal("").find("the columns"), std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,1,1,1,1\n").find(":2: 6 fields"), std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,x,1,1,1,0.001\n").find("field 'n_calls' is 'x'"), std::string::npos);
  EXPECT_NE(refusal(header + "other,k,1,1,1,1,0.001\n").find("config_id is 'other'"), std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,1,1,1,1,0.001\nleg,k,1,1,1,1,0.001\n").find(":3: kernel_symbol 'k' appears twice"),
            std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,1,-1,1,1,0.001\n").find("below 0"), std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,0,1,1,1,0.001\n").find("at least 1"), std::string::npos);
  EXPECT_NE(refusal(header + "leg,k,1000,5.000,5,5,50.000\n").find("total_ms is 50.000"), std::string::npos);
  EXPECT_EQ(refusal(header + "leg,k,1000,5.000,5,5,5.000\n"), "accepted");
}

TEST(KernelsCsv, KeepsEveryFieldThatIsKnownAndLeavesTheOthersEmpty) {
  const KernelTable read = parse_kernels(format_kernels(table(), nullptr), "test", "lower8");
  ASSERT_EQ(read.rows.size(), 2u);
  const KernelRow& first = read.rows[0];
  EXPECT_EQ(first.name, table().rows[1].name);
  EXPECT_EQ(first.grid, (Dim3{48, 2, 1}));
  EXPECT_EQ(first.shared_bytes, 0);
  EXPECT_EQ(first.bytes, 1000000);
  EXPECT_EQ(first.min_us, 99.0);
  EXPECT_EQ(first.log_mean, 4.605);
  EXPECT_FALSE(first.max_us.has_value());
  EXPECT_FALSE(read.rows[1].grid.has_value());
  EXPECT_EQ(format_kernels(read, nullptr), format_kernels(table(), nullptr));
}

TEST(KernelsCsv, ShowsTheLawAndTheRate) {
  const LawReport laws = guess_call_laws(table());
  const std::string text = format_kernels(table(), &laws);
  EXPECT_NE(text.find(",1,0,not_proven,2550,"), std::string::npos) << text;
  EXPECT_NE(text.find(",0,1,not_proven,10,"), std::string::npos) << text;
  EXPECT_NE(text.find(",1000000,10.000,"), std::string::npos) << "1 MB in 100 us are 10 GB/s\n" << text;
}

TEST(KernelsCsv, RefusesAnIdThatIsNotTheKernels) {
  std::string text = format_kernels(table(), nullptr);
  const std::size_t at = text.find(",48x2x1,");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 8, ",49x2x1,");
  EXPECT_THROW(parse_kernels(text, "test", "l"), Error);
}

}  // namespace
}  // namespace nvllm::bench
