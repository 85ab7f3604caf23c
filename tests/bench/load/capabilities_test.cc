#include "bench/load/capabilities.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/load/drain.h"
#include "support/scripted_server.h"

namespace nvllm::bench {
namespace {

using testing::always;
using testing::ScriptedServer;

TEST(Capabilities, OfAServerThatCanEverythingNeedNoRule) {
  const ScriptedServer server(always({.pieces = std::vector<std::string>(24, "x ")}));
  const Capabilities found = probe_capabilities({.url = server.url(), .api_key = ""});
  for (const char* feature : {"streaming", "stream_usage", "token_ids", "ignore_eos", "metrics"}) {
    EXPECT_TRUE(found.has(feature)) << feature << ": " << found.features.at(feature).evidence;
  }
  EXPECT_EQ(found.features.at("logprobs").seen, Seen::kNo);  // accepted, but none came
  EXPECT_EQ(found.features.at("seed").seen, Seen::kUnknown);
  EXPECT_EQ(found.models, std::vector<std::string>{"scripted"});
  EXPECT_EQ(found.version, "9.9");
  EXPECT_EQ(found.pages.at("/slots"), 404);
  EXPECT_TRUE(deviations_of(found).empty());
  EXPECT_EQ(server.requests().at(0).at("model"), "scripted");
  EXPECT_LE(server.requests().size(), 10u);
}

TEST(Capabilities, WhatIsMissingBecomesADeviation) {
  for (const bool refuses : {true, false}) {
    const ScriptedServer server(always({.pieces = {"x"}}), {.streaming = false,
                                                            .stream_usage = false,
                                                            .token_ids = false,
                                                            .ignore_eos = false,
                                                            .metrics = false,
                                                            .refuses_unknown = refuses});
    const Capabilities found = probe_capabilities({.url = server.url(), .api_key = ""});
    const ServerFeatures features = features_of(found);
    EXPECT_FALSE(features.streaming || features.stream_usage || features.token_ids || features.ignore_eos ||
                 features.metrics);
    EXPECT_EQ(deviations_of(found).size(), 5u);
    const Json json = capabilities_json(found);
    EXPECT_EQ(json.at("deviations").size(), 5u);
    EXPECT_EQ(json.at("observed").at("token_ids").at("seen"), "no");
    EXPECT_EQ(json.at("requested").at("streaming"), false);
  }
}

TEST(Capabilities, LookingForAProfilerStartsNone) {
  const ScriptedServer server(always({.pieces = {"x"}}), {.profile = true});
  const Capabilities found = probe_capabilities({.url = server.url(), .api_key = ""});
  EXPECT_EQ(found.pages.at("/start_profile"), 405);
  EXPECT_EQ(server.profile_actions(), 0);
}

TEST(Capabilities, AServerThatCannotCompleteAPromptIsNotDriven) {
  const ScriptedServer broken(always({.status = 500, .body = "{}"}));
  EXPECT_THROW(probe_capabilities({.url = broken.url(), .api_key = ""}), Error);
  const ScriptedServer garbage(always({.body = "[1, {"}));
  EXPECT_THROW(probe_capabilities({.url = garbage.url(), .api_key = ""}), Error);
  EXPECT_THROW(probe_capabilities({.url = "http://127.0.0.1:1", .api_key = ""}), Error);
}

TEST(MetricsPage, IsReadInThreeDialects) {
  EXPECT_EQ(requests_in_server("# TYPE x gauge\nvllm:num_requests_running{engine=\"0\"} 2.0\n"
                               "vllm:num_requests_waiting{engine=\"0\"} 1.0\n"),
            3);
  EXPECT_EQ(requests_in_server("sglang:num_running_reqs 1\nsglang:num_queue_reqs 0\n"), 1);
  EXPECT_EQ(requests_in_server("llamacpp:requests_processing 1\nllamacpp:requests_deferred 4\n"), 5);
  EXPECT_EQ(requests_in_server("vllm:num_requests_running_total 7\n"), std::nullopt);
  EXPECT_EQ(requests_in_server(""), std::nullopt);
}

}  // namespace
}  // namespace nvllm::bench
