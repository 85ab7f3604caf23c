#include "checkpoint/tensor_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::SafetensorsBuilder;
using ::nvllm::testing::TempFolder;
using ::nvllm::testing::write_text;
using ::testing::HasSubstr;

constexpr const char* kIndex = "model.safetensors.index.json";

/// Two shards with one tensor each: "a" in s1, "b" in s2.
class Shards : public ::testing::Test {
 protected:
  Shards() {
    SafetensorsBuilder first, second;
    first.set("a", {"U8", {2}, "ab"});
    second.set("b", {"U8", {2}, "cd"});
    first.write(folder_ / "s1.safetensors");
    second.write(folder_ / "s2.safetensors");
  }

  std::string refusal(const std::string& index) {
    write_text(folder_ / kIndex, index);
    try {
      const TensorFiles files(folder_.path());
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  TempFolder folder_;
};

TEST_F(Shards, AreReadByTheMap) {
  write_text(folder_ / kIndex, R"({"metadata":{"total_size":4,"x":[{}]},"weight_map":)"
                               R"({"a":"s1.safetensors","b":"s2.safetensors"}})");
  const TensorFiles files(folder_.path());
  EXPECT_EQ(files.all().size(), 2u);
  std::array<std::byte, 2> bytes{};
  files.read(*files.find("b"), bytes);
  EXPECT_EQ(static_cast<char>(bytes[1]), 'd');
  EXPECT_THAT(files.file_of(*files.find("b")), HasSubstr("s2.safetensors"));
}

TEST_F(Shards, AreRefusedWhereMapAndFilesDisagree) {
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"s1.safetensors","b":"s3.safetensors"}})"),
              HasSubstr("shard 's3.safetensors' is missing"));
  EXPECT_THAT(
      refusal(R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors","c":"s2.safetensors"}})"),
      HasSubstr("puts tensor 'c' into 's2.safetensors', which does not hold it"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"s1.safetensors","c":"s2.safetensors"}})"),
              HasSubstr("holds tensor 'b', which model.safetensors.index.json does not name"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"s2.safetensors","b":"s1.safetensors"}})"),
              HasSubstr("puts into 's2.safetensors'"));
}

TEST_F(Shards, StayInTheFolder) {
  for (const char* name : {"", ".", "..", "../s1.safetensors", "/etc/passwd", "x/s1.safetensors",
                           "x\\\\s1.safetensors", "s1\\u0000.safetensors", "s1\\n"}) {
    EXPECT_THAT(refusal(std::string(R"({"weight_map":{"a":")") + name + R"("}})"),
                HasSubstr("not a plain file name in this folder"))
        << name;
  }
}

TEST_F(Shards, NeedAWellFormedMap) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[]", "unexpected an array"},
      {"3", "unexpected a number"},
      {"{}", "has no weight_map"},
      {R"({"weight_map":[]})", "weight_map"},
      {R"({"weight_map":null})", "weight_map"},
      {R"({"weight_map":{"a":3}})", "weight_map"},
      {R"({"weight_map":{"a":{}}})", "weight_map"},
      {R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})", "names tensor 'a' twice"},
      {R"({"weight_map":{},"weight_map":{}})", "weight_map appears twice"},
      {R"({"weight_map":{}} x)", "not valid JSON"},
      {R"({"x":[[[[[[[[[[[[[[[[[[[[)", "nested deeper than 16"},
  };
  for (const auto& [index, reason] : cases) EXPECT_THAT(refusal(index), HasSubstr(reason)) << index;
}

TEST(TensorFiles, SayWhatIsMissingInAnEmptyFolder) {
  const TempFolder folder;
  try {
    const TensorFiles files(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_THAT(error.what(),
                HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  }
}

}  // namespace
}  // namespace nvllm::checkpoint
