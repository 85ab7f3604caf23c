#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm {
namespace {

TEST(ParseJson, KeepsTheKeyOrderOfItsSource) {
  EXPECT_EQ(dump_json(parse_json(R"({"b":1,"a":2})", "test")), R"({"b":1,"a":2})");
}

TEST(ParseJson, RefusesADuplicateKeyByName) {
  try {
    parse_json(R"({"x":{"same":1,"same":2}})", "file.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_NE(std::string(error.what()).find("'same'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("file.json"), std::string::npos);
  }
}

TEST(ParseJson, AllowsTheSameKeyInDifferentObjects) {
  EXPECT_NO_THROW(parse_json(R"([{"k":1},{"k":{"k":2}}])", "test"));
}

TEST(ParseJson, RefusesDepthBeyondTheLimitAndAcceptsTheLimit) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "test"));
  EXPECT_THROW(parse_json(nested(65), "test"), Error);
  EXPECT_THROW(parse_json(std::string(1'000'000, '['), "test"), Error);
}

TEST(ParseJson, RefusesMoreValuesThanTheLimit) {
  std::string many = "[0";
  for (int i = 0; i < 2000; ++i) many += ",0";
  EXPECT_THROW(parse_json(many + "]", "test", {.depth_max = 4, .nodes_max = 500}), Error);
}

TEST(ParseJson, RefusesTextAfterTheValueAndInvalidUtf8) {
  EXPECT_THROW(parse_json("{} x", "test"), Error);
  EXPECT_THROW(parse_json("\"\xff\"", "test"), Error);
}

TEST(ParseJson, RefusesAnObjectWithMoreKeysThanCanBeSearched) {
  const auto object = [](int keys) {
    std::string text = "{\"k\":0";
    for (int i = 1; i < keys; ++i) text += ",\"k" + std::to_string(i) + "\":0";
    return text + "}";
  };
  EXPECT_NO_THROW(parse_json(object(4096), "test"));
  EXPECT_THROW(parse_json(object(4097), "test"), Error);
}

TEST(ParseJson, RefusesAZeroByteInsteadOfEndingThere) {
  EXPECT_THROW(parse_json(std::string_view("{}\0garbage", 10), "test"), Error);
}

TEST(DumpJson, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(dump_json(Json(std::string("a\xff"))), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace nvllm
