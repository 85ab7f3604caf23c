#include "server/parsers/tool_schemas.h"

#include <gtest/gtest.h>

namespace nvllm::server {
namespace {

ParameterType type_of(const char* property) {
  return {parse_json(property, "property"),
          parse_json(R"({"$defs": {"N": {"type": "integer"}}})", "root")};
}

TEST(ParameterType, IsTextUnlessTheSchemaSaysOtherwise) {
  for (const char* property :
       {"{}", "true", "null", R"({"type": "string"})", R"({"enum": ["a", "b"]})",
        R"({"type": ["string", "integer"]})", R"({"$ref": "#/none"})", R"({"$ref": "other.json"})",
        R"({"$ref": 5})", R"({"anyOf": []})"}) {
    EXPECT_EQ(type_of(property).kind(), ParameterKind::kText) << property;
  }
  for (const char* property : {R"({"type": ["null", "string"]})",
                               R"({"anyOf": [{"type": "string"}, {"type": "null"}]})"}) {
    EXPECT_EQ(type_of(property).kind(), ParameterKind::kTextOrNull) << property;
  }
  for (const char* property :
       {R"({"type": "integer"})", R"({"type": ["null", "boolean"]})", R"({"$ref": "#/$defs/N"})",
        R"({"oneOf": [{"$ref": "#/$defs/N"}, {"type": "string"}]})", R"({"const": 5})"}) {
    EXPECT_EQ(type_of(property).kind(), ParameterKind::kJson) << property;
  }
}

TEST(ParameterType, PassesValuesOfItsTypesOnAsTheyAreWritten) {
  EXPECT_EQ(type_of(R"({"type": "number"})").json_of(" 1.50e1 "), "1.50e1");
  EXPECT_EQ(type_of(R"({"type": "integer"})").json_of("3"), "3");
  EXPECT_EQ(type_of(R"({"type": "integer"})").json_of("3.0"), "3.0");
  EXPECT_EQ(type_of(R"({"type": "object"})").json_of("{\"a\":  [1]}"), "{\"a\":  [1]}");
  EXPECT_EQ(type_of(R"({"type": "boolean"})").json_of("False"), "false");
  EXPECT_EQ(type_of(R"({"type": "integer"})").json_of("None"), "null");
  EXPECT_EQ(type_of(R"({"type": ["integer", "string"]})").json_of("\"x\""), "\"x\"");
}

TEST(ParameterType, MakesTextOfEverythingElse) {
  EXPECT_EQ(type_of(R"({"type": "integer"})").json_of("3.5"), "\"3.5\"");
  EXPECT_EQ(type_of(R"({"type": "integer"})").json_of("NaN"), "\"NaN\"");
  EXPECT_EQ(type_of(R"({"type": "object"})").json_of("{'a': 1}"), "\"{'a': 1}\"");
  EXPECT_EQ(type_of(R"({"type": "array"})").json_of("[1\n\x01"), "\"[1\\n\\u0001\"");
}

TEST(ToolSchemas, FollowReferencesInCirclesToAnEnd) {
  ToolSchemas tools;
  tools.add("f", parse_json(R"({"properties": {"a": {"$ref": "#/properties/a"}}})", "schema"));
  EXPECT_EQ(tools.type_of("f", "a").kind(), ParameterKind::kText);
  EXPECT_EQ(tools.type_of("f", "b").kind(), ParameterKind::kText);
  EXPECT_EQ(tools.type_of("g", "a").kind(), ParameterKind::kText);
}

TEST(AppendEscaped, WritesWhatJsonReadsBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  std::string json = "\"";
  append_escaped(all + "é", json);
  EXPECT_EQ(parse_json(json + "\"", "text").get<std::string>(), all + "é");
}

}  // namespace
}  // namespace nvllm::server
