#include "bench/load/profile_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "bench/store/kernel_csv.h"
#include "support/scripted_server.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::always;
using ::testing::HasSubstr;
using testing::ScriptedServer;

const testing::ScriptedReply kLong{.pieces = std::vector<std::string>(64, "x ")};

ProfileOptions options_for(const ScriptedServer& server) {
  ProfileOptions options;
  options.target.url = server.url();
  options.requests = 2;
  options.tokens = 16;
  options.tokens_short = 8;
  options.deadline_s = 20;
  options.trace_wait_s = 3;
  return options;
}

KernelRow row(const char* name, std::int64_t calls) {
  KernelRow out;
  out.name = out.short_name = name;
  out.n_calls = calls;
  out.mean_us = out.p50_us = out.p95_us = 2;
  out.total_ms = static_cast<double>(calls) * 2e-3;
  return out;
}

/// What the server's profiler writes: three calls a step and one a prefill, whatever was asked of it.
std::string write_profile(const std::filesystem::path& folder, std::int64_t requests, std::int64_t tokens) {
  std::filesystem::create_directories(folder);
  KernelTable table{.leg = "x", .boot_id = {}, .rows = {row("gemm", requests * (3 * (tokens - 1) + 1))}};
  std::ofstream(folder / "profile_kernels.csv") << format_profile_kernels(table);
  return dump_json(Json{{"folder", folder.string()}, {"decode_steps", 0}});
}

std::string fault_of(const ProfileOptions& options) {
  try {
    static_cast<void>(run_profile(options));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ProfileRun, SolvesTheLawFromTwoBursts) {
  const testing::TempFolder temp;
  ScriptedServer server(always(kLong), {.profile = true});
  int burst = 0;
  server.on_stop_profile = [&] {
    ++burst;
    return write_profile(temp / std::to_string(burst), 2, burst == 1 ? 16 : 8);
  };
  const ProfileRun run = run_profile(options_for(server));
  ASSERT_EQ(run.law.rows.size(), 1u);
  EXPECT_EQ(run.law.rows[0].proof, LawProof::kProven);
  EXPECT_EQ(run.law.rows[0].law, (CallLaw{.a = 3, .b = 1}));
  EXPECT_EQ(run.law.residual_rows, 0);
  EXPECT_EQ(run.longer.tokens, 16);
  EXPECT_EQ(server.requests().size(), 5u);  // one to warm up and two in each burst
  EXPECT_EQ(server.calls("/start_profile"), 2);
  EXPECT_EQ(server.calls("/stop_profile"), 2);
  EXPECT_THAT(law_table(run), HasSubstr("gemm"));
  EXPECT_EQ(law_json(run).at("rows").at(0).at("a"), 3);
}

TEST(ProfileRun, SaysSoWhereAServerHasNoProfiler) {
  const ScriptedServer server(always(kLong));
  EXPECT_THAT(fault_of(options_for(server)), HasSubstr("--profile-dir"));
}

TEST(ProfileRun, SaysSoWhereAnAnswerEndsEarlyAndStopsTheProfiler) {
  int asked = 0;
  const ScriptedServer server(
      [&](const Json&) {
        ++asked;
        return asked == 1 ? kLong : testing::ScriptedReply{.pieces = {"x"}};
      },
      {.profile = true});
  EXPECT_THAT(fault_of(options_for(server)), HasSubstr("brought 1 tokens, wanted 16"));
  EXPECT_EQ(server.calls("/stop_profile"), 1);
}

TEST(ProfileRun, NeedsAPlaceForTracesWhereTheServerNamesNone) {
  const testing::TempFolder temp;
  ScriptedServer server(always(kLong), {.profile = true});
  EXPECT_THAT(fault_of(options_for(server)), HasSubstr("--traces"));
  server.on_stop_profile = [] { return std::string(R"({"folder":"/nonexistent/001"})"); };
  EXPECT_THAT(fault_of(options_for(server)), HasSubstr("not on this machine"));
  ProfileOptions options = options_for(server);
  options.traces = temp.path();
  options.trace_wait_s = 1;
  EXPECT_THAT(fault_of(options), HasSubstr("no new *.trace.json"));
}

TEST(ProfileRun, ReadsATraceThatAppearsInTheFolder) {
  const testing::TempFolder temp;
  ScriptedServer server(always(kLong), {.profile = true});
  int burst = 0;
  server.on_stop_profile = [&] {
    ++burst;
    std::string events;
    for (int i = 0; i < 2 * (3 * ((burst == 1 ? 16 : 8) - 1) + 1); ++i) {
      events += std::string(i > 0 ? "," : "") + R"({"ph":"X","cat":"kernel","name":"gemm","ts":)" +
                std::to_string(i * 10) + R"(,"dur":2,"args":{"grid":[1,1,1],"block":[32,1,1],"shared memory":0}})";
    }
    std::ofstream(temp / ("rank0." + std::to_string(burst) + ".pt.trace.json"))
        << R"({"traceEvents":[)" + events + "]}";
    return std::string();
  };
  ProfileOptions options = options_for(server);
  options.traces = temp.path();
  options.trace_wait_s = 30;
  const ProfileRun run = run_profile(options);
  ASSERT_EQ(run.law.rows.size(), 1u);
  EXPECT_EQ(run.law.rows[0].law, (CallLaw{.a = 3, .b = 1}));
}

TEST(ProfileRun, RefusesTwoBurstsOfOneLength) {
  const ScriptedServer server(always(kLong), {.profile = true});
  ProfileOptions options = options_for(server);
  options.tokens_short = options.tokens;
  EXPECT_THROW(run_profile(options), Error);
}

}  // namespace
}  // namespace nvllm::bench
