#include "bench/run/sweep_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "bench/run/fake_server.h"
#include "bench/run/verify.h"
#include "bench/store/journal.h"
#include "bench/store/manifest.h"
#include "bench/store/seal.h"
#include "bench/watchdog/fake_proc.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using test::put_file;
using test::text_of;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSweep = R"toml(schema = "nvllm.sweep/v1"
name = "fake"
claim = "fusion does not pay"
[legs.off]
arguments = ["--leg", "phaseE-off"]
[legs.all-beta]
arguments = ["--leg", "all-beta"]
[schedule]
rounds = { profile = 2, gsm8k = 1 }
ON_FAILURE
[profile]
warmup_tokens = 4
bursts = [{ requests = 2, max_tokens = 6 }, { requests = 2, max_tokens = 3 }]
[gsm8k]
dataset = { path = "QUESTIONS" }
n = 2
prompt = "demo"
score = "strict"
BASELINE
[gates]
calls = { kind = "identity", required = true }
floor = { kind = "count_at_least", right = 2, required = true }
EXTRA_GATES
[hypotheses]
H1 = { expr = "mean_us(all-beta,PhaseE_Beta_Kernel) - mean_us(off,DecodeKernel) > 0" }
[[verdict]]
when = "H1 == CONFIRMED"
id = "dearer"
[[verdict]]
when = "true"
id = "open"
)toml";

class SweepRun : public ::testing::Test {
 protected:
  SweepRun() {
    put_file(temp_.path() / "questions.jsonl",
             "{\"question\":\"3 + 4?\",\"answer\":\"#### 7\"}\n{\"question\":\"9 - "
             "2?\",\"answer\":\"#### 7\"}\n");
    write_sweep({});
    request_.sweep_file = temp_.path() / "fake.toml";
    request_.out = temp_.path() / "out";
    request_.model = test::FakeServer::kModel;
    request_.program = server_.program();
    request_.tool = "nvllm test";
    request_.proc_root = proc_.path();
  }

  void write_sweep(std::map<std::string, std::string> parts) {
    std::string text = kSweep;
    parts["QUESTIONS"] = (temp_.path() / "questions.jsonl").string();
    for (const char* key : {"ON_FAILURE", "BASELINE", "EXTRA_GATES", "QUESTIONS"}) {
      text.replace(text.find(key), std::string(key).size(), parts[key]);
    }
    put_file(temp_.path() / "fake.toml", text);
  }

  SweepOutcome run() {
    RunControl control;
    return run_sweep(request_, control, {.on_progress = {}, .say = [this](const std::string& line) {
                                           said_ += line + "\n";
                                         }});
  }
  SweepOutcome resume() {
    request_.start = RunStart::kResume;
    return run();
  }
  bool has(const std::string& name) const { return fs::exists(request_.out / name); }
  std::string text(const std::string& name) const { return text_of(request_.out / name); }

  const nvllm::testing::TempFolder temp_;
  nvllm::test::FakeProc proc_;
  test::FakeServer server_{temp_.path()};
  SweepRequest request_;
  std::string said_;
};

TEST_F(SweepRun, MeasuresJudgesAndClosesItsFolder) {
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, 0) << outcome.report << said_;
  EXPECT_THAT(outcome.report, HasSubstr("verdict: dearer"));
  EXPECT_THAT(outcome.report, HasSubstr("none named in the sweep file"));
  EXPECT_THAT(outcome.report, HasSubstr("2/2"));
  for (const char* name :
       {"sweep.toml", "sweep.lock.json", "prereg.json", "provenance.json", "journal.jsonl",
        "mem_watchdog.log", "telemetry.csv.gz", "summary.md", "report.html",
        "analysis/verdict.json", "off/profile_kernels.csv", "off/profile_metadata.json",
        "off/gsm8k.json", "off/gsm8k_metadata.json", "off/rounds/02/profile/kernels.csv",
        "off/rounds/01/gsm8k/perq.jsonl", "MANIFEST.sha256", ".gitignore"}) {
    EXPECT_TRUE(has(name)) << name;
  }
  EXPECT_FALSE(has("telemetry.csv"));
  EXPECT_FALSE(has("off/rounds/02/gsm8k"));
  EXPECT_THAT(
      text("off/profile_kernels.csv"),
      ::testing::StartsWith("config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms\n"));
  const VerifyReport verified = verify_folder(request_.out, VerifyLevel::kTraces);
  EXPECT_EQ(verified.exit(), 0) << verify_text(verified);
}

TEST_F(SweepRun, RegistersItsRulesBeforeItMeasures) {
  run();
  bool registered = false, started = false;
  for (const JournalEvent& event : read_journal(request_.out / "journal.jsonl").events) {
    registered |= event.event == "registered";
    started |= event.event == events::kStarted;
    EXPECT_TRUE(registered || !started);
  }
  EXPECT_TRUE(started);
  const Json verdict = parse_json(text("analysis/verdict.json"), "verdict");
  EXPECT_EQ(verdict.at("post_hoc"), false);
}

TEST_F(SweepRun, NamesNeitherTheHostNorAnyPathOfIt) {
  run();
  for (const auto& entry : fs::recursive_directory_iterator(request_.out)) {
    if (!entry.is_regular_file() || entry.path().filename() == "sweep.toml") continue;
    const std::string content = text_of(entry.path());
    EXPECT_THAT(content, Not(HasSubstr(server_.program()))) << entry.path();
    std::array<char, 256> host{};
    ASSERT_EQ(::gethostname(host.data(), host.size() - 1), 0);
    if (std::string(host.data()).size() > 5) {
      EXPECT_THAT(content, Not(HasSubstr(host.data()))) << entry.path();
    }
  }
  // The analysis quotes the sweep file, and this one names its questions by an absolute path:
  // nothing else may.
  EXPECT_THAT(text("provenance.json"), Not(HasSubstr(temp_.path().string())));
  EXPECT_THAT(text("sweep.lock.json"), Not(HasSubstr(temp_.path().string())));
}

TEST_F(SweepRun, AKernelCalledMoreOftenThanThePlanSaysFailsTheUnit) {
  server_.faults.extra_decode_calls = 1;
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("DecodeKernel ran"));
  EXPECT_FALSE(has_manifest(request_.out));
  // Its tables stay visible, sealed as failed.
  EXPECT_TRUE(has("off/attempts/01/kernels.csv"));
  EXPECT_THAT(text("off/attempts/01/sealed.json"), HasSubstr("\"FAILED\""));
  EXPECT_FALSE(has("off/rounds/01/profile"));
  EXPECT_TRUE(has("off/rounds/01/gsm8k/sealed.json"));
  server_.faults.extra_decode_calls = 0;
  const SweepOutcome again = resume();
  EXPECT_EQ(again.exit, 0) << again.report << said_;
  EXPECT_TRUE(has("off/attempts/01/kernels.csv"));
  EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kDerive).exit(), 0);
}

TEST_F(SweepRun, AProfileThatLostACallFailsTheUnit) {
  server_.faults.loses_a_call = true;
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("obey no law"));
}

TEST_F(SweepRun, StopsAfterAFailureWhereTheFileSaysSo) {
  write_sweep({{"ON_FAILURE", "on_failure = \"stop\""}});
  server_.faults.extra_decode_calls = 1;
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_TRUE(has("off/attempts/01"));
  EXPECT_FALSE(has("off/attempts/02"));
  EXPECT_FALSE(has("off/rounds/01/gsm8k"));
}

TEST_F(SweepRun, NonsenseAndShortAnswersFailTheUnitWithTheirReason) {
  request_.only = "off/profile/1";
  server_.faults.answers_nonsense = true;
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("request 1 of the burst failed"));
  server_.faults.answers_nonsense = false;
  server_.faults.answers_short = true;
  EXPECT_EQ(resume().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("wanted exactly"));
  EXPECT_TRUE(has("off/attempts/02/sealed.json"));
}

TEST_F(SweepRun, AServerThatEndsBeforeItIsReadyFailsTheUnit) {
  request_.only = "off/profile/1";
  server_.write_program("exit 3", false);
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("it ended with status 3"));
}

TEST_F(SweepRun, AServerThatEndsBadlyFailsTheUnit) {
  request_.only = "off/profile/1";
  server_.write_program("trap 'exit 9' TERM; echo 'out of luck' >&2; while :; do sleep 0.02; done");
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("ended with status 9"));
  EXPECT_THAT(text("off/attempts/01/log_tail.txt"), HasSubstr("out of luck"));
}

TEST_F(SweepRun, ALostAnswerFailsTheUnitAndKeepsWhatWasAnswered) {
  request_.only = "off/gsm8k";
  server_.faults.refuses_question = 2;
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, HasSubstr("question 2"));
  EXPECT_THAT(text("off/attempts/01/perq.jsonl"), HasSubstr("\"qid\":\"q0\""));
}

TEST_F(SweepRun, OnlyRunsWhatIsNamedAndSaysWhatIsLeft) {
  request_.only = "all-beta/profile/2";
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, kExitIncomplete);
  EXPECT_THAT(outcome.report, HasSubstr("5 of 6 units are not sealed"));
  EXPECT_TRUE(has("all-beta/rounds/02/profile/sealed.json"));
  EXPECT_FALSE(has("off"));
  request_.only = "nobody";
  EXPECT_THROW(resume(), Error);
}

TEST_F(SweepRun, AnInterruptStopsCleanlyAndTheRestCanBeRunLater) {
  RunControl control;
  std::atomic<int> replies{0};
  server_.before_reply = [&] {
    if (++replies == 20) control.ask_to_stop(StopCause::kInterrupt);
  };
  const SweepOutcome outcome = run_sweep(request_, control, {});
  EXPECT_EQ(outcome.exit, kExitInterrupted);
  EXPECT_TRUE(fs::exists(request_.out / "journal.jsonl"));
  server_.before_reply = {};
  const SweepOutcome again = resume();
  EXPECT_EQ(again.exit, 0) << again.report << said_;
}

TEST_F(SweepRun, TheWatchdogStopsTheRunAndSealsTheUnitAsAborted) {
  std::atomic<int> replies{0};
  server_.before_reply = [&] {
    if (++replies == 3) {
      proc_.set_memory(64'000'000, 4'500'000);
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // longer than a look
    }
  };
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, kExitWatchdog);
  EXPECT_THAT(text("off/attempts/01/sealed.json"), HasSubstr("\"ABORTED\""));
  EXPECT_THAT(text("mem_watchdog.log"), HasSubstr("soft_stop"));
}

TEST_F(SweepRun, AHardStopEndsTheServerAtOnce) {
  std::atomic<int> replies{0};
  server_.before_reply = [&] {
    if (++replies != 3) return;
    proc_.set_memory(64'000'000, 1'000'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  };
  EXPECT_EQ(run().exit, kExitWatchdog);
  EXPECT_THAT(text("off/attempts/01/sealed.json"), HasSubstr("\"ABORTED\""));
  EXPECT_THAT(text("mem_watchdog.log"), HasSubstr("hard_stop"));
}

TEST_F(SweepRun, ComparesWithItsBaselineAndLeavesThatAlone) {
  run();
  const fs::path baseline = temp_.path() / "baseline";
  fs::rename(request_.out, baseline);
  const std::string identity = folder_identity(baseline);
  const std::string named = "[baseline]\npath = \"" + baseline.string() + "\"";
  write_sweep(
      {{"BASELINE", named},
       {"EXTRA_GATES", "kernels = { kind = \"equivalent\", margin = \"2%\", required = true }"}});
  const SweepOutcome same = run();
  EXPECT_EQ(same.exit, 0) << same.report << said_;
  EXPECT_THAT(same.report, HasSubstr("baseline untouched: yes"));
  EXPECT_EQ(folder_identity(baseline), identity);
  EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kDerive).exit(), 0);

  server_.faults.slowness = 1.1;
  request_.out = temp_.path() / "slower";
  const SweepOutcome slower = run();
  EXPECT_EQ(slower.exit, 1) << slower.report;
  EXPECT_THAT(slower.report, HasSubstr("gate kernels    FAIL"));
}

TEST_F(SweepRun, AgainstABaselineOfAnotherHostTimesDecideNothing) {
  run();
  const fs::path baseline = temp_.path() / "baseline";
  fs::rename(request_.out, baseline);
  Json provenance = parse_json(text_of(baseline / "provenance.json"), "provenance");
  provenance["host"] = "0123456789abcdef";
  write_file_atomically(baseline / "provenance.json", dump_json(provenance));
  fs::remove(baseline / "MANIFEST.sha256");
  fs::remove(baseline / "MANIFEST.ignored.sha256");
  write_manifests(baseline);
  write_sweep(
      {{"BASELINE", "[baseline]\npath = \"" + baseline.string() + "\""},
       {"EXTRA_GATES", "kernels = { kind = \"equivalent\", margin = \"2%\", required = true }"}});
  server_.faults.slowness = 2;
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, 0) << outcome.report;
  EXPECT_THAT(outcome.report, HasSubstr("timing: other host"));
}

TEST_F(SweepRun, ADamagedBaselineIsNone) {
  run();
  const fs::path baseline = temp_.path() / "baseline";
  fs::rename(request_.out, baseline);
  write_file_atomically(baseline / "off/gsm8k.json", "{}");
  write_sweep({{"BASELINE", "[baseline]\npath = \"" + baseline.string() + "\""}});
  EXPECT_EQ(run().exit, kExitIntegrity);
}

TEST_F(SweepRun, RefusesAFolderThatHoldsSomethingAndOneThatIsClosed) {
  put_file(temp_.path() / "out/mine.txt", "x");
  EXPECT_THROW(run(), Error);
  fs::remove_all(request_.out);
  run();
  EXPECT_THROW(run(), Error);
  EXPECT_THROW(resume(), Error);
  EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kHashes).exit(), 0);
}

/// Changes one digit of a file; false where it has none.
bool flip_a_digit(const fs::path& path) {
  std::string text = text_of(path);
  // The last one, since the first may stand in a schema's name, which nothing is derived from; in
  // the journal the first, since its last line has no line behind it that holds its hash.
  constexpr const char* kDigits = "0123456789";
  const std::size_t at =
      path.filename() == "journal.jsonl" ? text.find_first_of(kDigits) : text.find_last_of(kDigits);
  if (at == std::string::npos) return false;
  text[at] = text[at] == '9' ? '8' : static_cast<char>(text[at] + 1);
  write_file_atomically(path, text);
  return true;
}

TEST_F(SweepRun, VerifyCatchesOneDigitInAnyFile) {
  run();
  std::int64_t flipped = 0;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(request_.out)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    const std::string before = text_of(file);
    if (!flip_a_digit(file)) continue;
    ++flipped;
    EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kHashes).exit(), 8) << file;
    write_file_atomically(file, before);
  }
  EXPECT_GT(flipped, 40);
  EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kHashes).exit(), 0);
}

TEST_F(SweepRun, VerifyDerivesAgainWhatAForgerHashedAnew) {
  run();
  for (const char* name :
       {"summary.md", "report.html", "analysis/verdict.json", "analysis/kernels_ab.csv",
        "off/gsm8k.json", "off/profile_kernels.csv", "off/profile_metadata.json",
        "off/rounds/01/profile/kernels.csv", "off/rounds/01/profile/profile_metadata.json",
        "all-beta/rounds/01/gsm8k/perq.jsonl", "journal.jsonl"}) {
    const fs::path path = request_.out / name;
    const std::string before = text_of(path);
    ASSERT_TRUE(flip_a_digit(path)) << name;
    for (const char* manifest : {"MANIFEST.sha256", "MANIFEST.ignored.sha256"})
      fs::remove(request_.out / manifest);
    write_manifests(request_.out);
    EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kHashes).exit(), 0) << name;
    EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kDerive).exit(), 8) << name;
    write_file_atomically(path, before);
  }
}

}  // namespace
}  // namespace nvllm::bench
