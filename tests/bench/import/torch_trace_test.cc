#include "bench/import/torch_trace.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/import/packed_text.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

/// A kernel event with the fields and the order that the torch profiler writes.
std::string kernel(const std::string& name, double ts, double dur, const std::string& more = "", int grid = 4) {
  return fmt::format(
      "  {{\n    \"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"{}\", \"pid\": 0, \"tid\": 7,\n    \"ts\": {:.3f}, "
      "\"dur\": "
      "{:.3f},\n    \"args\": {{\n      \"External id\": 12, \"queued\": 0, \"device\": 0, \"context\": 1,\n      "
      "\"stream\": 7, "
      "\"correlation\": 99,\n      \"registers per thread\": 32,\n      \"shared memory\": 1024,\n      \"blocks per "
      "SM\": inf,\n"
      "      \"grid\": [{}, 1, 1],\n      \"block\": [128, 1, 1],\n      \"est. achieved occupancy %\": 0{}\n    }}\n  "
      "}}",
      name, ts, dur, grid, more);
}

std::string launch(const char* call) {
  return fmt::format(
      R"({{"ph":"X","cat":"cuda_runtime","name":"{}","pid":1,"tid":2,"ts":1.0,"dur":2.5,"args":{{"cbid":211}}}})",
      call);
}

std::string trace(const std::vector<std::string>& events) {
  return fmt::format(
      "{{\n  \"schemaVersion\": 1,\n  \"deviceProperties\": [{{\"id\": 0, \"name\": \"a ] }} name\"}}],\n  "
      "\"displayTimeUnit\": "
      "\"ms\",\n  \"baseTimeNanoseconds\": 1778000000000000000,\n  \"traceEvents\": [\n{}\n  ],\n  \"traceName\": "
      "\"x.json\"\n}}\n",
      fmt::join(events, ",\n"));
}

TraceImport read(const std::string& text, const TraceOptions& options = {}, std::size_t piece = 1 << 20) {
  return read_torch_trace(test::in_pieces(text, piece), "test.json", options);
}

TEST(TorchTrace, CountsKernelsByNameAndLaunchShape) {
  const TraceImport seen = read(trace({kernel("gemv", 10, 4), kernel("gemv", 20, 6), kernel("gemv", 30, 100, "", 8),
                                       kernel("void f<int>(int)", 200, 1)}),
                                {.leg = "lower8"});
  EXPECT_EQ(seen.end, TraceEnd::kComplete);
  EXPECT_THAT(seen.findings, ElementsAre());
  EXPECT_EQ(seen.events, 4);
  EXPECT_EQ(seen.kernels, 4);
  ASSERT_EQ(seen.table.rows.size(), 3u);
  EXPECT_EQ(seen.table.leg, "lower8");
  EXPECT_EQ(seen.table.rows[0].grid, (Dim3{8, 1, 1}));
  const KernelRow& row = seen.table.rows[1];
  EXPECT_EQ(row.name, "gemv");
  EXPECT_EQ(row.n_calls, 2);
  EXPECT_DOUBLE_EQ(row.mean_us, 5);
  EXPECT_DOUBLE_EQ(row.total_ms, 0.010);
  EXPECT_EQ(row.grid, (Dim3{4, 1, 1}));
  EXPECT_EQ(row.block, (Dim3{128, 1, 1}));
  EXPECT_EQ(row.shared_bytes, 1024);
  EXPECT_NEAR(row.p95_us, 6, 0.03);
  EXPECT_DOUBLE_EQ(seen.first_us, 10);
  EXPECT_DOUBLE_EQ(seen.last_us, 201);
}

TEST(TorchTrace, GroupsByNameAloneWhereAsked) {
  const TraceImport seen = read(trace({kernel("gemv", 1, 4), kernel("gemv", 2, 6, "", 8)}), {.key = TraceKey::kName});
  ASSERT_EQ(seen.table.rows.size(), 1u);
  EXPECT_EQ(seen.table.rows[0].n_calls, 2);
  EXPECT_FALSE(seen.table.rows[0].grid.has_value());
}

TEST(TorchTrace, TakesCopiesAndFillsAndCountsEverythingElse) {
  const TraceImport seen = read(trace(
      {kernel("k", 1, 1),
       R"j({"ph":"X","cat":"gpu_memcpy","name":"Memcpy HtoD (Pinned -> Device)","ts":5,"dur":2,"args":{"bytes":64}})j",
       R"j({"ph":"X","cat":"gpu_memset","name":"Memset (Device)","ts":9,"dur":1.5})j",
       R"({"ph":"X","cat":"cpu_op","name":"aten::mm","ts":1,"dur":9,"args":{"Input Dims":[[1,2],[]]}})",
       R"({"ph":"X","cat":"user_annotation","name":"ProfilerStep#3","ts":1,"dur":9})",
       R"({"name":"process_name","ph":"M","ts":0,"pid":0,"tid":0,"args":{"name":"python"}})",
       R"({"ph":"f","id":1,"cat":"ac2g","name":"ac2g","bp":"e","ts":3})", launch("cudaLaunchKernel")}));
  EXPECT_EQ(seen.copies, 1);
  EXPECT_EQ(seen.fills, 1);
  EXPECT_EQ(seen.events, 8);
  EXPECT_EQ(seen.profiler_steps, 1);
  EXPECT_EQ(seen.kernel_launches, 1);
  EXPECT_THAT(seen.other_events, UnorderedElementsAre(Pair("cpu_op", 1), Pair("user_annotation", 1), Pair("(none)", 1),
                                                      Pair("ac2g", 1), Pair("cuda_runtime", 1)));
  EXPECT_EQ(seen.table.rows.size(), 3u);
  EXPECT_FALSE(seen.table.rows[0].grid.has_value());
}

TEST(TorchTrace, IsTheSameHoweverTheBytesArriveAndPacked) {
  std::vector<std::string> events;
  for (int i = 0; i < 400; ++i) events.push_back(kernel(fmt::format("k{}", i % 7), i, 1 + i % 13));
  const std::string text = trace(events);
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  const TraceImport whole = read(text);
  EXPECT_EQ(whole.kernels, 400);
  for (const std::string& form : {text, test::gzipped(text), test::gzipped(half) + test::gzipped(rest)}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{97}, std::size_t{65'536}}) {
      const TraceImport seen = read(form, {}, piece);
      EXPECT_EQ(seen.end, TraceEnd::kComplete);
      EXPECT_EQ(seen.kernels, 400);
      EXPECT_EQ(seen.json_bytes, static_cast<std::int64_t>(text.size()));
      ASSERT_EQ(seen.table.rows.size(), whole.table.rows.size());
      EXPECT_EQ(seen.table.rows[3].total_ms, whole.table.rows[3].total_ms);
      EXPECT_EQ(seen.table.rows[3].p50_us, whole.table.rows[3].p50_us);
    }
  }
}

TEST(TorchTrace, ReportsATruncatedFileWhereverItIsCut) {
  const std::string text = trace({kernel("a", 1, 1), kernel("b", 2, 1), kernel("c \\\" d", 3, 1)});
  const std::size_t close = text.rfind('}');
  for (std::size_t cut = 0; cut < close; ++cut) {
    const TraceImport seen = read(text.substr(0, cut));
    ASSERT_EQ(seen.end, TraceEnd::kTruncatedJson) << cut;
    ASSERT_THAT(seen.findings, Contains(HasSubstr("truncated_json"))) << cut;
    ASSERT_LE(seen.kernels, 3);
  }
  EXPECT_EQ(read(text.substr(0, close + 1)).end, TraceEnd::kComplete);
  EXPECT_EQ(read(text.substr(0, close)).kernels, 3) << "what was whole is kept";
}

TEST(TorchTrace, ReportsATruncatedPackedFileWhereverItIsCut) {
  const std::string packed = test::gzipped(trace({kernel("a", 1, 1), kernel("b", 2, 1)}));
  for (std::size_t cut = 2; cut < packed.size(); ++cut) {
    const TraceImport seen = read(packed.substr(0, cut));
    ASSERT_EQ(seen.end, TraceEnd::kTruncatedGzip) << cut << " of " << packed.size();
    ASSERT_FALSE(seen.findings.empty());
  }
  EXPECT_EQ(read(packed).end, TraceEnd::kComplete);
}

TEST(TorchTrace, FindsGraphLaunchesWithoutKernels) {
  EXPECT_THAT(
      read(trace({kernel("k", 1, 1, ", \"graph id\": 0, \"graph node id\": 0"), launch("cudaGraphLaunch")})).findings,
      ElementsAre(HasSubstr("1 graph launches, but no kernel names a graph")));
}

TEST(TorchTrace, FindsMissingRecordsByTheLaunches) {
  EXPECT_THAT(read(trace({kernel("k", 1, 1), launch("cudaLaunchKernel"), launch("cudaLaunchKernelExC"),
                          launch("cuLaunchKernelEx")}))
                  .findings,
              ElementsAre(HasSubstr("3 kernel launches, but 1 kernels outside of graphs: 2 records are missing")));
}

TEST(TorchTrace, FindsNodesOfAGraphThatRanLessOftenThanOthers) {
  const auto node = [](int graph, int id) {
    return fmt::format(", \"graph id\": {}, \"graph node id\": {}", graph, id);
  };
  std::vector<std::string> events = {launch("cudaGraphLaunch"), launch("cudaGraphLaunch")};
  for (int i = 0; i < 2; ++i) {
    events.push_back(kernel("a", 1 + i, 1, node(5, 1)));
    events.push_back(kernel("b", 3 + i, 1, node(5, 2)));
  }
  events.push_back(kernel("c", 9, 1, node(6, 1)));
  EXPECT_THAT(read(trace(events)).findings, ElementsAre()) << "another graph may run another number of times";
  EXPECT_EQ(read(trace(events)).kernels_in_graphs, 5);
  events.pop_back();
  events.pop_back();
  EXPECT_THAT(read(trace(events)).findings, ElementsAre(HasSubstr("graph 5: one node ran 1 times, another 2")));
}

TEST(TorchTrace, CountsDeviceWorkItCannotUse) {
  const TraceImport seen = read(trace({kernel("k", 1, 1), R"({"ph":"X","cat":"kernel","name":"no duration","ts":5})",
                                       R"({"ph":"X","cat":"kernel","name":"negative","ts":5,"dur":-1})",
                                       R"({"ph":"X","cat":"kernel","ts":5,"dur":1})",
                                       R"({"ph":"X","cat":"kernel","name":"no shape","ts":5,"dur":1})"}));
  EXPECT_EQ(seen.malformed, 3);
  EXPECT_EQ(seen.kernels, 2);
  EXPECT_EQ(seen.kernels_without_shape, 1);
  EXPECT_THAT(seen.findings, ElementsAre(HasSubstr("3 pieces of device work without")));
}

TEST(TorchTrace, ReadsNamesWithEscapesAndFieldsInAnyOrder) {
  const TraceImport seen = read(trace(
      {R"({"args":{"block":[1,2,3],"grid":[4,5,6]},"dur":1,"ts":5,"name":"a\"\\\u00e9","cat":"kernel","ph":"X"})"}));
  ASSERT_EQ(seen.table.rows.size(), 1u);
  EXPECT_EQ(seen.table.rows[0].name, "a\"\\\xc3\xa9");
  EXPECT_EQ(seen.table.rows[0].grid, (Dim3{4, 5, 6}));
}

TEST(TorchTrace, ReadsABareListOfEvents) {
  EXPECT_EQ(read("[" + kernel("k", 1, 1) + "]").kernels, 1);
  EXPECT_EQ(read("[]").end, TraceEnd::kComplete);
  EXPECT_THAT(read("[]").findings, ElementsAre("no kernel at all"));
}

std::string refusal(const std::string& text, const TraceOptions& options = {}) {
  try {
    read(text, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TorchTrace, RefusesWhatIsNoTraceWithTheByte) {
  EXPECT_THAT(refusal("hello"), HasSubstr("test.json: not a trace: byte 0 begins 'hello', wanted '{' or '['"));
  EXPECT_THAT(refusal("{}"), HasSubstr("wanted an array 'traceEvents'"));
  EXPECT_THAT(refusal("{\"traceEvents\": 5}"), HasSubstr("wanted an array 'traceEvents'"));
  EXPECT_THAT(refusal("[] x"), HasSubstr("byte 3 begins 'x', wanted the end of the file"));
  EXPECT_THAT(refusal("[5]"), HasSubstr("byte 1 begins '5]', wanted an event"));
  EXPECT_THAT(refusal("[{\"a\" 1}]"), HasSubstr("byte 6 begins '1}]', wanted ':'"));
  EXPECT_THAT(refusal("[{\"a\":1}{\"a\":1}]"), HasSubstr("wanted ',' or ']'"));
  EXPECT_THAT(refusal("{\"a\":1 \"b\":2}"), HasSubstr("wanted ',' or '}'"));
}

TEST(TorchTrace, BoundsEventsAndKinds) {
  EXPECT_THAT(refusal("[{\"x\":\"" + std::string(3 << 20, 'y') + "\"}]", {.event_bytes_max = 1 << 20}),
              HasSubstr("larger than 1048576 bytes"));
  EXPECT_EQ(
      refusal("{\"big\":[\"" + std::string(3 << 20, 'y') + "\"],\"traceEvents\":[]}", {.event_bytes_max = 1 << 20}),
      "accepted")
      << "fields beside the events need not fit";
  EXPECT_THAT(refusal(trace({kernel("a", 1, 1), kernel("b", 1, 1), kernel("c", 1, 1)}), {.kinds_max = 2}),
              HasSubstr("more than 2 different kernels"));
}

TEST(TorchTrace, ReadsAFile) {
  const test::TempFolder folder;
  const auto path = folder.put("x.pt.trace.json.gz", test::gzipped(trace({kernel("k", 1, 2)})));
  EXPECT_EQ(import_torch_trace(path).kernels, 1);
  EXPECT_THROW(import_torch_trace(folder.path() / "absent.json"), Error);
}

}  // namespace
}  // namespace nvllm::bench
