#include "bench/server_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "base/error.h"
#include "bench/run/fake_server.h"
#include "support/scripted_server.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::ScriptedServer;
using nvllm::testing::TempFolder;
using ::testing::HasSubstr;

/// A program that a script stands for.
class ServerProcessTest : public ::testing::Test {
 protected:
  ServerOptions options(const std::string& script) {
    const std::filesystem::path program = temp_.path() / "program";
    test::put_file(program, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    return {.program = program.string(),
            .arguments = {"--x", "1"},
            .ready_time = std::chrono::seconds(10)};
  }
  std::string named() const { return "echo " + server_.url() + "\n"; }

  const TempFolder temp_;
  ScriptedServer server_{nvllm::testing::always({})};
};

constexpr const char* kUntilEnded = "trap 'exit 0' TERM; while :; do sleep 0.02; done";

// Whoever has named its address may be told to end at once: the trap has to be there before.
constexpr const char* kObeying = "trap 'exit 0' TERM\n";

/// Whether a process whose parent is gone ends: whoever inherited it may take a moment to collect it.
bool is_gone_soon(pid_t process) {
  const auto gone = [process] {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    std::string pid, name, state;
    return !(stat >> pid >> name >> state) || state == "Z";
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!gone() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return gone();
}

TEST_F(ServerProcessTest, PassesArgumentsAndEnvironmentAndKeepsTheLog) {
  ServerOptions with = options("echo \"$@ leg=$LEG\" >&2\n" + std::string(kObeying) + named() + kUntilEnded);
  with.env = {{"LEG", "all"}};
  with.log_file = temp_.path() / "serve.log";
  ServerProcess process(std::move(with));
  EXPECT_EQ(process.url(), server_.url());
  EXPECT_TRUE(process.alive());
  EXPECT_EQ(process.stop(), 0);
  EXPECT_FALSE(process.alive());
  EXPECT_EQ(test::text_of(temp_.path() / "serve.log"), "serve --port 0 --x 1 leg=all\n");
}

TEST_F(ServerProcessTest, SaysHowAServerEndedThatNeverWasReady) {
  try {
    const ServerProcess process(options("echo nothing useful; exit 4"));
    ADD_FAILURE() << "ready";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("it ended with status 4"));
    EXPECT_THAT(error.what(), HasSubstr("nothing useful"));
  }
}

TEST_F(ServerProcessTest, GivesUpWhenItsTimeIsOver) {
  ServerOptions slow = options(kUntilEnded);
  slow.ready_time = std::chrono::milliseconds(300);
  EXPECT_THROW(ServerProcess{std::move(slow)}, Error);
}

TEST_F(ServerProcessTest, WhoeverWaitsMayGiveUp) {
  ServerOptions slow = options(kUntilEnded);
  int calls = 0;
  slow.while_waiting = [&] {
    if (++calls == 2) throw Error(ErrorKind::kUnavailable, "enough");
  };
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(ServerProcess{std::move(slow)}, Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(ServerProcessTest, EndsItsWholeGroupAndNobodyElse) {
  // The script's child would outlive it.
  ServerOptions own = options("sleep 600 & echo $! >'" + (temp_.path() / "child").string() + "'\n" +
                              named() + kUntilEnded);
  own.group = ServerGroup::kOwn;
  ServerProcess process(std::move(own));
  pid_t child = 0;
  std::ifstream(temp_.path() / "child") >> child;
  ASSERT_GT(child, 1);
  EXPECT_EQ(::getpgid(child), process.process_id());
  kill_server_group(process.process_id());
  EXPECT_EQ(process.stop(), -1);
  EXPECT_TRUE(is_gone_soon(child));
}

TEST_F(ServerProcessTest, RefusesAnAddressThatAnswersAlready) {
  ServerOptions told = options(kUntilEnded);
  told.command = {told.program};
  told.url = server_.url();
  try {
    const ServerProcess process(std::move(told));
    ADD_FAILURE() << "ready";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("answers already"));
  }
}

TEST_F(ServerProcessTest, ACommandIsFoundInPathAndItsWordsAreSaidToTheLog) {
  EXPECT_EQ(find_program("sh").filename(), "sh");
  EXPECT_TRUE(find_program("no-such-program-anywhere").empty());
  ServerOptions told;
  told.command = {"sh", "-c", "echo out; echo err >&2; exit 5"};
  told.url = "http://127.0.0.1:" + std::to_string(free_port());
  told.log_file = temp_.path() / "serve.log";
  told.ready_time = std::chrono::seconds(10);
  EXPECT_THROW(ServerProcess{std::move(told)}, Error);
  EXPECT_EQ(test::text_of(temp_.path() / "serve.log"), "out\nerr\n");
}

TEST_F(ServerProcessTest, KillsWhatOutlivesItsGraceTime) {
  ServerOptions stubborn = options("trap '' TERM\n" + named() + "while :; do sleep 0.02; done");
  stubborn.grace_time = std::chrono::milliseconds(200);
  ServerProcess process(std::move(stubborn));
  EXPECT_EQ(process.stop(), -1);
  EXPECT_TRUE(process.was_killed());
}

TEST_F(ServerProcessTest, WhatTheServerLeftBehindEndsWithIt) {
  ServerOptions own =
      options("(trap '' TERM; exec sleep 600) & echo $! >'" + (temp_.path() / "child").string() +
              "'\n" + kObeying + named() + kUntilEnded);
  own.group = ServerGroup::kOwn;
  ServerProcess process(std::move(own));
  pid_t child = 0;
  std::ifstream(temp_.path() / "child") >> child;
  ASSERT_GT(child, 1);
  EXPECT_EQ(process.stop(), 0);
  EXPECT_TRUE(is_gone_soon(child));
}

}  // namespace
}  // namespace nvllm::bench
