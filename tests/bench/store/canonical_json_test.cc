#include "bench/store/canonical_json.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {
namespace {

TEST(CanonicalJson, SortsKeysAtEveryDepthAndEndsTheLine) {
  const Json value = parse_json(R"({"b":{"z":1,"a":[{"y":2,"x":null}]},"a":true,"B":"t"})", "test");
  EXPECT_EQ(canonical_json(value), "{\"B\":\"t\",\"a\":true,\"b\":{\"a\":[{\"x\":null,\"y\":2}],\"z\":1}}\n");
}

TEST(CanonicalJson, WritesTheShortestNumberThatReadsBack) {
  EXPECT_EQ(canonical_json(Json(0.1)), "0.1\n");
  EXPECT_EQ(canonical_json(Json(1.0 / 3)), "0.3333333333333333\n");
  EXPECT_EQ(canonical_json(Json(1.0)), "1\n");
  EXPECT_EQ(canonical_json(Json(-0.0)), "0\n");
  EXPECT_EQ(canonical_json(Json(5e-324)), "5e-324\n");
  EXPECT_EQ(canonical_json(Json(std::numeric_limits<std::int64_t>::max())), "9223372036854775807\n");
  for (const double number : {17128.171, 1e300, 1.7976931348623157e308, 123456789.125}) {
    const std::string text = canonical_json(Json(number));
    EXPECT_EQ(parse_json(text, "test").get<double>(), number);
    EXPECT_EQ(canonical_json(parse_json(text, "test")), text);
  }
}

TEST(CanonicalJson, DoesNotDependOnTheOrderOfTheSource) {
  EXPECT_EQ(canonical_hash(parse_json(R"({"a":1,"b":2.50})", "test")),
            canonical_hash(parse_json(R"( {"b":2.5, "a":1} )", "test")));
  EXPECT_NE(canonical_hash(Json::array({1, 2})), canonical_hash(Json::array({2, 1})));
  EXPECT_EQ(canonical_hash(Json::object()), sha256_hex(std::string_view("{}\n")));
}

TEST(CanonicalJson, ReadableFormHoldsTheSameValue) {
  const Json value = parse_json(R"({"b":[1,2],"a":{},"c":[]})", "test");
  EXPECT_EQ(readable_json(value), "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": []\n}\n");
  EXPECT_EQ(canonical_json(parse_json(readable_json(value), "test")), canonical_json(value));
}

TEST(CanonicalJson, RefusesWhatJsonCannotHold) {
  EXPECT_THROW(canonical_json(Json(std::numeric_limits<double>::quiet_NaN())), Error);
  EXPECT_THROW(canonical_json(Json(std::numeric_limits<double>::infinity())), Error);
  EXPECT_THROW(canonical_json(Json("\xff")), Error);
}

}  // namespace
}  // namespace nvllm::bench
