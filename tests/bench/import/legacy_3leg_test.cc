#include "bench/import/legacy_3leg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

/// Two legs of two decode steps a request, as small as the format allows.
class LegacyFolder : public testing::Test {
 protected:
  void SetUp() override {
    put_leg("zeta", "2026-05-02T09:00:00-04:00", 2, 0);
    put_leg("alpha", "2026-05-02T11:00:00-04:00", 1, 1);
    folder_.put("mem_watchdog.log",
                "2026-05-02T08:53:42-04:00\n  total used free shared buff/cache available\n"
                "Mem:           119Gi       7.5Gi        80Gi       202Mi        33Gi       112Gi\n---\n"
                "Mem:           119Gi        90Gi       512Mi       202Mi        33Gi       512Mi\n");
    folder_.put("alpha/perq.jsonl",
                R"({"label":"x","run_index":0,"prompt_index":1,"wall_time_s":10.25,"prompt_tokens":70,)"
                R"("completion_tokens":20,"decode_tok_s":2.0,"finish_reason":"stop","gold":"5","pred":"5",)"
                R"("correct":true,"output_len":99,"output_sha256":"00ba","request_id":"cmpl-1","ts":17.5})"
                "\n");
  }

  void put_leg(const std::string& leg, const std::string& time, std::int64_t decode, std::int64_t beta) {
    std::string csv = "config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms\n";
    const auto row = [&](const char* name, std::int64_t calls) {
      if (calls > 0) csv += fmt::format("{},\"{}\",{},1000.000,999.000,1001.000,{}.000\n", leg, name, calls, calls);
    };
    row("kernel_cutlass_kernelDecodeKernel_object_at__", 3 * 2 * decode);
    row("kernel_cutlass_phase_e_kernelPhaseE_Beta_Kernel_object_at__", 3 * 2 * beta);
    row("prefill_only", 3);
    folder_.put(leg + "/profile_kernels.csv", csv);
    for (const char* phase : {"profile", "gsm8k"}) {
      folder_.put(leg + "/" + phase + "_metadata.json",
                  fmt::format(R"({{"leg":"{}","phase":"{}","timestamp_iso":"{}"}})", leg, phase, time));
    }
    put_questions(leg, 1);
  }

  void put_questions(const std::string& leg, int correct) {
    folder_.put(
        leg + "/gsm8k.json",
        fmt::format(
            R"({{"label":"x-{}","model":"default","n":5,"seed":42,"correct":{},"errors":2,"results":[)"
            R"({{"i":0,"expected":"5","got":"5","status":"OK","elapsed":10.0,"raw_tail":"is 5","question":"q0"}},)"
            R"({{"i":1,"expected":"6","got":"7","status":"WRONG","elapsed":9.0,"raw_tail":"is 7","question":"q1"}},)"
            R"({{"i":2,"expected":"6","got":"","status":"WRONG","elapsed":9.0,"raw_tail":"hm","question":"q2"}},)"
            R"({{"i":3,"expected":"6","got":"","status":"ERROR","elapsed":180.1,)"
            R"j("raw_tail":"ERROR: Read timed out. (read timeout=180)","question":"q3"}},)j"
            R"({{"i":4,"expected":"6","got":"","status":"ERROR","elapsed":0.1,)"
            R"("raw_tail":"ERROR: [Errno 111] Connection refused","question":"q4"}}]}})",
            leg, correct));
  }

  EvidenceFolder read() { return import_legacy_3leg(folder_.path(), {.tokens_per_request = 3}); }
  test::TempFolder folder_;
};

TEST_F(LegacyFolder, GivesLegsInTheOrderTheyRan) {
  const EvidenceFolder evidence = read();
  ASSERT_EQ(evidence.legs.size(), 2u);
  EXPECT_EQ(evidence.legs[0].leg, "zeta");
  EXPECT_EQ(evidence.legs[1].profiles[0].boot_id, "2026-05-02T11:00:00-04:00");
  EXPECT_THAT(evidence.notes, ElementsAre());
}

TEST_F(LegacyFolder, DerivesRequestsAndStepsFromTheCounts) {
  const KernelTable table = read().legs[1].profiles[0];
  EXPECT_EQ(table.requests, 3);
  EXPECT_EQ(table.decode_steps, 6);
  EXPECT_EQ(table.prefills, 3);
  EXPECT_EQ(find_kernels(table, "PhaseE_Beta_Kernel").at(0)->n_calls, 6);
}

TEST_F(LegacyFolder, LeavesTheWorkloadUnknownWhereTheCountsContradictIt) {
  const EvidenceFolder evidence = import_legacy_3leg(folder_.path(), {.tokens_per_request = 256});
  EXPECT_EQ(evidence.legs[0].profiles[0].requests, 0);
  EXPECT_THAT(evidence.notes, Contains(HasSubstr("requests and steps are unknown")));
}

TEST_F(LegacyFolder, TellsWrongCensoredSilentAndDeadApart) {
  const EvidenceFolder evidence = read();
  const auto& questions = find_leg(evidence, "zeta")->questions;
  ASSERT_EQ(questions.size(), 5u);
  EXPECT_EQ(questions[0].status, QuestionStatus::kOk);
  EXPECT_EQ(questions[1].status, QuestionStatus::kWrong);
  EXPECT_EQ(questions[2].status, QuestionStatus::kNoAnswer);
  EXPECT_EQ(questions[3].status, QuestionStatus::kTimeout);
  EXPECT_TRUE(questions[3].censored);
  EXPECT_DOUBLE_EQ(questions[3].deadline_s, 180);
  EXPECT_EQ(questions[4].status, QuestionStatus::kServerDied);
  EXPECT_FALSE(questions[4].censored);
}

TEST_F(LegacyFolder, JoinsTheLinesOfPerqByQuestion) {
  const EvidenceFolder evidence = read();
  const QuestionResult& question = find_leg(evidence, "alpha")->questions[0];
  EXPECT_EQ(question.completion_tokens, 20);
  EXPECT_DOUBLE_EQ(question.wall_time_s, 10.25);
  EXPECT_EQ(question.finish_reason, "stop");
  EXPECT_EQ(question.output_sha256, "00ba");
  EXPECT_EQ(find_leg(evidence, "zeta")->questions[0].completion_tokens, 0);
}

TEST_F(LegacyFolder, NotesLinesThatARepeatedRunLeftTwice) {
  const std::string line = test::text_of(folder_.path() / "alpha/perq.jsonl");
  std::string again = line;
  again.replace(again.find("10.25"), 5, "11.50");
  folder_.put("alpha/perq.jsonl", line + again);
  const EvidenceFolder evidence = read();
  EXPECT_THAT(evidence.notes, ElementsAre(HasSubstr("perq.jsonl:2: question 1 again")));
  EXPECT_DOUBLE_EQ(find_leg(evidence, "alpha")->questions[0].wall_time_s, 11.5);
}

TEST_F(LegacyFolder, NotesASummaryThatContradictsItsResults) {
  put_questions("zeta", 47);
  EXPECT_THAT(read().notes, ElementsAre(HasSubstr("field 'correct' says 47, its results hold 1")));
}

TEST_F(LegacyFolder, KeepsTheLeastMemoryThatWasAvailable) {
  EXPECT_DOUBLE_EQ(read().provenance.at("mem_watchdog").at("available_gib_min").get<double>(), 0.5);
}

TEST_F(LegacyFolder, RefusesWithFileAndField) {
  folder_.put("zeta/gsm8k.json", R"({"label":"x","results":[{"i":"one"}]})");
  try {
    read();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("zeta/gsm8k.json: results[0]: field 'i' is \"one\", wanted a whole number"));
  }
  EXPECT_THROW(import_legacy_3leg(folder_.path() / "zeta"), Error) << "a leg is not a folder of legs";
  EXPECT_THROW(import_legacy_3leg("/nonexistent"), Error);
}

}  // namespace
}  // namespace nvllm::bench
