// A sweep over a server that already runs: nothing is started or stopped, and what the server lacks
// is made up for by rules that the evidence names.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "base/error.h"
#include "bench/run/fake_server.h"
#include "bench/run/sweep_run.h"
#include "bench/run/verify.h"
#include "bench/store/manifest.h"
#include "bench/store/seal.h"
#include "bench/watchdog/fake_proc.h"
#include "support/scripted_server.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using nvllm::testing::ScriptedFeatures;
using nvllm::testing::ScriptedReply;
using nvllm::testing::ScriptedServer;
using test::put_file;
using test::text_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSweep = R"toml(schema = "nvllm.sweep/v1"
name = "external"
claim = "the new server answers as well"
[server]
kind = "external"
url = "URL"
ready = { timeout_s = 2, poll_s = 0.05 }
TRACES
[model]
id = "MODEL"
[legs.mine]
[schedule]
rounds = { profile = 2, gsm8k = 1 }
[profile]
METHOD
warmup_tokens = 4
deadline_s = 1
bursts = [{ requests = 2, max_tokens = 12 }, { requests = 2, max_tokens = 4 }]
[gsm8k]
dataset = { path = "QUESTIONS" }
n = 2
prompt = "demo"
score = "strict"
deadline_s = 2
[gates]
calls = { kind = "identity", required = true }
floor = { kind = "count_at_least", right = 2 }
[hypotheses]
H1 = { expr = "ms_per_token(mine,wall) > 0" }
[[verdict]]
when = "H1 == PROVISIONAL"
id = "provisional"
[[verdict]]
when = "true"
id = "open"
)toml";

class ExternalSweep : public ::testing::Test {
 protected:
  ExternalSweep() {
    put_file(temp_.path() / "questions.jsonl",
             "{\"question\":\"3 + 4?\",\"answer\":\"#### 7\"}\n{\"question\":\"9 - "
             "2?\",\"answer\":\"#### 7\"}\n");
    request_.sweep_file = temp_.path() / "external.toml";
    request_.out = temp_.path() / "out";
    request_.program = "/bin/true";
    request_.tool = "nvllm test";
    request_.proc_root = proc_.path();
  }

  void serve(ScriptedFeatures features = {}) {
    server_ = std::make_unique<ScriptedServer>(
        [this](const Json& request) { return reply(request); }, features);
    write_sweep("scripted", "", "");
  }

  void write_sweep(const std::string& model, const std::string& traces, const std::string& method) {
    std::string text = kSweep;
    const std::pair<const char*, std::string> parts[] = {
        {"URL", server_->url()},
        {"MODEL", model},
        {"QUESTIONS", (temp_.path() / "questions.jsonl").string()},
        {"TRACES", traces},
        {"METHOD", method}};
    for (const auto& [key, value] : parts)
      text.replace(text.find(key), std::string(key).size(), value);
    put_file(temp_.path() / "external.toml", text);
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
  Json json(const std::string& name) const {
    return parse_json(text_of(request_.out / name), name);
  }
  bool has(const std::string& name) const { return fs::exists(request_.out / name); }

  /// 8 ms a token, so that a busy machine does not turn the slope; questions are those whose prompt is none of the bursts'.
  ScriptedReply reply(const Json& request) {
    ++requests_;
    const bool question = request.value("prompt", "").find('?') != std::string::npos &&
                          request.value("prompt", "").find("eggs") == std::string::npos;
    ScriptedReply answer{.pieces = std::vector<std::string>(24, "x"),
                         .delay = std::chrono::milliseconds(8)};
    if (question) answer.pieces = {"so it is ", "#### ", "7"};
    if (spoil) spoil(question, answer);
    return answer;
  }

  const nvllm::testing::TempFolder temp_;
  nvllm::test::FakeProc proc_;
  std::function<void(bool question, ScriptedReply&)> spoil;
  std::atomic<int> requests_{0};
  std::unique_ptr<ScriptedServer> server_;
  SweepRequest request_;
  std::string said_;
};

TEST_F(ExternalSweep, MeasuresAnswersAndWallTimeAndLeavesKernelsOpen) {
  serve();
  const SweepOutcome outcome = run();
  // The gate about calls is required, and nobody counted any.
  EXPECT_EQ(outcome.exit, 3) << outcome.report << said_;
  EXPECT_THAT(outcome.report, HasSubstr("INCONCLUSIVE"));
  EXPECT_THAT(outcome.report, HasSubstr("2/2"));
  EXPECT_THAT(outcome.report, HasSubstr("verdict: provisional"));
  EXPECT_FALSE(has("mine/rounds/01/profile/kernels.csv"));
  EXPECT_FALSE(has("mine/rounds/01/profile/serve.log"));
  const Json profile = json("mine/rounds/01/profile/profile_metadata.json");
  EXPECT_EQ(profile.at("profiler").at("method"), "none");
  EXPECT_GT(profile.at("budget").at("wall_ms_per_token").get<double>(),
            0.9);  // the server waits 8 ms a token
  EXPECT_EQ(profile.at("engine").at("restarted"), false);
  EXPECT_EQ(profile.at("engine").at("observed").at("/version"), "9.9");
  EXPECT_FALSE(profile.contains("binary"));
  const Json found = json("mine/rounds/01/gsm8k/capabilities.json");
  EXPECT_EQ(found.at("observed").at("token_ids").at("seen"), "yes");
  EXPECT_EQ(found.at("url"), "");
  EXPECT_THAT(text_of(request_.out / "summary.md"),
              AllOf(HasSubstr("server not restarted between rounds"),
                    HasSubstr("kernels are not profiled")));
  const VerifyReport verified = verify_folder(request_.out, VerifyLevel::kTraces);
  EXPECT_EQ(verified.exit(), 0) << verify_text(verified);
}

TEST_F(ExternalSweep, WithoutAnyFeatureTheRulesThatReplaceThemAreNamed) {
  serve({.streaming = false,
         .stream_usage = false,
         .token_ids = false,
         .ignore_eos = false,
         .metrics = false,
         .refuses_unknown = true});
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, 3) << outcome.report << said_;
  const Json profile = json("mine/rounds/01/profile/profile_metadata.json");
  std::string rules;
  for (const Json& one : profile.at("deviations"))
    rules += one.at("reason").get<std::string>() + "\n";
  for (const char* feature :
       {"streaming:", "stream_usage:", "token_ids:", "ignore_eos:", "metrics:"}) {
    EXPECT_THAT(rules, HasSubstr(feature));
  }
  EXPECT_EQ(profile.at("workload").at("ignore_eos"), false);
  EXPECT_EQ(profile.at("token_ids_sha256"), "");
  EXPECT_TRUE(profile.at("budget").contains("wall_ms_per_token"));
  for (const Json& request : server_->requests()) {
    if (request.at("max_tokens") == 12) {
      EXPECT_FALSE(request.contains("ignore_eos"));
    }
  }
}

TEST_F(ExternalSweep, AModelThatEndsItsAnswersItselfHasNoTimePerToken) {
  serve({.ignore_eos = false});
  spoil = [](bool question, ScriptedReply& answer) {
    if (!question) answer.pieces = {"x", "y"};
  };
  EXPECT_EQ(run().exit, 3) << said_;
  const Json profile = json("mine/rounds/01/profile/profile_metadata.json");
  EXPECT_FALSE(profile.at("budget").contains("wall_ms_per_token"));
  EXPECT_EQ(profile.at("workload").at("max_tokens"), 2);
  EXPECT_EQ(profile.at("workload").at("max_tokens_requested"), 12);
  EXPECT_THAT(text_of(request_.out / "summary.md"), HasSubstr("no wall time per token"));
}

TEST_F(ExternalSweep, AnotherModelThanTheSweepNamesFailsEveryUnit) {
  serve();
  write_sweep("somebody-else", "", "");
  const SweepOutcome outcome = run();
  EXPECT_EQ(outcome.exit, kExitIncomplete);
  EXPECT_THAT(said_,
              HasSubstr("the server lists the models 'scripted', the sweep names 'somebody-else'"));
  EXPECT_TRUE(has("mine/attempts/03/sealed.json"));
}

TEST_F(ExternalSweep, NobodyThereFailsTheUnitsWithTheReasonAndComesToNoHarmLater) {
  serve();
  server_->die();
  EXPECT_EQ(run().exit, kExitIncomplete);
  EXPECT_THAT(said_, AllOf(HasSubstr("was not ready within 2 s"), HasSubstr("cannot connect")));
  serve();
  // Another port is another configuration: its units have other hashes, and nothing of the old is
  // kept.
  EXPECT_EQ(resume().exit, 3) << said_;
}

TEST_F(ExternalSweep, HangsMidStreamDeathsAndNonsenseEachFailTheirUnitAndTheRestGoesOn) {
  serve();
  int fault = 0;
  std::atomic<int> bursts{0};
  spoil = [&](bool question, ScriptedReply& answer) {
    if (question || ++bursts <= 12) return;  // the first unit's look and warm-up pass
    if (fault == 0) answer.hang_after = 1;
    if (fault == 1) answer.abort_after = 0;
    if (fault == 2) answer.body = "no JSON";
  };
  for (const auto& [number, words] :
       {std::pair(0, "no complete answer within 1.000 s"), {1, "failed"}, {2, "failed"}}) {
    fault = number;
    bursts = 0;
    said_.clear();
    request_.only = "mine/profile/1";
    EXPECT_EQ(number == 0 ? run().exit : resume().exit, kExitIncomplete);
    EXPECT_THAT(said_, HasSubstr(words)) << number;
  }
  EXPECT_TRUE(has("mine/attempts/03/sealed.json"));
  request_.only = "";
  spoil = {};
  EXPECT_EQ(resume().exit, 3) << said_;
  EXPECT_EQ(verify_folder(request_.out, VerifyLevel::kDerive).exit(), 0);
}

TEST_F(ExternalSweep, AServerReplacedByAnotherBetweenRoundsIsNoticed) {
  serve();
  request_.only = "mine/profile/1";
  EXPECT_EQ(run().exit, kExitIncomplete) << said_;
  const fs::path known = request_.out / "mine/rounds/01/profile/capabilities.json";
  const std::string text = text_of(known);
  // As if the first round had met version 8.8; its seal is made to match.
  Json changed = parse_json(text, "capabilities");
  changed["engine"]["observed"]["/version"] = "8.8";
  put_file(known, dump_json(changed));
  Json seal = json("mine/rounds/01/profile/sealed.json");
  fs::remove(request_.out / "mine/rounds/01/profile/sealed.json");
  std::vector<std::string> names;
  for (const Json& file : seal.at("files")) names.push_back(file.at("name"));
  Seal sealed;
  sealed.unit = {"mine", "profile", 1};
  sealed.unit_hash = seal.at("unit_hash");
  sealed.state = "SEALED";
  write_seal(known.parent_path(), sealed, names);
  request_.only = "mine/profile/2";
  EXPECT_EQ(resume().exit, kExitIncomplete);
  EXPECT_THAT(said_,
              AllOf(HasSubstr("another one than before"), HasSubstr("8.8"), HasSubstr("9.9")));
}

/// A trace as torch writes them: `calls` of one kernel.
std::string trace_of(std::int64_t calls) {
  std::string text = R"({"schemaVersion":1,"traceEvents":[)";
  for (std::int64_t i = 0; i < calls; ++i) {
    text +=
        fmt::format(R"({}{{"ph":"X","cat":"kernel","name":"gemm","pid":0,"tid":7,"ts":{},"dur":20,)"
                    R"("args":{{"grid":[1,1,1],"block":[32,1,1],"stream":7,"correlation":{}}}}})",
                    i == 0 ? "" : ",", 100 + 50 * i, i + 1);
  }
  return text + "]}";
}

TEST_F(ExternalSweep, TorchTracesOfARunningServerGiveItsKernels) {
  const fs::path traces = temp_.path() / "traces";
  fs::create_directories(traces);
  serve({.profile = true});
  write_sweep("scripted", "traces = \"" + traces.string() + "\"", "method = \"torch\"");
  int count = 0;
  server_->on_stop_profile = [&] {
    // Two requests: three calls a decode step and one a request, 11 steps each or 3.
    const std::int64_t steps = ++count % 2 == 1 ? 22 : 6;
    put_file(traces / fmt::format("{}.pt.trace.json", count), trace_of(3 * steps + 2));
    return std::string();
  };
  request_.only = "mine/profile/1";
  EXPECT_EQ(run().exit, kExitIncomplete);
  ASSERT_TRUE(has("mine/rounds/01/profile/kernels.csv")) << said_;
  const Json profile = json("mine/rounds/01/profile/profile_metadata.json");
  EXPECT_EQ(profile.at("profiler").at("method"), "torch");
  EXPECT_EQ(profile.at("law").at("decode_steps"), 22);
  EXPECT_EQ(profile.at("law").at("residual_rows"), 0);
  // Three calls of 20 us a step, whatever the prefill took.
  EXPECT_NEAR(profile.at("budget").at("kernels_ms_per_step").get<double>(), 0.06, 1e-9);
  EXPECT_TRUE(fs::exists(traces / "1.pt.trace.json"));
}

TEST_F(ExternalSweep, ALibraryToInjectThatIsMissingIsRefusedBeforeAnythingIsMade) {
  serve();
  write_sweep("scripted", "command = [\"true\"]", "method = \"inject\"");
  std::string text = text_of(request_.sweep_file);
  text.replace(text.find("external\"\nurl"), 8, "vllm");
  put_file(request_.sweep_file, text);
  try {
    run();
    FAIL() << "nothing was refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("there is no /bin/libnvllm_profile.so; build it with"));
  }
  EXPECT_FALSE(has(""));
}

TEST_F(ExternalSweep, FilesThatCannotBeRunAreRefusedBeforeAnythingIsMade) {
  serve();
  const auto fault = [&](const std::string& from, const std::string& to) -> std::string {
    write_sweep("scripted", "", "");
    std::string text = text_of(request_.sweep_file);
    text.replace(text.find(from), from.size(), to);
    put_file(request_.sweep_file, text);
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(fault("id = \"scripted\"\n", ""), HasSubstr("no 'model.id'"));
  EXPECT_THAT(fault("url = \"" + server_->url() + "\"\n", ""), HasSubstr("has no 'url'"));
  EXPECT_THAT(fault("[legs.mine]\n", "[legs.mine]\narguments = [\"x\"]\n"),
              HasSubstr("is not started here"));
  EXPECT_THAT(fault("kind = \"external\"", "kind = \"vllm\""), HasSubstr("has no 'command'"));
  EXPECT_THAT(fault("kind = \"external\"", "kind = \"vllm\"\ncommand = [\"no-such-program\"]"),
              HasSubstr("'no-such-program' of its command is no program here"));
  EXPECT_THAT(fault("warmup_tokens", "method = \"nsys\"\nwarmup_tokens"),
              HasSubstr("this version profiles"));
  EXPECT_THAT(fault("warmup_tokens", "method = \"inject\"\nwarmup_tokens"),
              HasSubstr("nothing can be loaded into it"));
  EXPECT_THAT(fault("warmup_tokens", "method = \"torch\"\nwarmup_tokens"),
              HasSubstr("'server.traces'"));
  EXPECT_FALSE(has(""));
}

}  // namespace
}  // namespace nvllm::bench
