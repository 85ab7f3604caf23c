#include "bench/profile/chrome_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "bench/profile/gunzip.h"

namespace nvllm::bench {
namespace {

using std::chrono::microseconds;

Json trace_of(Collector& collector) {
  return parse_json(test::gunzip(chrome_trace_gz(collector.profile(), "a \"process\"")), "trace",
                    {.nodes_max = 10'000'000});
}

const Json* find(const Json& trace, const std::string& phase, const std::string& name) {
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == phase && event["name"] == name) return &event;
  }
  return nullptr;
}

TEST(ChromeTrace, HoldsCompleteEventsOnNamedRows) {
  Collector collector;
  const SteadyTime now = SystemClock().now();
  collector.on_step_begin({.begin = now, .decode_rows = 3});
  collector.on_launch({.operation = "mat\"mul",
                       .layer = 5,
                       .shape = {3, 8, 4},
                       .cost = {640, 96},
                       .begin = now + microseconds(2),
                       .seconds = 7e-6});
  note_host_work(collector, "sample", now + microseconds(9), now + microseconds(10));
  collector.on_step_end(now + microseconds(12));
  const Json trace = trace_of(collector);

  const Json& kernel = *find(trace, "X", "mat\"mul");
  const Json& step = *find(trace, "X", "decode step");
  const Json& host = *find(trace, "X", "sample");
  EXPECT_NEAR(kernel["dur"].get<double>(), 7, 1e-3);
  EXPECT_NEAR(kernel["ts"].get<double>() - step["ts"].get<double>(), 2, 2e-3);
  EXPECT_NEAR(step["dur"].get<double>(), 12, 1e-3);
  EXPECT_EQ(kernel["args"]["layer"], 5);
  EXPECT_EQ(kernel["args"]["shape"], "3x8x4");  // the exact rows of this call
  EXPECT_EQ(kernel["args"]["bytes"], 640);
  EXPECT_EQ(kernel["args"]["phase"], "decode");
  EXPECT_FALSE(host["args"].contains("layer"));
  std::map<int, std::string> rows;
  for (const Json& event : trace["traceEvents"]) {
    if (event["name"] == "thread_name") rows[event["tid"].get<int>()] = event["args"]["name"].get<std::string>();
  }
  EXPECT_EQ(rows[kernel["tid"].get<int>()], "kernels");
  EXPECT_EQ(rows[host["tid"].get<int>()], "host work");
  EXPECT_EQ(rows[step["tid"].get<int>()], "steps");
  EXPECT_EQ((*find(trace, "M", "process_name"))["args"]["name"], "a \"process\"");
}

TEST(ChromeTrace, OfManyEventsIsCompressedInPiecesAndSaysWhatWasDropped) {
  constexpr std::int64_t kKept = 5000;
  Collector collector({.event_max = kKept});
  const SteadyTime now = SystemClock().now();
  for (std::int64_t i = 0; i < kKept + 17; ++i) {
    collector.on_launch({.operation = "matmul", .layer = i % 64, .shape = {1, 2, 3}, .begin = now, .seconds = 1e-6});
  }
  const Json trace = trace_of(collector);
  EXPECT_EQ(std::ranges::count(trace["traceEvents"], Json("X"), [](const Json& e) { return e["ph"]; }), kKept);
  EXPECT_EQ(trace["otherData"]["dropped_events"], 17);
}

TEST(ChromeTrace, OfNothingIsStillATrace) {
  Collector collector;
  EXPECT_EQ(trace_of(collector)["traceEvents"].size(), 4u);
}

}  // namespace
}  // namespace nvllm::bench
