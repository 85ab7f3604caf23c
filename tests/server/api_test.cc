#include "server/api.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/error.h"
#include "support/raw_socket.h"
#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::RawSocket;
using nvllm::testing::ServedApi;
using nvllm::testing::Start;

int status_with(ServedApi& api, const net::Route& route, const std::string& authorization) {
  net::HttpClientOptions options;
  if (!authorization.empty()) options.headers = {{"Authorization", authorization}};
  net::HttpClient client(api.url(), options);
  return client.request(route.method, route.path, route.method == "POST" ? "{}" : "").status;
}

TEST(Api, WantsAKeyOnEveryRouteButHealthAndThePageItself) {
  ApiKeys keys;
  keys.add("right");
  keys.add("other");
  ServedApi api(Start::kLoaded, std::move(keys));
  ASSERT_EQ(api.api().router().routes().size(), 17u);
  for (const net::Route& route : api.api().router().routes()) {
    const bool open = route.path == "/health" || route.path == "/" || route.path == "/page.js";
    EXPECT_EQ(status_with(api, route, "") == 401, !open) << route.path;
    for (const char* wrong : {"Bearer wrong", "Bearer ", "Bearer right2", "right", "Basic right"}) {
      EXPECT_EQ(status_with(api, route, wrong) == 401, !open) << route.path << wrong;
    }
    EXPECT_NE(status_with(api, route, "Bearer right"), 401) << route.path;
    EXPECT_NE(status_with(api, route, "bearer other"), 401) << route.path;
  }
  const net::Route unknown{"GET", "/v2/secret", {}};
  EXPECT_EQ(status_with(api, unknown, ""), 401);
  EXPECT_EQ(status_with(api, unknown, "Bearer right"), 404);
  const net::Route odd{"GET", "/health/../metrics", {}};
  EXPECT_EQ(status_with(api, odd, ""), 401);
}

TEST(ApiKeys, AreReadFromAFile) {
  const auto path =
      std::filesystem::temp_directory_path() / ("nvllm-api-keys-" + std::to_string(::getpid()));
  std::ofstream(path) << "# comment\n\n  first \r\nsecond";
  const ApiKeys keys = ApiKeys::load(path);
  EXPECT_TRUE(keys.allow({.headers = {{"authorization", "Bearer first"}}}));
  EXPECT_TRUE(keys.allow({.headers = {{"Authorization", "Bearer second"}}}));
  EXPECT_FALSE(keys.allow({.headers = {{"Authorization", "Bearer # comment"}}}));
  EXPECT_FALSE(keys.allow({}));
  std::ofstream(path) << "# nothing\n";
  EXPECT_THROW(ApiKeys::load(path), Error);
  std::filesystem::remove(path);
  EXPECT_THROW(ApiKeys::load(path), Error);
}

TEST(Api, AnswersUnknownPathsAndMethodsInErrorShape) {
  ServedApi api;
  const net::HttpResponse missing = api.client().get("/nowhere");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(parse_json(missing.body, "answer")["error"]["type"], "not_found_error");
  const net::HttpResponse method = api.client().get("/v1/completions");
  EXPECT_EQ(method.status, 405);
  ASSERT_NE(method.header("Allow"), nullptr);
  EXPECT_EQ(*method.header("Allow"), "POST");
}

TEST(Api, AnswersRefusalsBelowItInErrorShape) {
  net::HttpLimits limits;
  limits.body_bytes_max = 1000;
  ServedApi api(Start::kLoaded, {}, limits);
  for (int time = 0; time < 2; ++time) {
    const net::HttpResponse large = api.client().post("/v1/completions", std::string(1001, 'x'));
    EXPECT_EQ(large.status, 413);
    EXPECT_TRUE(parse_json(large.body, "answer")["error"]["message"].is_string());
  }
  RawSocket socket(api.http().port());
  socket.send("NONSENSE\r\n\r\n");
  EXPECT_NE(socket.read_until("}}").find(R"({"error":{"message")"), std::string::npos);
  EXPECT_EQ(api.client().post("/v1/completions", R"({"prompt":"a"})").status, 200);
}

TEST(Api, IsUnhealthyUntilItCanServe) {
  ServedApi api(Start::kLoading);
  EXPECT_EQ(api.client().get("/health").status, 503);
  EXPECT_EQ(api.client().post("/v1/completions", R"({"prompt":"a"})").status, 503);
  EXPECT_EQ(api.client().get("/v1/models").status, 503);
  EXPECT_EQ(api.client().get("/metrics").status, 200);
  EXPECT_EQ(parse_json(api.client().get("/version").body, "answer")["version"], "1.2.3");
  api.load();
  EXPECT_EQ(api.client().get("/health").status, 200);
}

TEST(Api, IsUnhealthyWhenTheEngineIsDeadOrHung) {
  ServedApi api;
  engine::EngineStats stats;
  stats.alive = false;
  api.generator().set_stats(stats);
  EXPECT_EQ(api.client().get("/health").status, 503);
  stats.alive = true;
  stats.seconds_since_step = 1e6;
  api.generator().set_stats(stats);
  EXPECT_EQ(api.client().get("/health").status, 503);
  api.generator().set_stats({});
  EXPECT_EQ(api.client().get("/health").status, 200);
}

TEST(Api, ListsItsModels) {
  ServedApi api;
  const Json list = parse_json(api.client().get("/v1/models").body, "answer");
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][1]["id"], "alias");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["max_model_len"], 512);
}

TEST(Api, TokenizesAndBack) {
  ServedApi api;
  const Json tokens = api.post("/tokenize", {{"prompt", "né"}, {"return_token_strs", true}});
  EXPECT_EQ(tokens["count"], 3);
  EXPECT_EQ(tokens["max_model_len"], 512);
  EXPECT_EQ(dump_json(tokens["tokens"]), "[110,195,169]");
  EXPECT_EQ(tokens["token_strs"][0], "n");
  EXPECT_EQ(api.post("/detokenize", {{"tokens", {110, 195, 169}}})["prompt"], "né");
  Json chat;
  chat["messages"] = Json::array({Json{{"role", "user"}, {"content", "x"}}});
  EXPECT_EQ(api.post("/tokenize", chat)["tokens"][0], nvllm::testing::kTurnStartId);
  int status = 0;
  for (const char* body : {"{}", R"({"prompt":5})", R"({"prompt":"a","model":"other"})"}) {
    api.post_text("/tokenize", body, &status);
    EXPECT_GE(status, 400) << body;
  }
  for (const char* body :
       {"{}", R"({"tokens":[259]})", R"({"tokens":"a"})", R"({"tokens":[-1]})"}) {
    api.post_text("/detokenize", body, &status);
    EXPECT_EQ(status, 400) << body;
  }
}

/// The samples of a Prometheus page by name with labels; fails on lines outside the format.
std::map<std::string, double> parse_metrics(const std::string& page) {
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      std::string name, type;
      words >> name >> type;
      EXPECT_TRUE(types.emplace(name, type).second) << "declared twice: " << name;
      continue;
    }
    const std::size_t space = line.rfind(' ');
    if (space == std::string::npos) {
      ADD_FAILURE() << line;
      continue;
    }
    const std::string key = line.substr(0, space);
    EXPECT_TRUE(samples.emplace(key, std::stod(line.substr(space + 1))).second) << line;
    std::string family = key.substr(0, key.find('{'));
    for (const char* end : {"_bucket", "_sum", "_count"}) {
      const std::string base =
          family.substr(0, family.size() - std::min(family.size(), std::string(end).size()));
      if (family.ends_with(end) && types[base] == "histogram") family = base;
    }
    EXPECT_TRUE(types.contains(family)) << line;
  }
  return samples;
}

TEST(Api, GeneratesATokenToSayThatItIsHealthy) {
  ServedApi api;
  EXPECT_EQ(api.client().get("/health_generate").status, 200);
  EXPECT_EQ(api.generator().requests().at(0).max_tokens, 1);
  api.generator().set_script([](const engine::GenerationRequest&) {
    return std::vector<engine::StreamEvent>{nvllm::testing::tokens_event({}, engine::FinishReason::kError)};
  });
  EXPECT_EQ(api.client().get("/health_generate").status, 503);
  api.generator().set_outcome(engine::SubmitOutcome::kQueueFull);
  EXPECT_EQ(api.client().get("/health_generate").status, 503);
  engine::EngineStats dead;
  dead.alive = false;
  api.generator().set_stats(dead);
  EXPECT_EQ(api.client().get("/health_generate").status, 503);
}

TEST(Api, TellsItsLoad) {
  ServedApi api;
  engine::EngineStats stats;
  stats.running = 2;
  stats.waiting = 3;
  api.generator().set_stats(stats);
  EXPECT_EQ(api.client().get("/load").body, R"({"server_load":0,"running":2,"waiting":3})");
}

TEST(Api, ResetsThePrefixCache) {
  ServedApi api;
  EXPECT_EQ(api.client().post("/reset_prefix_cache", "").status, 200);
  EXPECT_EQ(api.generator().prefix_resets(), 1);
}

TEST(Api, ReportsMetrics) {
  ServedApi api;
  api.post("/v1/completions", {{"prompt", "ab"}});
  api.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 1}});
  api.client().get("/nowhere");
  engine::EngineStats stats;
  stats.running = 2;
  stats.waiting = 3;
  stats.kv_blocks_used = 25;
  stats.kv_blocks_total = 100;
  stats.state_slots_used = 4;
  stats.state_slots_total = 8;
  stats.prompt_tokens = 11;
  stats.generation_tokens = 12;
  stats.preemptions = 1;
  stats.prefix = {.hits = 5, .misses = {1, 2, 3, 4, 6}, .queried_tokens = 70, .cached_tokens = 60, .checkpoints = 7, .evictions = 8, .kv_blocks = 9};
  api.generator().set_stats(stats);
  const net::HttpResponse response = api.client().get("/metrics");
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  const auto samples = parse_metrics(response.body);
  const std::string labels = R"({model_name="tiny"})";
  EXPECT_EQ(samples.at("vllm:num_requests_running" + labels), 2);
  EXPECT_EQ(samples.at("vllm:num_requests_waiting" + labels), 3);
  EXPECT_EQ(samples.at("vllm:kv_cache_usage_perc" + labels), 0.25);
  EXPECT_EQ(samples.at("nvllm:state_slot_usage_perc" + labels), 0.5);
  EXPECT_EQ(samples.at("vllm:prompt_tokens_total" + labels), 11);
  EXPECT_EQ(samples.at("vllm:generation_tokens_total" + labels), 12);
  EXPECT_EQ(samples.at("vllm:num_preemptions_total" + labels), 1);
  EXPECT_EQ(samples.at("vllm:prefix_cache_queries_total" + labels), 70);
  EXPECT_EQ(samples.at("vllm:prefix_cache_hits_total" + labels), 60);
  EXPECT_EQ(samples.at("nvllm:prefix_cache_states" + labels), 7);
  EXPECT_EQ(samples.at(R"(nvllm:prefix_cache_misses_total{model_name="tiny",reason="diverged"})"), 2);
  EXPECT_EQ(samples.at(R"(nvllm:prefix_cache_misses_total{model_name="tiny",reason="scored"})"), 6);
  EXPECT_EQ(samples.at(R"(vllm:request_success_total{model_name="tiny",finished_reason="stop"})"),
            1);
  EXPECT_EQ(samples.at(R"(vllm:request_success_total{model_name="tiny",finished_reason="length"})"),
            1);
  EXPECT_EQ(samples.at("vllm:time_to_first_token_seconds_count" + labels), 2);
  EXPECT_EQ(samples.at("vllm:e2e_request_latency_seconds_count" + labels), 2);
  EXPECT_EQ(samples.at(R"(vllm:e2e_request_latency_seconds_bucket{model_name="tiny",le="+Inf"})"),
            2);
  EXPECT_EQ(samples.at(R"(nvllm:requests_refused_total{model_name="tiny",status="404"})"), 1);
}

TEST(Histogram, CountsCumulatively) {
  Histogram histogram({1, 2, 4});
  histogram.observe(1);
  histogram.observe(3, 2);
  histogram.observe(9);
  std::string out;
  histogram.write("x", "", out);
  EXPECT_EQ(out,
            "x_bucket{le=\"1\"} 1\nx_bucket{le=\"2\"} 1\nx_bucket{le=\"4\"} 3\n"
            "x_bucket{le=\"+Inf\"} 4\nx_sum{} 16\nx_count{} 4\n");
}

}  // namespace
}  // namespace nvllm::server
