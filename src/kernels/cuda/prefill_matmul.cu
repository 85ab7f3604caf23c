#include "kernels/cuda/prefill_matmul.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/block_scaled_matmul.h"

namespace nvllm::cuda {

namespace {

/// Rows of x and of the result.
struct Rows {
  std::byte* out;
  const std::byte* x;
  std::int64_t out_stride, x_stride, tokens;
  ProductType type;

  [[nodiscard]] std::int64_t out_bytes() const { return type == ProductType::kBf16 ? 2 : 4; }
};

/// The product with some rows of BF16 weights, whose first is the result's column `first`.
void multiply(const Rows& rows, std::int64_t first, const DenseView& w, PrefillScratch& scratch, CUstream_st* stream) {
  std::byte* out = rows.out + first * rows.out_bytes();
  if (scratch.library().usable()) {
    const DenseProduct product{.out = out, .x = rows.x, .w = w.data, .tokens = rows.tokens, .rows = w.rows, .cols = w.cols,
                               .out_stride = rows.out_stride, .x_stride = rows.x_stride, .w_stride = w.stride, .type = rows.type};
    return scratch.library().multiply(product, scratch.workspace(), PrefillScratch::kLibraryBytes, stream);
  }
  for (std::int64_t token = 0; token < rows.tokens; token += kDenseTokensMax) {
    dense_matvec(out + token * rows.out_stride * rows.out_bytes(), rows.out_stride, rows.x + token * rows.x_stride * 2, rows.x_stride,
                 std::min(kDenseTokensMax, rows.tokens - token), w, rows.type == ProductType::kBf16 ? DenseEnd::kBf16 : DenseEnd::kFloat,
                 stream);
  }
}

/// As many rows as the slab holds, all equally many but the last.
std::int64_t slab_rows(std::int64_t rows, std::int64_t row_bytes, const PrefillScratch& scratch) {
  const std::int64_t room = scratch.slab_bytes() / row_bytes / kDequantiseRowsUnit * kDequantiseRowsUnit;
  NVLLM_CHECK(room > 0);
  const std::int64_t slabs = (rows + room - 1) / room, even = (rows + slabs - 1) / slabs;
  return std::min(room, (even + kDequantiseRowsUnit - 1) / kDequantiseRowsUnit * kDequantiseRowsUnit);
}

/// As many rows of x at a time as the slab holds in NVFP4.
void multiply_rounded(std::span<const MatvecTarget> outs, const Bf16* x, std::int64_t x_stride, std::int64_t tokens,
                      const Nvfp4DeviceMatrix& w, PrefillScratch& scratch, CUstream_st* stream) {
  const std::int64_t most = scratch.slab_bytes() / Nvfp4Rows::bytes(1, w.col_tiles());
  NVLLM_CHECK(most > 0);
  for (std::int64_t begin = 0; begin < tokens; begin += most) {
    const std::int64_t count = std::min(most, tokens - begin);
    const Nvfp4Rows rows = Nvfp4Rows::in(scratch.slab(), count, w.col_tiles());
    round_to_nvfp4(rows, x + begin * x_stride, x_stride, count, w.cols(), stream);
    MatvecTarget of_rows[2] = {outs.front(), outs.back()};
    for (MatvecTarget& out : of_rows) out.to = static_cast<Bf16*>(out.to) + begin * out.stride;
    block_scaled_matmul({of_rows, outs.size()}, rows, count, w, stream);
  }
}

}  // namespace

PrefillScratch::PrefillScratch(bool rounds_activations, std::int64_t slab_bytes) : rounds_activations_(rounds_activations), slab_(slab_bytes) {
  if (library_.usable()) workspace_ = DeviceBuffer(kLibraryBytes);
}

void prefill_matmul(std::span<const MatvecTarget> outs, const void* x, std::int64_t x_stride, std::int64_t tokens,
                    const Nvfp4DeviceMatrix& w, ProductType type, PrefillScratch& scratch, CUstream_st* stream) {
  const std::int64_t halves = w.order() == RowOrder::kGateUp ? 2 : 1, all = w.parts()[0].rows, stride = w.col_tiles() * kTileCols;
  NVLLM_CHECK_EQ(static_cast<std::int64_t>(outs.size()), halves);
  if (scratch.rounds_activations() && type == ProductType::kBf16) {  // not the output head's, whose sums stay floats
    return multiply_rounded(outs, static_cast<const Bf16*>(x), x_stride, tokens, w, scratch, stream);
  }
  const std::int64_t step = slab_rows(all, halves * stride * 2, scratch);
  for (std::int64_t begin = 0; begin < all; begin += step) {
    const RowRange range{begin, std::min(all, begin + step)};
    dequantise(scratch.slab(), stride, w, range, stream);
    const std::int64_t count = range.end - range.begin;
    const DenseView slab{.data = scratch.slab(), .rows = halves * count, .cols = w.cols(), .stride = stride, .fresh = true};
    for (std::int64_t half = 0; half < halves; ++half) {
      const MatvecTarget& out = outs[static_cast<std::size_t>(half)];
      const Rows rows{static_cast<std::byte*>(out.to), static_cast<const std::byte*>(x), out.stride, x_stride, tokens, type};
      multiply(rows, begin, slab.slice(half * count, (half + 1) * count), scratch, stream);
    }
  }
}

void prefill_matmul(void* out, std::int64_t out_stride, const void* x, std::int64_t x_stride, std::int64_t tokens, const DenseView& w,
                    ProductType type, PrefillScratch& scratch, CUstream_st* stream) {
  const Rows rows{static_cast<std::byte*>(out), static_cast<const std::byte*>(x), out_stride, x_stride, tokens, type};
  if (w.format == DenseFormat::kBf16) return multiply(rows, 0, w, scratch, stream);
  const std::int64_t step = slab_rows(w.rows, w.stride * 2, scratch);
  for (std::int64_t begin = 0; begin < w.rows; begin += step) {
    const DenseView part = w.slice(begin, std::min(w.rows, begin + step));
    dequantise(scratch.slab(), part, stream);
    const DenseView slab{.data = scratch.slab(), .rows = part.rows, .cols = w.cols, .stride = w.stride, .fresh = true};
    multiply(rows, begin, slab, scratch, stream);
  }
}

}  // namespace nvllm::cuda
