#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "bench/import/byte_source.h"

namespace nvllm::bench::test {

/// One gzip member of the text.
inline std::string gzipped(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(::deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return packed;
}

/// The text, at most `piece` bytes at a time.
inline RawRead in_pieces(std::string text, std::size_t piece) {
  const auto left = std::make_shared<std::string>(std::move(text));
  const auto at = std::make_shared<std::size_t>(0);
  return [left, at, piece](char* out, std::size_t bytes) {
    const std::size_t taken = std::min({bytes, piece, left->size() - *at});
    std::memcpy(out, left->data() + *at, taken);
    *at += taken;
    return taken;
  };
}

}  // namespace nvllm::bench::test
