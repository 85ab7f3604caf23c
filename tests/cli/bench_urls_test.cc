#include "cli/bench_urls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "../support/scripted_server.h"
#include "../support/temp_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "bench/import/vllm_bench.h"
#include "bench/store/perq.h"

namespace nvllm::cli {
namespace {

using nvllm::testing::ScriptedReply;
using nvllm::testing::ScriptedServer;
using ::testing::HasSubstr;
using ::testing::Not;

/// Three questions whose right answer is 1, and the command line that puts them to a server.
class BenchUrls : public ::testing::Test {
 protected:
  BenchUrls() {
    std::ofstream file(problems_);
    for (const char* name : {"a", "b", "c"})
      file << R"({"question":")" << name << R"(","answer":"#### 1"})"
           << "\n";
  }

  int run(const std::vector<std::string>& words) {
    CLI::App app;
    const auto verbs = add_url_verbs(app);
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    ::testing::internal::CaptureStdout();
    int code = -1;
    try {
      code = verbs().value_or(-1);
    } catch (...) {
      ::testing::internal::GetCapturedStdout();
      throw;
    }
    printed_ = ::testing::internal::GetCapturedStdout();
    return code;
  }

  int eval(const ScriptedServer& server, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"eval", server.url(), "--problems", problems_.string()});
    return run(more);
  }

  const nvllm::testing::TempFolder temp_;
  const std::filesystem::path problems_ = temp_ / "problems.jsonl";
  std::string printed_;
};

TEST_F(BenchUrls, EvalCountsAndGatesAsItAlwaysDid) {
  const ScriptedServer server([](const Json& request) {
    const bool wrong = request.at("prompt").get<std::string>().find(" b\n") != std::string::npos;
    return ScriptedReply{.pieces = {"#### ", wrong ? "2" : "1"}};
  });
  EXPECT_EQ(eval(server, {"--require", "2"}), 0);
  EXPECT_THAT(printed_, HasSubstr("2 of 3 right, 0 failed, 6 tokens"));
  EXPECT_EQ(eval(server, {"--require", "3"}), 1);
  EXPECT_EQ(eval(server, {"--limit", "1", "--json"}), 0);
  const Json json = parse_json(printed_, "stdout");
  EXPECT_EQ(json.at("right"), 1);
  EXPECT_EQ(json.at("total"), 1);
  EXPECT_EQ(json.at("failed"), 0);
}

TEST_F(BenchUrls, EvalWritesAFolderAndGoesOnWithIt) {
  int answers = 0;
  const ScriptedServer server([&](const Json& request) {
    const bool probe = request.at("prompt") == "One, two, three,";
    if (!probe && ++answers == 2) return ScriptedReply{.status = 500, .body = "{}"};
    return ScriptedReply{.pieces = {"#### ", "1"}};
  });
  const std::string out = (temp_ / "base" / "demo").string();
  EXPECT_EQ(eval(server, {"--concurrency", "1", "--out", out}), 1);
  for (const char* name : {"perq.jsonl", "outputs.jsonl", "gsm8k.json", "gsm8k_metadata.json", "capabilities.json"}) {
    EXPECT_TRUE(std::filesystem::exists(out + "/" + name)) << name;
  }
  EXPECT_THROW(eval(server, {"--out", out}), Error);
  EXPECT_EQ(eval(server, {"--out", out, "--resume"}), 0);
  EXPECT_THAT(printed_, HasSubstr("3 of 3 right, 0 failed, 2 tokens"));
  const auto lines = bench::parse_perq(read_file(out + "/perq.jsonl", 1 << 20), "perq.jsonl");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[2].attempt, 2);
  EXPECT_EQ(lines[0].leg, "demo");
  EXPECT_EQ(lines[2].boot_id, lines[0].boot_id);
}

TEST_F(BenchUrls, EvalTellsOfCensoredAnswersAndUnclearOnes) {
  const ScriptedServer server([](const Json& request) {
    const std::string prompt = request.at("prompt").get<std::string>();
    if (prompt.find(": c\n") != std::string::npos) return ScriptedReply{.hang_after = 1};
    return ScriptedReply{.pieces = {"#### 1", "\nQuestion: 5"}};
  });
  EXPECT_EQ(eval(server, {"--deadline", "0.3"}), 1);
  EXPECT_THAT(printed_, HasSubstr("right answers lie between 2 and 3 of 3"));
  EXPECT_THAT(printed_, HasSubstr("alarm: the readings differ on 2 of 2 answers"));
}

TEST_F(BenchUrls, EvalOfAServerThatIsNotThereIsUnavailable) {
  EXPECT_THROW(run({"eval", "http://127.0.0.1:1", "--problems", problems_.string()}), Error);
}

TEST_F(BenchUrls, SendsTheKeyOfAFile) {
  const ScriptedServer server(nvllm::testing::always({.pieces = {"#### ", "1"}}));
  std::ofstream(temp_ / "key") << "secret\nother\n";
  EXPECT_EQ(eval(server, {"--api-key-file", (temp_ / "key").string()}), 0);
  EXPECT_EQ(server.last_key(), "Bearer secret");
  std::ofstream(temp_ / "empty") << "\n";
  EXPECT_THROW(eval(server, {"--api-key-file", (temp_ / "empty").string()}), Error);
}

TEST_F(BenchUrls, LoadWritesWhatTheImporterReads) {
  const ScriptedServer server(nvllm::testing::always({.pieces = std::vector<std::string>(24, "x ")}));
  const std::string out = (temp_ / "load.json").string();
  EXPECT_EQ(run({"load", server.url(), "--requests", "6", "--streams", "2", "--output-tokens", "4", "--out", out}), 0);
  EXPECT_THAT(printed_, HasSubstr("6 completed, 0 failed"));
  EXPECT_THAT(printed_, HasSubstr("between tokens"));
  const bench::LoadResult back = bench::import_vllm_bench(out);
  EXPECT_EQ(back.completed, 6);
  EXPECT_EQ(back.output_tokens, 24);
}

TEST_F(BenchUrls, ProfileRefusesAServerWithoutAProfiler) {
  const ScriptedServer server(nvllm::testing::always({.pieces = std::vector<std::string>(70, "x ")}));
  try {
    run({"profile", server.url()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("--profile-dir"));
  }
}

}  // namespace
}  // namespace nvllm::cli
