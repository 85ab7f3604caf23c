// Brings NVFP4 matrices into tile order on the device itself: 27 billion codes are too many for one processor core.
// The host's pack_nvfp4_tiles() is what this is checked against.

#include "base/check.h"
#include "base/error.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/nvfp4_matvec.h"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWordsOfTile = static_cast<int>(kTileCodeBytes) / 4;

/// A matrix as its file has it.
struct Rows {
  const std::uint8_t* codes;
  const std::uint8_t* scales;
  int rows;

  __device__ __forceinline__ std::uint8_t scale(int row, int block, int blocks) const {
    return row < rows ? scales[static_cast<long long>(row) * blocks + block] : 0;
  }
};

/// The byte that stands for a scale's magnitude; as wide_scale().
__device__ __forceinline__ std::uint8_t wide(std::uint8_t e4m3) {
  const std::uint32_t magnitude = e4m3 & 0x7f;
  if (magnitude == 0) return 0;
  if (magnitude >= 8) return static_cast<std::uint8_t>(magnitude + 2 * 8);  // the exponent's bias is 9 instead of 7
  const int top = 31 - __clz(static_cast<int>(magnitude));  // 2^(top - 9), with the bits below it for mantissa
  return static_cast<std::uint8_t>(top * 8 + (magnitude << (3 - top) & 7));
}

/// One word of eight codes: `low` and `high` rows, four columns of one block; layout as in nvfp4_tiles.h.
__device__ __forceinline__ std::uint32_t word_of(const Rows& part, int row, int cols, int col, bool second) {
  const int blocks = cols / 16;
  std::uint32_t out = 0;
  if (row >= part.rows || col >= cols) return 0;
  const std::uint8_t scale = part.scale(row, col / 16, blocks);
  if ((scale & 0x7f) == 0) return 0;
  const std::uint8_t* const bytes = part.codes + (static_cast<long long>(row) * cols + col) / 2;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    std::uint32_t code = bytes[c / 2] >> (c % 2 * 4) & 15u;
    if (scale & 0x80) code ^= 8u;
    const std::uint32_t sign = code >> 3, magnitude = code & 7;
    std::uint32_t bits;
    if (c < 2) {
      bits = second ? sign << 12 | magnitude << 3 : sign << 15 | magnitude << 6;
    } else {
      bits = second ? sign << 13 | magnitude >> 1 << 10 | (magnitude & 1) << 14 : sign << 9 | magnitude;
    }
    out |= bits << (16 * (c % 2));
  }
  return out;
}

/// `second` owns rows 8 to 15 of every group of 16: the same part for RowOrder::kPlain.
__global__ void __launch_bounds__(kThreads) pack(std::byte* tiles, Rows first, Rows second, bool gate_up, int cols, int col_tiles, unsigned* nan_scales) {
  const long long tile = blockIdx.x;
  const int row_tile = static_cast<int>(tile / col_tiles), col_tile = static_cast<int>(tile % col_tiles), blocks = cols / 16;
  std::byte* const to = tiles + tile * kTileBytes;
  const auto low_row = [&](int group, int quad) { return gate_up ? row_tile * 16 + group * 8 + quad : row_tile * 32 + group * 16 + quad; };
  const int apart = gate_up ? 0 : 8;
  for (int i = threadIdx.x; i < kWordsOfTile; i += kThreads) {
    const int step = i / 256 * 4 + i % 4, group = i / 128 % 2, lane = i / 4 % 32, row = low_row(group, lane / 4);
    const int col = (col_tile * 8 + step) * 16 + lane % 4 * 4;
    reinterpret_cast<std::uint32_t*>(to)[i] = word_of(first, row, cols, col, false) | word_of(second, row + apart, cols, col, true);
  }
  for (int i = threadIdx.x; i < kTileScaleBytes; i += kThreads) {
    const int group = i / 128, quad = i / 16 % 8, step = i % 16 / 4 * 2 + i % 2, low = i / 2 % 2, block = col_tile * 8 + step;
    const int row = low_row(group, quad) + (low == 1 ? apart : 0);
    const std::uint8_t scale = block < blocks ? (low == 1 ? second : first).scale(row, block, blocks) : 0;
    if ((scale & 0x7f) == 0x7f) atomicAdd(nan_scales, 1u);
    to[kTileCodeBytes + i] = std::byte{wide(scale)};
  }
}

/// A file's bytes on the device, only while they are packed.
struct Upload {
  DeviceBuffer codes, scales;
  int rows;

  explicit Upload(const MatrixSource& file)
      : codes(file.rows * file.cols / 2), scales(file.rows * file.cols / 16), rows(static_cast<int>(file.rows)) {
    codes.upload(file.data, codes.bytes());
    scales.upload(file.block_scales, scales.bytes());
  }
  Rows view() const { return {codes.as<std::uint8_t>(), scales.as<std::uint8_t>(), rows}; }
};

}  // namespace

Nvfp4DeviceMatrix::Nvfp4DeviceMatrix(std::span<const MatrixSource> files, RowOrder order)
    : cols_(files[0].cols), col_tiles_((files[0].cols + kTileCols - 1) / kTileCols), order_(order) {
  NVLLM_CHECK(order == RowOrder::kPlain || (files.size() == 2 && files[0].rows == files[1].rows));
  for (const MatrixSource& file : files) {
    NVLLM_CHECK(file.format == MatrixFormat::kNvfp4 && file.cols % 16 == 0 && file.cols == cols_);
    parts_.push_back({file.rows, file.global_scale_rule == GlobalScale::kMultiplies ? file.global_scale : 1.0f / file.global_scale});
  }
  row_tiles_ = row_tiles_of(parts_, order);
  tiles_ = std::make_shared<DeviceBuffer>(bytes());
  DeviceBuffer nan_scales(sizeof(unsigned));
  nan_scales.fill(0);
  auto* to = tiles_->as<std::byte>();
  const auto run = [&](const Rows& first, const Rows& second, std::int64_t row_tiles) {
    const auto count = static_cast<unsigned>(row_tiles * col_tiles_);
    pack<<<count, kThreads>>>(to, first, second, order == RowOrder::kGateUp, static_cast<int>(cols_), static_cast<int>(col_tiles_), nan_scales.as<unsigned>());
    check(cudaDeviceSynchronize(), "packing weights");  // the uploads end here
    to += row_tiles * col_tiles_ * kTileBytes;
  };
  if (order == RowOrder::kGateUp) {
    const Upload gate(files[0]), up(files[1]);
    run(gate.view(), up.view(), row_tiles_);
  } else {
    for (const MatrixSource& file : files) {
      const Upload part(file);
      run(part.view(), part.view(), row_tiles_of(file.rows));
    }
  }
  unsigned broken = 0;
  nan_scales.download(&broken, sizeof broken);
  if (broken > 0) {
    throw Error(ErrorKind::kBadFile, "tensor " + files[0].name + ": a block scale is NaN; quantise the checkpoint again");
  }
}

}  // namespace nvllm::cuda
