#include "kernels/cuda/graph_notes.h"

#include <gmock/gmock.h>

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/greedy.h"
#include "kernels/cuda/stream.h"
#include "support/device.h"

namespace nvllm::cuda {
namespace {

using std::chrono::microseconds;

struct Told {
  std::string operation;
  std::int64_t begin_us, us, bytes;
  bool operator==(const Told&) const = default;
};

/// Tells what it was told.
class Recorder final : public LaunchListener {
 public:
  void on_launch(const LaunchNote& note) override {
    const auto begin = std::chrono::duration_cast<microseconds>(note.begin.time_since_epoch());
    told.push_back({std::string(note.operation), begin.count(), static_cast<std::int64_t>(note.seconds * 1e6 + 0.5), note.cost.bytes});
  }
  void on_lost(std::int64_t kernels) override { lost += kernels; }
  std::vector<Told> told;
  std::int64_t lost = 0;
};

GraphNote note(std::string_view operation, std::int64_t kernels, bool attends = false) {
  return {.note = {.operation = operation, .cost = {.bytes = 100}}, .attends = attends, .kernels = kernels};
}

KernelRecord record(std::uint64_t begin_us, std::uint64_t end_us) {
  return {.name = "k", .begin_ns = begin_us * 1000, .end_ns = end_us * 1000};
}

Recorder told_of(const std::vector<const GraphNotes*>& graphs, std::vector<KernelRecord> records, Cost attention = {}) {
  Recorder out;
  tell_of_graphs(graphs, records, SteadyTime(microseconds(5000)), attention, out);
  return out;
}

TEST(GraphNotes, TimeCountsFromTheEndOfTheKernelBefore) {
  const GraphNotes graph({note("a", 1), note("b", 2), note("c", 1)});
  // b starts within a and waits for it; b's second kernel leaves a gap; c ends before b does.
  const Recorder told = told_of({&graph}, {record(110, 140), record(100, 120), record(150, 180), record(155, 170)});
  EXPECT_EQ(told.told, (std::vector<Told>{{"a", 5000, 20, 100}, {"b", 5020, 20 + 30, 100}, {"c", 5080, 0, 100}}));
  EXPECT_EQ(told.lost, 0);
}

TEST(GraphNotes, GraphsThatFollowEachOtherAreOneRow) {
  const GraphNotes first({note("a", 1)}), none, second({note("b", 1)});
  EXPECT_EQ(told_of({&first, &none, &second}, {record(10, 30), record(0, 10)}).told,
            (std::vector<Told>{{"a", 5000, 10, 100}, {"b", 5010, 20, 100}}));
}

TEST(GraphNotes, AttentionCostsWhatTheStepSays) {
  const GraphNotes graph({note("a", 1, true), note("b", 1)});
  EXPECT_THAT(told_of({&graph}, {record(0, 1), record(1, 2)}, {.bytes = 7}).told,
              testing::ElementsAre(testing::Field(&Told::bytes, 107), testing::Field(&Told::bytes, 100)));
}

TEST(GraphNotes, AnnouncementsWithoutKernelsAreNotTold) {
  const GraphNotes graph({note("nothing", 0), note("a", 1), note("nothing", 0)});
  EXPECT_THAT(told_of({&graph}, {record(0, 1)}).told, testing::ElementsAre(testing::Field(&Told::operation, "a")));
}

TEST(GraphNotes, AMissingOrForeignRecordLosesAll) {
  const GraphNotes graph({note("a", 1), note("b", 1)});
  for (const std::vector<KernelRecord>& records :
       {std::vector<KernelRecord>{}, {record(0, 1)}, {record(0, 1), record(1, 2), record(2, 3)}}) {
    const Recorder told = told_of({&graph}, records);
    EXPECT_TRUE(told.told.empty());
    EXPECT_EQ(told.lost, 2);
  }
}

class DeviceTraceOnDevice : public test::OnDevice {};

/// Likeliest tokens of a few rows, and what they need.
struct SomeWork {
  DeviceBuffer logits{3 * 1000 * 4};
  GreedyWorkspace greedy{3};
  Stream stream;

  SomeWork() { logits.fill(1); }
  void queue() { greedy_choices(View<const float>{logits.as<float>(), 3, 1000}, greedy, stream); }
};

/// Keeps all records.
class Records final : public KernelRecordListener {
 public:
  void on_kernels(const std::vector<KernelRecord>& records) override {
    const std::lock_guard lock(mutex);
    all.insert(all.end(), records.begin(), records.end());
  }
  std::mutex mutex;
  std::vector<KernelRecord> all;
};

TEST_F(DeviceTraceOnDevice, RecordsEveryKernelOfAGraphAndWhatAnnouncedIt) {
  Records records;
  std::string why_not;
  const std::unique_ptr<DeviceTrace> trace = DeviceTrace::open(records, why_not);
  if (trace == nullptr) GTEST_SKIP() << why_not;
  SomeWork work;
  Stream& stream = work.stream;
  GraphNotes notes;
  stream.begin_capture();
  notes.mark({.operation = "nothing"}, false, stream);
  notes.mark({.operation = "once"}, false, stream);
  work.queue();
  notes.mark({.operation = "twice"}, true, stream);
  work.queue();
  fill_device(work.logits.as<void>(), 1, work.logits.bytes(), stream);
  work.queue();
  const Graph graph(stream, &notes);
  ASSERT_EQ(notes.notes().size(), 3u);
  const std::int64_t each = notes.notes()[1].kernels;
  EXPECT_GT(each, 0);
  EXPECT_EQ(notes.notes()[0].kernels, 0);
  EXPECT_EQ(notes.notes()[2].kernels, 2 * each);  // the fill is no kernel of anybody's
  for (int run = 0; run < 3; ++run) {
    graph.launch(stream);
    stream.wait();
    trace->flush();
    const std::lock_guard lock(records.mutex);
    EXPECT_EQ(static_cast<std::int64_t>(records.all.size()), notes.kernels()) << run;
    for (const KernelRecord& record : records.all) {
      EXPECT_NE(std::string(record.name).find("nvllm"), std::string::npos);
      EXPECT_GT(record.end_ns, record.begin_ns);
      EXPECT_EQ(record.correlation, records.all[0].correlation);
    }
    records.all.clear();
  }
  trace->pause();
  graph.launch(stream);
  stream.wait();
  trace->resume();
  trace->flush();
  EXPECT_TRUE(records.all.empty());
  EXPECT_EQ(trace->dropped(), 0);
  std::string again;
  EXPECT_EQ(DeviceTrace::open(records, again), nullptr);
  EXPECT_EQ(again, "kernels are traced already");
}

TEST_F(DeviceTraceOnDevice, CanBeginAgainAfterItHasEnded) {
  SomeWork work;
  for (int time = 0; time < 3; ++time) {
    Records records;
    std::string why_not;
    std::unique_ptr<DeviceTrace> trace = DeviceTrace::open(records, why_not);
    if (trace == nullptr) GTEST_SKIP() << why_not;
    GraphNotes notes;
    work.stream.begin_capture();
    notes.mark({.operation = "once"}, false, work.stream);
    work.queue();
    const Graph graph(work.stream, &notes);
    graph.launch(work.stream);
    work.stream.wait();
    trace->flush();
    EXPECT_EQ(static_cast<std::int64_t>(records.all.size()), notes.kernels()) << time;
    trace.reset();
    records.all.clear();
    graph.launch(work.stream);
    work.stream.wait();
    EXPECT_TRUE(records.all.empty()) << time;
  }
}

}  // namespace
}  // namespace nvllm::cuda
