#include "bench/run/injected_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "bench/run/fake_injection.h"
#include "bench/run/fake_server.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using nvllm::testing::TempFolder;
using test::FakeInjection;
using test::launches;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// What an action complains of, and its kind.
std::pair<std::string, ErrorKind> fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.what(), error.kind()};
  }
  return {"", ErrorKind::kInternal};
}

TEST(InjectedProcesses, AllAreToldAndThoseThatRanKernelsAreRead) {
  const SocketFolder folder;
  FakeInjection first(folder.path(), 7, launches("gemm", 3, 10));
  FakeInjection second(folder.path(), 8, launches("gemm", 5, 10));
  FakeInjection idle(folder.path(), 9, [](Collector&) {});
  test::put_file(folder.path() / "notes.txt", "no socket");
  InjectedProcesses processes(folder.path());
  for (int burst = 1; burst <= 2; ++burst) {
    processes.start();
    const InjectedProfiles profiles = processes.stop();
    ASSERT_EQ(profiles.folders.size(), 2u);
    for (const fs::path& one : profiles.folders) EXPECT_TRUE(fs::exists(one / "kernels.csv"));
    EXPECT_TRUE(profiles.findings.empty());
    for (const FakeInjection* one : {&first, &second, &idle}) {
      EXPECT_EQ(one->starts, burst);
      EXPECT_EQ(one->stops, burst);
    }
  }
}

TEST(InjectedProcesses, NobodyThereIsNoProfilerAndNamesWhatMayBeTheCause) {
  const SocketFolder folder;
  InjectedProcesses processes(folder.path());
  const auto [what, kind] = fault_of([&] { processes.start(); });
  EXPECT_EQ(kind, ErrorKind::kUnsupported);
  EXPECT_THAT(what, AllOf(HasSubstr("no process of the server"), HasSubstr("LD_PRELOAD")));
}

TEST(InjectedProcesses, ProcessesWithoutAKernelAreNoProfile) {
  const SocketFolder folder;
  const FakeInjection idle(folder.path(), 9, [](Collector&) {});
  InjectedProcesses processes(folder.path());
  processes.start();
  const auto [what, kind] = fault_of([&] { processes.stop(); });
  EXPECT_EQ(kind, ErrorKind::kUnsupported);
  EXPECT_THAT(what, HasSubstr("none of them ran a kernel"));
}

TEST(InjectedProcesses, OneThatEndedBeforeTheStartIsLeftOut) {
  const SocketFolder folder;
  std::make_unique<FakeInjection>(folder.path(), 6, launches("gemm", 1, 1))->leaves_its_socket =
      true;
  ASSERT_TRUE(fs::exists(folder.path() / "control-6.sock"));
  const FakeInjection living(folder.path(), 7, launches("gemm", 1, 1));
  InjectedProcesses processes(folder.path());
  processes.start();
  const InjectedProfiles profiles = processes.stop();
  EXPECT_EQ(profiles.folders.size(), 1u);
  EXPECT_TRUE(profiles.findings.empty());
}

TEST(InjectedProcesses, OneThatEndsWhileItIsProfiledIsAFault) {
  for (const bool leaves : {true, false}) {
    const SocketFolder folder;
    auto mortal = std::make_unique<FakeInjection>(folder.path(), 6, launches("gemm", 1, 1));
    mortal->leaves_its_socket = leaves;
    InjectedProcesses processes(folder.path());
    processes.start();
    mortal.reset();
    const auto [what, kind] = fault_of([&] { processes.stop(); });
    EXPECT_EQ(kind, ErrorKind::kUnavailable);
    EXPECT_THAT(what, HasSubstr("control-6.sock: the process has ended"));
  }
}

TEST(InjectedProcesses, OneThatBeginsLaterIsAFinding) {
  const SocketFolder folder;
  const FakeInjection first(folder.path(), 7, launches("gemm", 1, 1));
  InjectedProcesses processes(folder.path());
  processes.start();
  const FakeInjection later(folder.path(), 8, launches("gemm", 1, 1));
  const InjectedProfiles profiles = processes.stop();
  EXPECT_EQ(profiles.folders.size(), 1u);
  ASSERT_EQ(profiles.findings.size(), 1u);
  EXPECT_THAT(profiles.findings[0], HasSubstr("began to use CUDA"));
}

TEST(InjectedProcesses, SilenceRefusalsAndNonsenseNameTheSocket) {
  const SocketFolder folder;
  FakeInjection process(folder.path(), 7, launches("gemm", 1, 1));
  int calls = 0;
  InjectedProcesses processes(
      folder.path(), {.answer_s = 0.2, .profile_s = 0.2, .while_waiting = [&] { ++calls; }});
  processes.start();
  process.is_silent = true;
  EXPECT_THAT(fault_of([&] { processes.stop(); }).first,
              HasSubstr("control-7.sock: no answer to 'stop' within 0.2 s"));
  EXPECT_GT(calls, 0);
  process.is_silent = false;
  for (const auto& [answer, words] :
       {std::pair(R"({"error": "a profile is running"})",
                  "control-7.sock: does not start: a profile is running"),
        {"hello", "control-7.sock: answers 'start' with no JSON"},
        {"[1]", "wanted an object"}}) {
    process.answer_with(answer);
    const auto [what, kind] = fault_of([&] { processes.start(); });
    EXPECT_THAT(what, HasSubstr(words));
    EXPECT_EQ(kind, ErrorKind::kUnavailable);
  }
}

TEST(InjectedProcesses, WhoeverWaitsForAProfileMayGiveUp) {
  const SocketFolder folder;
  FakeInjection process(folder.path(), 7, launches("gemm", 1, 1));
  InjectedProcesses processes(folder.path(), {.while_waiting = [] {
                                throw Error(ErrorKind::kUnavailable, "interrupted");
                              }});
  processes.start();
  process.is_silent = true;
  EXPECT_EQ(fault_of([&] { processes.stop(); }).first, "interrupted");
}

TEST(SocketFolder, IsShortWhereverTemporaryFilesGoAndGoesWithWhatIsInIt) {
  const TempFolder temp;
  const fs::path deep = temp.path() / std::string(90, 'd');
  fs::create_directories(deep);
  const char* const before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", deep.c_str(), 1);
  fs::path path;
  {
    const SocketFolder folder;
    path = folder.path();
    test::put_file(path / "001/kernels.csv", "x");
    EXPECT_LE((path / "control-4194304.sock").native().size(), 107u);
  }
  EXPECT_FALSE(fs::exists(path));
  if (before == nullptr) {
    ::unsetenv("TMPDIR");
  } else {
    ::setenv("TMPDIR", kept.c_str(), 1);
  }
}

TEST(ProfileLibrary, IsTheOneNamedOrTheOneBesideTheProgram) {
  const TempFolder temp;
  test::put_file(temp / "libnvllm_profile.so", "");
  test::put_file(temp / "mine.so", "");
  EXPECT_EQ(profile_library("", temp / "nvllm"), temp / "libnvllm_profile.so");
  EXPECT_EQ(profile_library(temp / "mine.so", temp / "nvllm"), temp / "mine.so");
  EXPECT_TRUE(profile_library(fs::relative(temp / "mine.so"), "nvllm").is_absolute());
}

TEST(ProfileLibrary, ThatIsMissingOrCannotBePreloadedIsRefused) {
  const TempFolder temp;
  const auto [what, kind] = fault_of([&] { profile_library("", temp / "nvllm"); });
  EXPECT_EQ(kind, ErrorKind::kUsage);
  EXPECT_THAT(what, AllOf(HasSubstr((temp / "libnvllm_profile.so").string()),
                          HasSubstr("tools/build release nvllm_profile")));
  test::put_file(temp / "my folder/x.so", "");
  EXPECT_THAT(fault_of([&] { profile_library(temp / "my folder/x.so", ""); }).first,
              HasSubstr("space or a colon"));
}

TEST(ProfileLibrary, StandsBehindWhatIsPreloadedAlready) {
  std::map<std::string, std::string> env = {{"LD_PRELOAD", "/lib/asan.so"}, {"A", "b"}};
  preload_library(env, "/x/p.so", "/tmp/f");
  EXPECT_EQ(env, (std::map<std::string, std::string>{{"A", "b"},
                                                     {"LD_PRELOAD", "/lib/asan.so:/x/p.so"},
                                                     {"NVLLM_PROFILE_DIR", "/tmp/f"},
                                                     {"NVLLM_PROFILE_START", "wait"}}));
  const char* const before = std::getenv("LD_PRELOAD");
  env.clear();
  preload_library(env, "/x/p.so", "/tmp/f");
  EXPECT_EQ(env.at("LD_PRELOAD"), before == nullptr ? "/x/p.so" : std::string(before) + ":/x/p.so");
}

}  // namespace
}  // namespace nvllm::bench
