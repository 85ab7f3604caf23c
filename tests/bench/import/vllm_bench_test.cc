#include "bench/import/vllm_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json small_result() {
  return parse_json(R"({"date":"20260515-213750","backend":"openai","model_id":"org/model","num_prompts":3,
    "request_rate":"inf","max_concurrency":2,"duration":4.5,"completed":2,"failed":1,"total_input_tokens":30,
    "total_output_tokens":7,"request_throughput":0.444,"request_goodput":null,"output_throughput":1.5556,
    "mean_ttft_ms":120.5,"p99_itl_ms":31.25,"input_lens":[10,20,5],"output_lens":[3,4,0],
    "ttfts":[0.1,0.141,0.0],"itls":[[0.02,0.03],[0.02,0.02,0.03125],[]],"latencies":[0.15,0.2,0.0],
    "errors":["","","Connection reset"]})",
                    "test");
}

class VllmBench : public testing::Test {
 protected:
  LoadResult read(const Json& value) { return import_vllm_bench(folder_.put("r.json", dump_json(value))); }
  std::string refusal(const Json& value) {
    try {
      read(value);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  test::TempFolder folder_;
};

TEST_F(VllmBench, GivesTotalsLatenciesAndRequests) {
  const LoadResult result = read(small_result());
  EXPECT_EQ(result.model, "org/model");
  EXPECT_EQ(result.completed, 2);
  EXPECT_EQ(result.failed, 1);
  EXPECT_EQ(result.output_tokens, 7);
  EXPECT_DOUBLE_EQ(result.duration_s, 4.5);
  EXPECT_DOUBLE_EQ(result.latencies_ms.at("p99_itl_ms"), 31.25);
  EXPECT_EQ(result.settings.at("request_rate"), "inf");
  ASSERT_EQ(result.requests.size(), 3u);
  EXPECT_THAT(result.requests[1].itl_s, ElementsAre(0.02, 0.02, 0.03125));
  EXPECT_DOUBLE_EQ(result.requests[1].latency_s.value(), 0.2);
  EXPECT_EQ(result.requests[2].error, "Connection reset");
  EXPECT_FALSE(result.requests[2].ttft_s.has_value()) << "a failed request has no time to its first token";
}

TEST_F(VllmBench, ReadsAResultWithoutSingleRequestsAndWithoutFailures) {
  Json value = small_result();
  for (const char* key : {"input_lens", "output_lens", "ttfts", "itls", "latencies", "errors", "failed"})
    value.erase(key);
  const LoadResult result = read(value);
  EXPECT_TRUE(result.requests.empty());
  EXPECT_EQ(result.failed, 0);
}

TEST_F(VllmBench, RefusesWithTheField) {
  Json value = small_result();
  value.erase("completed");
  EXPECT_THAT(refusal(value), HasSubstr("field 'completed' is absent, wanted a whole number"));
  value = small_result();
  value["ttfts"].push_back(1);
  EXPECT_THAT(refusal(value), HasSubstr("field 'ttfts' has 4 entries, input_lens has 3"));
  value = small_result();
  value["itls"][0][1] = "x";
  EXPECT_THAT(refusal(value), HasSubstr("itls[0] is \"x\", wanted a number"));
  EXPECT_THAT(refusal(Json::array()), HasSubstr("array where an object"));
}

}  // namespace
}  // namespace nvllm::bench
