// What a client sees when a step fails for good: a real engine behind the API, its runner scripted.

#include <gtest/gtest.h>

#include <stdexcept>

#include "support/scripted_runner.h"
#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::ServedApi;
using nvllm::testing::Start;

TEST(EngineFailure, IsTheEndOfTheRequestOfHealthAndOfNewRequests) {
  engine::EngineLimits limits = test::small_limits();
  limits.vocab_size = nvllm::testing::kByteVocabSize;
  auto runner = std::make_unique<test::ScriptedRunner>(limits);
  runner->before_step = [](const engine::StepPlan& plan) {
    if (plan.ids.size() > 2) throw std::runtime_error("the device fell off");
  };
  ServedApi api(Start::kLoading);
  api.load(std::make_unique<EngineGenerator>(std::make_unique<engine::Engine>(std::move(runner), 10)));
  EXPECT_EQ(api.client().get("/health").status, 200);

  int status = 0;
  const Json failed = api.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 2}}, &status);
  EXPECT_EQ(status, 500);
  EXPECT_EQ(failed["error"]["code"], "engine_error");
  EXPECT_EQ(failed["error"]["message"].get<std::string>().find("fell off"), std::string::npos);

  const net::HttpResponse health = api.client().get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(parse_json(health.body, "health")["error"]["code"], "engine_dead");
  EXPECT_EQ(api.post("/v1/completions", {{"prompt", "a"}}, &status)["error"]["code"], "engine_dead");
  EXPECT_EQ(status, 503);
}

}  // namespace
}  // namespace nvllm::server
