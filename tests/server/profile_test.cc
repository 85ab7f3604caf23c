#include "server/profiler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/error.h"
#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::ServedApi;
using nvllm::testing::Start;

/// Remembers whether it runs; fails to stop when told to.
class FakeProfiler final : public Profiler {
 public:
  ProfileStart start() override {
    if (running) return ProfileStart::kAlreadyRunning;
    running = true;
    return ProfileStart::kStarted;
  }
  std::optional<ProfileResult> stop() override {
    if (fails) throw Error(ErrorKind::kBadFile, "/secret/place: the disk is full");
    if (!running.exchange(false)) return std::nullopt;
    return ProfileResult{.folder = "profiles/007", .decode_steps = 12, .prefills = 3, .kernel_calls = 99};
  }

  std::atomic<bool> running{false}, fails{false};
};

/// A served API with a profiler, or without one.
struct Profiled {
  explicit Profiled(std::unique_ptr<FakeProfiler> fake) : api(Start::kLoading), profiler(fake.get()) {
    api.context().set_model(std::make_unique<ServedModel>(ServedModel{std::make_unique<nvllm::testing::FakeGenerator>(),
                                                                      nvllm::testing::make_byte_tokenizer(),
                                                                      {},
                                                                      {},
                                                                      std::move(fake)}));
  }
  ~Profiled() { api.context().aside().finish(); }
  net::HttpResponse post(const char* path) { return api.client().post(path, ""); }
  Json error(const char* path) { return parse_json(post(path).body, "answer")["error"]; }

  ServedApi api;
  FakeProfiler* profiler;
};

TEST(Profile, StartsWithAnEmptyAnswerAndStopsWithTheFolder) {
  Profiled served(std::make_unique<FakeProfiler>());
  const net::HttpResponse started = served.post("/start_profile");
  EXPECT_EQ(started.status, 200);
  EXPECT_EQ(started.body, "");
  EXPECT_TRUE(served.profiler->running);
  const net::HttpResponse stopped = served.post("/stop_profile");
  EXPECT_EQ(stopped.status, 200);
  EXPECT_FALSE(served.profiler->running);
  const Json answer = parse_json(stopped.body, "answer");
  EXPECT_EQ(answer["folder"], "profiles/007");
  EXPECT_EQ(answer["decode_steps"], 12);
  EXPECT_EQ(answer["prefills"], 3);
  EXPECT_EQ(answer["kernel_calls"], 99);
}

TEST(Profile, RefusesASecondStartAndAStopWithoutOne) {
  Profiled served(std::make_unique<FakeProfiler>());
  EXPECT_EQ(served.post("/stop_profile").status, 409);
  EXPECT_EQ(served.error("/stop_profile")["code"], "profile_not_running");
  EXPECT_EQ(served.post("/start_profile").status, 200);
  EXPECT_EQ(served.post("/start_profile").status, 409);
  EXPECT_EQ(served.error("/start_profile")["code"], "profile_running");
  EXPECT_TRUE(served.profiler->running);
}

TEST(Profile, IsNotThereUnlessTheServerWasStartedWithAFolder) {
  Profiled served(nullptr);
  for (const char* path : {"/start_profile", "/stop_profile"}) {
    EXPECT_EQ(served.post(path).status, 404) << path;
    EXPECT_NE(served.error(path)["message"].get<std::string>().find("--profile-dir"), std::string::npos);
  }
}

TEST(Profile, IsUnavailableWhileTheModelLoads) {
  ServedApi api(Start::kLoading);
  EXPECT_EQ(api.client().post("/start_profile", "").status, 503);
}

TEST(Profile, AFailureToWriteIsAServerErrorWithoutDetails) {
  Profiled served(std::make_unique<FakeProfiler>());
  served.profiler->fails = true;
  EXPECT_EQ(served.post("/stop_profile").status, 500);
  EXPECT_EQ(dump_json(served.error("/stop_profile")).find("secret"), std::string::npos);
}

TEST(SideThread, RunsTasksInOrderAndNoneAfterItIsFinished) {
  std::vector<int> ran;
  std::promise<void> third;
  SideThread aside;
  aside.post([&] { ran.push_back(1); });
  aside.post([&] { ran.push_back(2); });
  aside.post([&] {
    ran.push_back(3);
    third.set_value();
  });
  third.get_future().wait();
  aside.finish();
  aside.post([&] { ran.push_back(4); });
  aside.finish();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
}

TEST(SideThread, DropsWhatHasNotBegunWhenItIsFinished) {
  std::promise<void> begun, go;
  std::atomic<bool> second{false};
  const auto held = std::make_shared<int>(1);
  SideThread aside;
  aside.post([&] {
    begun.set_value();
    go.get_future().wait();
  });
  aside.post([&second, held] { second = true; });
  begun.get_future().wait();
  std::thread finisher([&] { aside.finish(); });
  // Only when the waiting task has been dropped may the running one end.
  while (held.use_count() > 1) std::this_thread::yield();
  go.set_value();
  finisher.join();
  EXPECT_FALSE(second);
}

}  // namespace
}  // namespace nvllm::server
