#include "bench/profile/profile_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace nvllm::bench {
namespace {

/// A profile of one decode step: two layers of a matmul, one dear and one cheap kernel, host work.
Profile small_profile() {
  Collector collector;
  collector.on_step_begin({.decode_rows = 3});
  for (const std::int64_t layer : {0, 1}) {
    collector.on_launch(
        {.operation = "matmul", .layer = layer, .shape = {3, 8, 4}, .cost = {5000, 96}, .seconds = 10e-6});
  }
  collector.on_launch({.operation = "a,\"b\"", .shape = {3, 8}, .cost = {7, 7}, .seconds = 1e-6});
  collector.on_launch({.operation = "logits", .shape = {3, 32, 8}, .cost = {100, 10}, .seconds = 30e-6});
  note_host_work(collector, "sample", {}, SteadyTime{} + std::chrono::microseconds(49));
  collector.on_step_end({});
  return collector.profile();
}

std::vector<std::string> lines_of(const std::string& csv) {
  std::vector<std::string> lines;
  std::istringstream in(csv);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
  return fields;
}

TEST(ProfileTables, TheSmallTableHasSevenColumnsAndPoolsLayers) {
  const std::vector<std::string> lines = lines_of(profile_kernels_csv(small_profile(), "lower8"));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms");
  EXPECT_EQ(lines[1], "lower8,logits,1,30.000,30.000,30.000,0.030");
  EXPECT_EQ(lines[2], "lower8,matmul,2,10.000,10.000,10.000,0.020");
  EXPECT_EQ(lines[3], "lower8,\"a,\"\"b\"\"\",1,1.000,1.000,1.000,0.001");
}

TEST(ProfileTables, TheRichTableKeepsLayersShapesAndHostWork) {
  const std::vector<std::string> lines = lines_of(kernels_csv(small_profile(), "lower8"));
  ASSERT_EQ(lines.size(), 6u);
  const std::vector<std::string> header = fields_of(lines[0]), host = fields_of(lines[1]), layer = fields_of(lines[3]);
  ASSERT_EQ(header.size(), 24u);
  ASSERT_EQ(host.size(), header.size());
  ASSERT_EQ(layer.size(), header.size());
  const auto value = [&](const std::vector<std::string>& row, const std::string& column) {
    return row[static_cast<std::size_t>(std::ranges::find(header, column) - header.begin())];
  };
  EXPECT_EQ(value(host, "short_name"), "sample");
  EXPECT_EQ(value(host, "kind"), "host");
  EXPECT_EQ(value(host, "share_pct"), "49.0000");
  EXPECT_EQ(value(layer, "layer"), "0");
  EXPECT_EQ(value(layer, "shape"), "4x8x4");
  EXPECT_EQ(value(layer, "rows_mean"), "3.00");
  EXPECT_EQ(value(layer, "calls_per_step"), "1.0000");
  EXPECT_EQ(value(layer, "gb_s"), "0.500");
  EXPECT_EQ(value(layer, "log_mean"), "2.302585");
  EXPECT_EQ(value(layer, "kernel_id").size(), 16u);
  EXPECT_NE(value(layer, "kernel_id"), value(fields_of(lines[4]), "kernel_id"));
  EXPECT_EQ(value(fields_of(lines[2]), "layer"), "none");
}

TEST(ProfileTables, OfNothingAreHeadersOnly) {
  EXPECT_EQ(lines_of(profile_kernels_csv({}, "x")).size(), 1u);
  EXPECT_EQ(lines_of(kernels_csv({}, "x")).size(), 1u);
}

}  // namespace
}  // namespace nvllm::bench
