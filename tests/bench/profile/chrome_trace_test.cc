#include "bench/profile/chrome_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

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

/// What breaks the published rules of the format in one event; empty: nothing.
std::string fault_of(const Json& event, const std::map<std::int64_t, std::string>& row_names) {
  const std::string phase = event.at("ph");
  if (!event.at("pid").is_number_integer() || !event.at("tid").is_number_integer()) return "pid or tid is no number";
  if (!event.at("name").is_string()) return "name is no text";
  if (phase == "M") return event.at("args").at("name").is_string() ? "" : "a name without a name";
  if (phase != "X") return "phase " + phase;
  if (!event.at("ts").is_number() || !event.at("dur").is_number()) return "ts or dur is no number";
  if (event.at("dur").get<double>() < 0) return "dur is negative";
  if (!event.at("args").is_object()) return "args are no object";
  return row_names.contains(event.at("tid").get<std::int64_t>()) ? "" : "a row without a name";
}

/// Names of rows by tid.
std::map<std::int64_t, std::string> row_names_of(const Json& trace) {
  std::map<std::int64_t, std::string> names;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "thread_name") names[event.at("tid").get<std::int64_t>()] = event.at("args").at("name");
  }
  return names;
}

/// Events that neither follow the one before them on their row nor lie inside it. A viewer reads nanoseconds.
std::int64_t overlaps_in(const Json& trace) {
  std::map<std::int64_t, std::vector<std::pair<std::int64_t, std::int64_t>>> rows;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const std::int64_t begin = std::llround(event.at("ts").get<double>() * 1e3);
    rows[event.at("tid").get<std::int64_t>()].emplace_back(begin, -(begin + std::llround(event.at("dur").get<double>() * 1e3)));
  }
  std::int64_t overlaps = 0;
  for (auto& [row, spans] : rows) {
    std::sort(spans.begin(), spans.end());
    std::vector<std::int64_t> open;
    for (const auto& [begin, minus_end] : spans) {
      while (!open.empty() && open.back() <= begin) open.pop_back();
      overlaps += !open.empty() && -minus_end > open.back();
      open.push_back(-minus_end);
    }
  }
  return overlaps;
}

TEST(ChromeTrace, KeepsTheRulesOfTheFormat) {
  std::vector<std::string> operations;  // notes borrow their names
  for (int call = 0; call < 8; ++call) operations.push_back("op\n\t\"\\" + std::to_string(call));
  Collector collector;
  const SteadyTime begin = SystemClock().now();
  using std::chrono::nanoseconds;
  // Calls right behind each other; every other one ends between two nanoseconds, and rounds beyond the next begin.
  for (std::int64_t step = 0; step < 200; ++step) {
    const SteadyTime now = begin + microseconds(50 * step);
    collector.on_step_begin({.begin = now, .decode_rows = 1});
    for (std::int64_t call = 0; call < 8; ++call) {
      collector.on_launch({.operation = operations[static_cast<std::size_t>(call)],
                           .shape = {1, 2, 3},
                           .begin = now + nanoseconds(3001 * call),
                           .seconds = call % 2 == 0 ? 3.0016e-6 : 2.9e-6});
    }
    note_host_work(collector, "a", now + nanoseconds(30001), now + nanoseconds(30999));
    note_host_work(collector, "b", now + nanoseconds(30999), now + nanoseconds(49999));
    collector.on_step_end(now + nanoseconds(49999));
  }
  const Json trace = trace_of(collector);
  EXPECT_TRUE(trace.at("displayTimeUnit") == "ms" || trace.at("displayTimeUnit") == "ns");
  const auto names = row_names_of(trace);
  EXPECT_EQ(names.size(), 3u);
  std::int64_t complete = 0;
  for (const Json& event : trace.at("traceEvents")) {
    ASSERT_EQ(fault_of(event, names), "") << dump_json(event);
    complete += event.at("ph") == "X";
  }
  EXPECT_EQ(complete, 200 * (1 + 8 + 2));
  EXPECT_EQ(overlaps_in(trace), 0);
}

TEST(ChromeTrace, WorkThatBeganBeforeTheCollectorIsStillANumber) {
  Collector collector;
  collector.on_launch({.operation = "early",
                       .shape = {1, 2, 3},
                       .begin = SystemClock().now() - std::chrono::seconds(5),
                       .seconds = 1.5e-6});
  const Json trace = trace_of(collector);
  const Json& event = *find(trace, "X", "early");
  EXPECT_NEAR(event["ts"].get<double>(), -5e6, 1e6);
  EXPECT_NEAR(event["dur"].get<double>(), 1.5, 1e-9);
}

TEST(ChromeTrace, TheCheckSeesAnEventThatEndsInsideAnother) {
  const auto with = [](double ts, double dur) {
    return Json{{"ph", "X"}, {"pid", 1}, {"tid", 2}, {"name", "x"}, {"ts", ts}, {"dur", dur}, {"args", Json::object()}};
  };
  EXPECT_EQ(overlaps_in({{"traceEvents", {with(0, 10), with(10, 5), with(11, 4)}}}), 0);  // after, and inside
  EXPECT_EQ(overlaps_in({{"traceEvents", {with(0, 10), with(9.999, 5)}}}), 1);
  EXPECT_EQ(fault_of(with(0, -1), {{2, "kernels"}}), "dur is negative");
  EXPECT_EQ(fault_of(with(0, 1), {{3, "kernels"}}), "a row without a name");
}

TEST(ChromeTrace, OfNothingIsStillATrace) {
  Collector collector;
  EXPECT_EQ(trace_of(collector)["traceEvents"].size(), 4u);
}

}  // namespace
}  // namespace nvllm::bench
