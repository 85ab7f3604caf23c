// A CTA makes sixteen rows of the result: its warps take the columns in turn, 128 at a time, and their sums meet in
// shared memory. A product of tensor cores does not care which columns stand in which place as long as both sides agree,
// so a lane takes runs of 16 bytes of its row of weights and the same columns of its row of x, straight into fragments.

#include "kernels/cuda/dense_matrix.h"

#include <cuda_bf16.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/fp8_pairs.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "tensor/dtype.h"

namespace nvllm::cuda {

namespace {

constexpr int kRows = 16;        // of a CTA
constexpr int kFewRows = 1024;   // of a matrix: few CTAs, whose columns are dealt out to more warps
constexpr int kTokens = 8;       // of a fragment
constexpr int kChunk = static_cast<int>(kDenseColsUnit);

struct DenseArguments {
  const std::byte* data;
  const float* scales;
  const __nv_bfloat16* x;
  void* out;
  const float* bias;
  long long stride, x_stride, out_stride;
  int rows, cols, tokens, token_groups, chunks;
  DenseEnd end;
  bool fresh;
};

/// One product or two of one shape.
struct DenseWork {
  DenseArguments of[2];
};

__device__ __forceinline__ uint4 load_weights(const std::byte* from) { return __ldcs(reinterpret_cast<const uint4*>(from)); }

/// Eight columns of a row of x; zeros from the last column on.
__device__ __forceinline__ uint4 load_columns(const __nv_bfloat16* row, int col, int cols, bool there) {
  uint4 out{0, 0, 0, 0};
  if (!there || col >= cols) return out;
  if (col + 8 <= cols) return __ldcg(reinterpret_cast<const uint4*>(row + col));
  std::uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t low = col + 2 * i < cols ? __bfloat16_as_ushort(row[col + 2 * i]) : 0;
    const std::uint32_t high = col + 2 * i + 1 < cols ? __bfloat16_as_ushort(row[col + 2 * i + 1]) : 0;
    words[i] = low | high << 16;
  }
  return {words[0], words[1], words[2], words[3]};
}

/// One lane's weights of a chunk, as they lie in memory: rows g and g + 8.
template <DenseFormat kFormat>
struct Weights {
  static constexpr int kRuns = kFormat == DenseFormat::kBf16 ? 4 : 2;  // of 16 bytes of each row
  uint4 runs[kRuns][2];
  float scales[2];

  __device__ __forceinline__ void load(const DenseArguments& a, const int (&rows)[2], int chunk, int t) {
    constexpr int kBytes = kFormat == DenseFormat::kBf16 ? 2 : 1;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::byte* from = a.data + (rows[half] * a.stride + chunk * kChunk) * kBytes + t * 16;
#pragma unroll
      for (int run = 0; run < kRuns; ++run) runs[run][half] = load_weights(from + run * 64);
      if constexpr (kFormat == DenseFormat::kFp8) scales[half] = __ldg(a.scales + rows[half] * (a.stride / kChunk) + chunk);
    }
  }
  /// The first column, within its chunk, of the lane's eight that `piece` of 32 columns multiplies.
  static __device__ __forceinline__ int column(int piece, int t) {
    return kFormat == DenseFormat::kBf16 ? piece * 32 + t * 8 : piece / 2 * 64 + t * 16 + piece % 2 * 8;
  }
  /// Two fragments of a piece, in BF16.
  __device__ __forceinline__ void fragments(std::uint32_t (&first)[4], std::uint32_t (&second)[4], int piece) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if constexpr (kFormat == DenseFormat::kBf16) {
        const uint4& run = runs[piece][half];
        first[half] = run.x;
        first[half + 2] = run.y;
        second[half] = run.z;
        second[half + 2] = run.w;
      } else {
        const uint4& run = runs[piece / 2][half];
        const std::uint32_t low = piece % 2 == 0 ? run.x : run.z, high = piece % 2 == 0 ? run.y : run.w;
        first[half] = scaled_pair(low, scales[half]);
        first[half + 2] = scaled_pair(low >> 16, scales[half]);
        second[half] = scaled_pair(high, scales[half]);
        second[half + 2] = scaled_pair(high >> 16, scales[half]);
      }
    }
  }
};

__device__ __forceinline__ void put(const DenseArguments& a, int row, int token, float sum) {
  if (a.bias != nullptr) sum += a.bias[row];
  const long long at = token * a.out_stride + row;
  if (a.end == DenseEnd::kFloat) {
    static_cast<float*>(a.out)[at] = sum;
    return;
  }
  __nv_bfloat16* out = static_cast<__nv_bfloat16*>(a.out) + at;
  const __nv_bfloat16 rounded = __float2bfloat16_rn(sum);
  *out = a.end == DenseEnd::kAdd ? __float2bfloat16_rn(__bfloat162float(*out) + __bfloat162float(rounded)) : rounded;
}

template <DenseFormat kFormat, int kFragments, int kWarps>
__global__ void __launch_bounds__(kWarps * 32, 16 / kWarps) dense_matvec_kernel(const __grid_constant__ DenseWork work) {
  const DenseArguments& a = work.of[blockIdx.y];
  __shared__ float meeting[kWarps][kFragments][kTokens][kRows + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int first_row = blockIdx.x / a.token_groups * kRows;
  const int first_token = blockIdx.x % a.token_groups * (kFragments * kTokens);
  const int rows[2] = {min(first_row + g, a.rows - 1), min(first_row + g + 8, a.rows - 1)};
  Weights<kFormat> next;
  if (a.fresh) ptx::wait_for_dependencies();
  if (warp < a.chunks) next.load(a, rows, warp, t);
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  float sums[kFragments][4] = {};
  for (int chunk = warp; chunk < a.chunks; chunk += kWarps) {
    const Weights<kFormat> weights = next;
    if (chunk + kWarps < a.chunks) next.load(a, rows, chunk + kWarps, t);
#pragma unroll
    for (int piece = 0; piece < 4; ++piece) {
      const int col = chunk * kChunk + Weights<kFormat>::column(piece, t);
      uint4 x[kFragments];
#pragma unroll
      for (int f = 0; f < kFragments; ++f) {
        const int token = first_token + f * kTokens + g;
        x[f] = load_columns(a.x + token * a.x_stride, col, a.cols, token < a.tokens);
      }
      std::uint32_t first[4], second[4];
      weights.fragments(first, second, piece);
#pragma unroll
      for (int f = 0; f < kFragments; ++f) {
        ptx::multiply_16x8x16(sums[f], first, x[f].x, x[f].y);
        ptx::multiply_16x8x16(sums[f], second, x[f].z, x[f].w);
      }
    }
  }
#pragma unroll
  for (int f = 0; f < kFragments; ++f) {
#pragma unroll
    for (int i = 0; i < 4; ++i) meeting[warp][f][t * 2 + i % 2][g + i / 2 * 8] = sums[f][i];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kFragments * kTokens * kRows; i += kWarps * 32) {
    const int row = i % kRows, token = i / kRows;
    if (first_row + row >= a.rows || first_token + token >= a.tokens) continue;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += meeting[w][token / kTokens][token % kTokens][row];
    put(a, first_row + row, first_token + token, sum);
  }
}

template <DenseFormat kFormat, int kFragments, int kWarps>
void launch(DenseWork work, unsigned count, cudaStream_t stream) {
  for (DenseArguments& a : work.of) a.token_groups = (a.tokens + kFragments * kTokens - 1) / (kFragments * kTokens);
  const DenseArguments& a = work.of[0];
  const dim3 ctas(static_cast<unsigned>((a.rows + kRows - 1) / kRows * a.token_groups), count);
  launch_grid(Start::kEarly, dense_matvec_kernel<kFormat, kFragments, kWarps>, ctas, kWarps * 32, 0, stream, work);
}

template <DenseFormat kFormat>
void launch(const DenseWork& work, unsigned count, cudaStream_t stream) {
  const DenseArguments& a = work.of[0];
  // Of few rows one CTA has eight tokens, so that their columns of x arrive together.
  if (a.rows <= kFewRows) return launch<kFormat, 1, 16>(work, count, stream);
  if (a.tokens <= kTokens) return launch<kFormat, 1, 8>(work, count, stream);
  launch<kFormat, 4, 8>(work, count, stream);
}

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

DenseArguments arguments_of(void* out, std::int64_t out_stride, const void* x, std::int64_t x_stride, std::int64_t tokens, const DenseView& w) {
  NVLLM_CHECK(tokens >= 1 && tokens <= kDenseTokensMax && x_stride % 8 == 0 && w.stride % kDenseColsUnit == 0);
  return {.data = static_cast<const std::byte*>(w.data),
          .scales = w.scales,
          .x = static_cast<const __nv_bfloat16*>(x),
          .out = out,
          .bias = nullptr,
          .stride = w.stride,
          .x_stride = x_stride,
          .out_stride = out_stride,
          .rows = static_cast<int>(w.rows),
          .cols = static_cast<int>(w.cols),
          .tokens = static_cast<int>(tokens),
          .token_groups = 1,
          .chunks = static_cast<int>(up(w.cols, kDenseColsUnit) / kDenseColsUnit),
          .end = DenseEnd::kBf16,
          .fresh = w.fresh};
}

void launch(const DenseWork& work, unsigned count, DenseFormat format, cudaStream_t stream) {
  if (format == DenseFormat::kFp8) return launch<DenseFormat::kFp8>(work, count, stream);
  launch<DenseFormat::kBf16>(work, count, stream);
}

float fp8_scale(const MatrixSource& m, std::int64_t row, std::int64_t group) {
  switch (m.fp8_scales) {
    case Fp8Scales::kPerTensor: return m.scales[0];
    case Fp8Scales::kPerRow: return m.scales[static_cast<std::size_t>(row)];
    case Fp8Scales::kBlock128: break;
  }
  return m.scales[static_cast<std::size_t>(row / 128 * ((m.cols + 127) / 128) + group)];
}

/// One row as the device keeps it.
void pack_row(const MatrixSource& m, std::int64_t row, std::vector<float>& values, std::byte* to) {
  if (m.format == MatrixFormat::kFp8) {
    std::memcpy(to, m.data + row * m.cols, static_cast<std::size_t>(m.cols));
  } else if (m.format == MatrixFormat::kBf16) {
    std::memcpy(to, m.data + row * m.cols * 2, static_cast<std::size_t>(m.cols * 2));
  } else {
    dequantise_row(m, row, values);
    for (std::size_t col = 0; col < values.size(); ++col) {
      const Bf16 rounded = to_bf16(values[col]);
      std::memcpy(to + col * sizeof rounded, &rounded, sizeof rounded);
    }
  }
}

__global__ void randomise(std::byte* data, long long count, bool fp8, std::uint64_t seed) {
  for (long long i = blockIdx.x * 256ll + threadIdx.x; i < count; i += gridDim.x * 256ll) {
    std::uint64_t bits = (static_cast<std::uint64_t>(i) + seed) * 0x9e3779b97f4a7c15ull;  // splitmix64
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ull;
    const float value = static_cast<float>(static_cast<std::int32_t>(bits >> 32)) * 0x1p-31f;
    if (fp8) {
      data[i] = static_cast<std::byte>(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3));
    } else {
      reinterpret_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16_rn(value);
    }
  }
}

}  // namespace

DenseView DenseView::slice(std::int64_t begin, std::int64_t end) const {
  NVLLM_CHECK(begin >= 0 && begin <= end && end <= rows);
  DenseView out = *this;
  out.rows = end - begin;
  out.data = static_cast<const std::byte*>(data) + begin * stride * (format == DenseFormat::kBf16 ? 2 : 1);
  if (scales != nullptr) out.scales = scales + begin * (stride / kDenseColsUnit);
  return out;
}

bool DenseView::pairs_with(const DenseView& other) const {
  return format == other.format && rows == other.rows && cols == other.cols && stride == other.stride;
}

DenseDeviceMatrix::DenseDeviceMatrix(DenseFormat format, std::int64_t rows, std::int64_t cols) {
  const std::int64_t stride = up(cols, kDenseColsUnit);
  data_ = DeviceBuffer(rows * stride * (format == DenseFormat::kBf16 ? 2 : 1));
  if (format == DenseFormat::kFp8) scales_ = DeviceBuffer(rows * (stride / kDenseColsUnit) * 4);
  view_ = {.data = data_.as<void>(), .scales = scales_.as<float>(), .format = format, .rows = rows, .cols = cols, .stride = stride};
}

DenseDeviceMatrix::DenseDeviceMatrix(const MatrixSource& source)
    : DenseDeviceMatrix(source.format == MatrixFormat::kFp8 ? DenseFormat::kFp8 : DenseFormat::kBf16, source.rows, source.cols) {
  NVLLM_CHECK(source.format != MatrixFormat::kNvfp4);
  const std::int64_t row_bytes = data_.bytes() / source.rows, groups = view_.stride / kDenseColsUnit;
  const std::int64_t step = std::max<std::int64_t>(1, (std::int64_t{16} << 20) / row_bytes);  // rows copied at a time
  std::vector<std::byte> rows(static_cast<std::size_t>(step * row_bytes));
  std::vector<float> values(static_cast<std::size_t>(source.cols));
  for (std::int64_t begin = 0; begin < source.rows; begin += step) {
    const std::int64_t end = std::min(source.rows, begin + step);
    for (std::int64_t row = begin; row < end; ++row) pack_row(source, row, values, rows.data() + (row - begin) * row_bytes);
    data_.upload(rows.data(), (end - begin) * row_bytes, begin * row_bytes);
  }
  if (source.format != MatrixFormat::kFp8) return;
  std::vector<float> scales;
  scales.reserve(static_cast<std::size_t>(source.rows * groups));
  for (std::int64_t row = 0; row < source.rows; ++row) {
    for (std::int64_t group = 0; group < groups; ++group) scales.push_back(fp8_scale(source, row, group));
  }
  scales_.upload(scales.data(), scales_.bytes());
}

DenseDeviceMatrix DenseDeviceMatrix::random(DenseFormat format, std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  NVLLM_CHECK(cols % kDenseColsUnit == 0);
  DenseDeviceMatrix out(format, rows, cols);
  randomise<<<1024, 256>>>(out.data_.as<std::byte>(), rows * cols, format == DenseFormat::kFp8, seed);
  check(cudaDeviceSynchronize(), "making random weights");
  if (format == DenseFormat::kFp8) {
    const std::vector<float> ones(static_cast<std::size_t>(out.scales_.bytes() / 4), 0.75f);
    out.scales_.upload(ones.data(), out.scales_.bytes());
  }
  return out;
}

void dense_matvec(void* out, std::int64_t out_stride, const void* x, std::int64_t x_stride, std::int64_t tokens, const DenseView& w,
                  DenseEnd end, cudaStream_t stream, const float* bias) {
  DenseWork work{.of = {arguments_of(out, out_stride, x, x_stride, tokens, w), {}}};
  work.of[0].end = end;
  work.of[0].bias = bias;
  launch(work, 1, w.format, stream);
}

void dense_matvec_of_two(const DenseProductPart& first, const DenseProductPart& second, const void* x, std::int64_t x_stride,
                         std::int64_t tokens, cudaStream_t stream) {
  NVLLM_CHECK(first.w.pairs_with(second.w));
  const DenseWork work{.of = {arguments_of(first.out, first.out_stride, x, x_stride, tokens, first.w),
                              arguments_of(second.out, second.out_stride, x, x_stride, tokens, second.w)}};
  launch(work, 2, first.w.format, stream);
}

}  // namespace nvllm::cuda
