// y = x · Wᵀ: which kernel a packed format has, and which rows a worker owns.

#include <algorithm>

#include "kernels/cpu/matmul_formats.h"

namespace nvllm::cpu {

namespace {

void multiply(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  switch (w.format) {
    case PackedFormat::kNvfp4: return multiply_nvfp4(w, x, tokens, rows, sink);
    case PackedFormat::kFp8: return multiply_fp8(w, x, tokens, rows, sink);
    case PackedFormat::kBf16: return multiply_bf16(w, x, tokens, rows, sink);
    case PackedFormat::kNvfp4Dot:
    case PackedFormat::kFp8Dot:
    case PackedFormat::kBf16Dot: return multiply_dot(w, x, tokens, rows, sink);
  }
}

}  // namespace

void expand_part(std::byte* expanded, ConstRows x, PackedFormat format, std::int64_t padded_cols, Share& share) {
  switch (format) {
    case PackedFormat::kNvfp4: return expand_nvfp4(expanded, x, padded_cols, share);
    case PackedFormat::kFp8: return expand_fp8(expanded, x, padded_cols, share);
    case PackedFormat::kBf16: return expand_bf16(expanded, x, padded_cols, share);
    case PackedFormat::kNvfp4Dot:
    case PackedFormat::kFp8Dot:
    case PackedFormat::kBf16Dot: return expand_dot(expanded, x, format, padded_cols, share);
  }
}

Share::Range own_rows(std::int64_t rows, const Share& share) {
  const Share::Range tiles = share.part((rows + kTileRows - 1) / kTileRows);
  return {tiles.begin * kTileRows, std::min(rows, tiles.end * kTileRows)};
}

void multiply_part(Rows out, const std::byte* expanded, const PackedMatrix& w, std::span<const float> bias,
                   Share& share) {
  multiply(w, expanded, out.rows, own_rows(w.rows, share), Sink{.rounded = out, .exact = {}, .bias = bias});
}

void multiply_to_float_part(View<float> out, const std::byte* expanded, const PackedMatrix& w, Share& share) {
  multiply(w, expanded, out.rows, own_rows(w.rows, share), Sink{.rounded = {}, .exact = out, .bias = {}});
}

}  // namespace nvllm::cpu
