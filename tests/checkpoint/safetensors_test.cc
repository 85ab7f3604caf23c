#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "base/error.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::safetensors_container;
using ::nvllm::testing::SafetensorsBuilder;
using ::nvllm::testing::TempFolder;
using ::testing::HasSubstr;

std::vector<TensorInfo> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "f.safetensors");
}

/// The message of the refusal, or "" if the file was accepted.
std::string refusal(const std::string& file) {
  try {
    parse(file);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    return error.what();
  }
}

/// Eight bytes of length, as given, and then the rest.
std::string with_length(std::uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + rest;
}

std::string entry(const std::string& name, const std::string& fields) {
  return "\"" + name + "\":{" + fields + "}";
}
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"("dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets;
}
std::string one(const std::string& fields) { return "{" + entry("w", fields) + "}"; }

struct Lie {
  const char* name;
  std::string file;
  const char* reason;
};

std::string deep(int levels) {
  return "{\"w\":" + std::string(static_cast<std::size_t>(levels), '[');
}

std::vector<Lie> lies_about_lengths() {
  const std::string good = one(tensor("F32", "[2]", "[0,8]"));
  return {
      {"empty file", "", "too short"},
      {"seven bytes", "1234567", "too short"},
      {"length alone", with_length(2, ""), "claims a header of 2 bytes, but only 0 follow"},
      {"length one too long", with_length(good.size() + 9, good + "12345678"), "cut short"},
      {"length of all ones", with_length(~0ull, good), "claims a header of 18446744073709551615"},
      {"length that wraps when 8 is added", with_length(~0ull - 7, good), "claims a header"},
      {"length at the sign bit", with_length(1ull << 63, good), "claims a header"},
      {"length just above the file", with_length(good.size() + 1, good), "claims a header"},
      {"length past the limit",
       with_length(kHeaderBytesMax + 1, std::string(kHeaderBytesMax + 2, ' ')),
       "more than 100000000"},
      {"length of zero", with_length(0, "12345678"), "does not begin with '{'"},
      {"length too short", with_length(good.size() - 1, good + "12345678"), "not valid JSON"},
      {"header cut short", safetensors_container(good.substr(0, 20), ""), "not valid JSON"},
  };
}

std::vector<Lie> lies_about_json() {
  const std::string good = tensor("F32", "[2]", "[0,8]");
  const std::string data = "12345678";
  const auto file = [&](const std::string& header) { return safetensors_container(header, data); };
  return {
      {"space before the brace", file(" " + one(good)), "does not begin with '{'"},
      {"byte order mark", file("\xef\xbb\xbf" + one(good)), "does not begin with '{'"},
      {"an array", file("[]"), "does not begin with '{'"},
      {"a number", file("12"), "does not begin with '{'"},
      {"text after the object", file(one(good) + "{}"), "not valid JSON"},
      {"zero bytes as padding", file(one(good) + std::string(4, '\0')), "not valid JSON"},
      {"text behind a zero byte", file(one(good) + std::string(1, '\0') + "x"), "not valid JSON"},
      {"trailing comma", file("{" + entry("w", good) + ",}"), "not valid JSON"},
      {"comment", file("{/*x*/" + entry("w", good) + "}"), "not valid JSON"},
      {"invalid UTF-8 name", file("{\"\xff\":{" + good + "}}"), "not valid JSON"},
      {"lone surrogate name", file("{\"\\ud800\":{" + good + "}}"), "not valid JSON"},
      {"deep nesting", file(deep(100000)), "unexpected an array"},
      {"tensor twice", file("{" + entry("w", good) + "," + entry("w", good) + "}"),
       "tensor 'w' appears twice"},
      {"metadata twice", file(R"({"__metadata__":{},"__metadata__":{}})"), "appears twice"},
      {"metadata key twice", file(R"({"__metadata__":{"a":"b","a":"c"}})"), "has 'a' twice"},
      {"metadata with a number", file(R"({"__metadata__":{"a":1}})"), "__metadata__"},
      {"metadata with an object", file(R"({"__metadata__":{"a":{}}})"), "__metadata__"},
      {"metadata that is a string", file(R"({"__metadata__":"a"})"), "__metadata__"},
      {"metadata that is null", file(R"({"__metadata__":null})"), "__metadata__"},
      {"empty name", file("{" + entry("", good) + "}"), "empty name"},
      {"tensor that is a number", file(R"({"w":3})"), "unexpected 3 in tensor 'w'"},
      {"tensor that is null", file(R"({"w":null})"), "unexpected null in tensor 'w'"},
      {"tensor that is an array", file(R"({"w":[]})"), "unexpected an array in tensor 'w'"},
  };
}

std::vector<Lie> lies_about_fields() {
  const auto file = [](const std::string& header) {
    return safetensors_container(header, "12345678");
  };
  const auto fields = [&](const std::string& text) { return file(one(text)); };
  return {
      {"no dtype", fields(R"("shape":[2],"data_offsets":[0,8])"), "tensor 'w' has no dtype"},
      {"no shape", fields(R"("dtype":"F32","data_offsets":[0,8])"), "tensor 'w' has no shape"},
      {"no offsets", fields(R"("dtype":"F32","shape":[2])"), "tensor 'w' has no data_offsets"},
      {"nothing", fields(""), "tensor 'w' has no dtype"},
      {"unknown field", fields(tensor("F32", "[2]", "[0,8]") + R"(,"x":1)"), "unknown field 'x'"},
      {"dtype twice", fields(R"("dtype":"F32",)" + tensor("F32", "[2]", "[0,8]")),
       "gives dtype twice"},
      {"shape twice", fields(R"("shape":[2],)" + tensor("F32", "[2]", "[0,8]")),
       "gives shape twice"},
      {"offsets twice", fields(R"("data_offsets":[0,8],)" + tensor("F32", "[2]", "[0,8]")),
       "gives data_offsets twice"},
      {"unknown dtype", fields(tensor("F8_E8M0", "[8]", "[0,8]")),
       "dtype 'F8_E8M0', which nvllm does not know"},
      {"dtype in lower case", fields(tensor("f32", "[2]", "[0,8]")), "dtype 'f32'"},
      {"empty dtype", fields(tensor("", "[2]", "[0,8]")), "dtype ''"},
      {"dtype that is a number", fields(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"),
       "as dtype of tensor 'w'"},
      {"dtype that is an object", fields(R"("dtype":{},"shape":[2],"data_offsets":[0,8])"),
       "as dtype of tensor 'w'"},
      {"shape that is a number", fields(tensor("F32", "2", "[0,8]")), "in the shape of tensor 'w'"},
      {"shape that is text", fields(tensor("F32", "\"2\"", "[0,8]")), "in the shape of tensor 'w'"},
      {"negative dimension", fields(tensor("F32", "[-2]", "[0,8]")), "unexpected -2 in the shape"},
      {"fraction as dimension", fields(tensor("F32", "[2.0]", "[0,8]")),
       "unexpected 2.0 in the shape"},
      {"exponent as dimension", fields(tensor("F32", "[2e0]", "[0,8]")),
       "unexpected 2e0 in the shape"},
      {"null as dimension", fields(tensor("F32", "[null]", "[0,8]")),
       "unexpected null in the shape"},
      {"nested shape", fields(tensor("F32", "[[2]]", "[0,8]")), "unexpected an array in the shape"},
      {"dimension past 2^64", fields(tensor("F32", "[18446744073709551616]", "[0,8]")),
       "in the shape of tensor 'w'"},
      {"dimension past 2^40", fields(tensor("F32", "[1099511627777]", "[0,8]")),
       "has a dimension of 1099511627777"},
      {"nine dimensions", fields(tensor("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]")),
       "more than 8 dimensions"},
      {"product that wraps to the right size",
       fields(tensor("F32", "[1099511627776,1099511627776,1099511627776,2]", "[0,8]")),
       "more than 2^64"},
      {"product that wraps to zero",
       fields(tensor("F32", "[1099511627776,1099511627776]", "[0,0]")), "more than 2^64"},
      {"one offset", fields(tensor("F32", "[2]", "[0]")), "has 1 data_offsets, not 2"},
      {"three offsets", fields(tensor("F32", "[2]", "[0,8,8]")), "has 3 data_offsets, not 2"},
      {"no offset", fields(tensor("F32", "[2]", "[]")), "has 0 data_offsets, not 2"},
      {"text as offset", fields(tensor("F32", "[2]", "[\"0\",8]")),
       "in data_offsets of tensor 'w'"},
      {"negative offset", fields(tensor("F32", "[2]", "[-8,0]")), "unexpected -8 in data_offsets"},
      {"offset as a float", fields(tensor("F32", "[2]", "[0,8.0]")),
       "unexpected 8.0 in data_offsets"},
  };
}

std::vector<Lie> lies_about_ranges() {
  const auto file = [](const std::string& header) {
    return safetensors_container(header, "12345678");
  };
  const auto two = [&](const std::string& a, const std::string& b) {
    return file("{" + entry("a", a) + "," + entry("b", b) + "}");
  };
  return {
      {"begin after end", file(one(tensor("F32", "[2]", "[8,0]"))),
       "begins at 8 after its end at 0"},
      {"end past the file", file(one(tensor("F32", "[4]", "[0,16]"))),
       "ends at byte 16 of the data, which has 8"},
      {"end one past the file", file(one(tensor("U8", "[9]", "[0,9]"))), "ends at byte 9"},
      {"end at the top", file(one(tensor("U8", "[8]", "[0,18446744073709551615]"))),
       "ends at byte 18446744073709551615"},
      {"both at the top",
       file(one(tensor("U8", "[0]", "[18446744073709551615,18446744073709551615]"))),
       "ends at byte"},
      {"shape too small", file(one(tensor("F32", "[1]", "[0,8]"))),
       "is F32 [1], 4 bytes, but its data_offsets [0, 8] span 8"},
      {"shape too large", file(one(tensor("F32", "[3]", "[0,8]"))), "is F32 [3], 12 bytes"},
      {"dtype too wide", file(one(tensor("F64", "[2]", "[0,8]"))), "is F64 [2], 16 bytes"},
      {"scalar with too many bytes", file(one(tensor("F32", "[]", "[0,8]"))), "is F32 [], 4 bytes"},
      {"zero dimension with bytes", file(one(tensor("F32", "[0]", "[0,8]"))),
       "is F32 [0], 0 bytes"},
      {"same range twice", two(tensor("U8", "[8]", "[0,8]"), tensor("U8", "[8]", "[0,8]")),
       "tensors 'a' and 'b' overlap by 8 bytes"},
      {"overlap by one", two(tensor("U8", "[5]", "[0,5]"), tensor("U8", "[4]", "[4,8]")),
       "overlap by 1 bytes"},
      {"one inside the other", two(tensor("U8", "[8]", "[0,8]"), tensor("U8", "[2]", "[3,5]")),
       "overlap"},
      {"empty tensor inside another",
       two(tensor("U8", "[8]", "[0,8]"), tensor("U8", "[0]", "[3,3]")), "overlap"},
      {"gap at the start", file(one(tensor("U8", "[7]", "[1,8]"))),
       "1 bytes before tensor 'w' belong to no tensor"},
      {"gap in the middle", two(tensor("U8", "[3]", "[0,3]"), tensor("U8", "[4]", "[4,8]")),
       "1 bytes before tensor 'b'"},
      {"bytes left at the end", file(one(tensor("U8", "[7]", "[0,7]"))),
       "1 bytes at the end belong to no tensor"},
      {"no tensors but data", file("{}"), "8 bytes at the end belong to no tensor"},
  };
}

TEST(SafetensorsHeader, RefusesEveryLieWithItsReason) {
  std::size_t count = 0;
  for (const auto& lies :
       {lies_about_lengths(), lies_about_json(), lies_about_fields(), lies_about_ranges()}) {
    for (const Lie& lie : lies) {
      const std::string message = refusal(lie.file);
      EXPECT_THAT(message, HasSubstr("f.safetensors: ")) << lie.name;
      EXPECT_THAT(message, HasSubstr(lie.reason)) << lie.name;
      ++count;
    }
  }
  EXPECT_GE(count, 60u);
}

TEST(SafetensorsHeader, AcceptsScalarsEmptyTensorsMetadataAndSpaces) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)" +
                             entry("s", tensor("F32", "[]", "[0,4]")) + "," +
                             entry("e", tensor("F32", "[0,7]", "[4,4]")) + "," +
                             entry("b", tensor("BF16", "[1,2]", "[4,8]")) + "}   ";
  const std::vector<TensorInfo> tensors = parse(safetensors_container(header, "12345678"));
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "s");
  EXPECT_EQ(tensors[0].element_count(), 1);
  EXPECT_EQ(tensors[1].bytes(), 0);
  EXPECT_EQ(describe(tensors[2]), "BF16 [1, 2]");
  EXPECT_EQ(tensors[2].end, static_cast<std::int64_t>(8 + header.size() + 8));
}

TEST(SafetensorsHeader, RefusesAFileCutAtEveryByte) {
  SafetensorsBuilder builder;
  builder.set("a", {"F32", {2}, "12345678"});
  builder.set("b", {"U8", {3}, "abc"});
  const std::string file = builder.file();
  EXPECT_EQ(parse(file).size(), 2u);
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(refusal(file.substr(0, size)), "") << size;
  }
  EXPECT_THAT(refusal(file + "x"), HasSubstr("1 bytes at the end"));
}

TEST(SafetensorsFile, SaysSoWhenTheFileShrinksWhileItIsRead) {
  const TempFolder folder;
  SafetensorsBuilder builder;
  builder.set("a", {"U8", {4}, "abcd"});
  builder.set("b", {"U8", {4}, "efgh"});
  builder.write(folder / "m.safetensors");
  const SafetensorsFile file(folder / "m.safetensors");
  std::filesystem::resize_file(folder / "m.safetensors",
                               std::filesystem::file_size(folder / "m.safetensors") - 2);
  std::array<std::byte, 4> bytes{};
  file.read(file.tensors()[0], 0, bytes);
  EXPECT_EQ(std::memcmp(bytes.data(), "abcd", 4), 0);
  try {
    file.read(file.tensors()[1], 0, bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("b: reading stopped 2 bytes early: the file has become shorter"));
  }
}

TEST(SafetensorsFile, RefusesWhatIsNoFile) {
  const TempFolder folder;
  EXPECT_THROW(SafetensorsFile(folder.path()), Error);
  EXPECT_THROW(SafetensorsFile(folder / "absent"), Error);
}

}  // namespace
}  // namespace nvllm::checkpoint
