#include "bench/import/byte_source.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/import/packed_text.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using test::gzipped;
using test::in_pieces;

std::string read_all(ByteSource& source, std::size_t piece = 1000) {
  std::string text, buffer(piece, '\0');
  while (const std::size_t got = source.read(buffer.data(), buffer.size())) text.append(buffer, 0, got);
  return text;
}

std::string noise(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + random_bits(3, i) % 20);
  return text;
}

TEST(ByteSource, PassesPlainBytes) {
  for (const std::string& text : {std::string(), std::string("x"), std::string("{}"), noise(700'000)}) {
    ByteSource source(in_pieces(text, 777), "test");
    EXPECT_EQ(read_all(source), text);
    EXPECT_FALSE(source.truncated());
    EXPECT_EQ(source.raw_bytes(), static_cast<std::int64_t>(text.size()));
  }
}

TEST(ByteSource, UnpacksSeveralMembersAsOneText) {
  const std::string one = noise(300'000), two = "middle", three = noise(10);
  const std::string packed = gzipped(one) + gzipped(two) + gzipped("") + gzipped(three);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, packed.size()}) {
    ByteSource source(in_pieces(packed, piece), "test");
    EXPECT_EQ(read_all(source, 65'536), one + two + three) << piece;
    EXPECT_FALSE(source.truncated());
    EXPECT_EQ(source.raw_bytes(), static_cast<std::int64_t>(packed.size()));
  }
}

TEST(ByteSource, SaysWhereAMemberWasCut) {
  const std::string packed = gzipped(noise(5000));
  for (const std::size_t cut : {std::size_t{3}, std::size_t{12}, packed.size() / 2, packed.size() - 1}) {
    ByteSource source(in_pieces(packed.substr(0, cut), 100), "test");
    read_all(source);
    EXPECT_TRUE(source.truncated()) << cut;
  }
}

TEST(ByteSource, AllowsZerosBehindTheDataAndNothingElse) {
  const std::string packed = gzipped("text");
  ByteSource padded(in_pieces(packed + std::string(512, '\0'), 100), "test");
  EXPECT_EQ(read_all(padded), "text");
  EXPECT_FALSE(padded.truncated());
  ByteSource followed(in_pieces(packed + "tail", 100), "test");
  EXPECT_THROW(read_all(followed), Error);
}

TEST(ByteSource, RefusesDamagedData) {
  std::string packed = gzipped(noise(50'000));
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  ByteSource source(in_pieces(packed, 4096), "test");
  EXPECT_THROW(read_all(source), Error) << "damaged data, or a checksum that does not match";
}

TEST(ByteSource, ReadsFiles) {
  const test::TempFolder folder;
  ByteSource source(read_from_file(folder.put("a.gz", gzipped("content"))), "a.gz");
  EXPECT_EQ(read_all(source), "content");
  EXPECT_THROW(read_from_file(folder.path() / "absent"), Error);
  ByteSource a_folder(in_pieces("", 1), "x");
  EXPECT_EQ(read_all(a_folder), "");
}

}  // namespace
}  // namespace nvllm::bench
