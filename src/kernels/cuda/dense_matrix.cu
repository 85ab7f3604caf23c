// One warp a row of weights, four columns a lane at a time; sums over lanes by a tree.

#include "kernels/cuda/dense_matrix.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 256, kTokens = 8;

template <class Out>
struct Product {
  Out* out;
  const __nv_bfloat16* x;
  const __nv_bfloat16* w;
  long long out_stride, x_stride;
  int tokens, rows, cols;
};

__device__ __forceinline__ void put(float* to, float value) { *to = value; }
__device__ __forceinline__ void put(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

template <class Out>
__global__ void __launch_bounds__(kThreads) multiply(Product<Out> p) {
  const int row = static_cast<int>(blockIdx.x * (kThreads / 32) + threadIdx.x / 32), lane = threadIdx.x % 32;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  if (row >= p.rows) return;
  const __nv_bfloat16* const w = p.w + static_cast<long long>(row) * p.cols;
  float sums[kTokens] = {};
#pragma unroll 4
  for (int col = lane * 4; col < p.cols; col += 128) {
    const float4 weights = floats_of(__ldcs(reinterpret_cast<const uint2*>(w + col)));
#pragma unroll
    for (int token = 0; token < kTokens; ++token) {
      if (token >= p.tokens) break;
      sums[token] = dot(weights, floats_of(*reinterpret_cast<const uint2*>(p.x + token * p.x_stride + col)), sums[token]);
    }
  }
#pragma unroll
  for (int token = 0; token < kTokens; ++token) {
    const float sum = warp_sum(sums[token]);
    if (lane == 0 && token < p.tokens) put(p.out + token * p.out_stride + row, sum);
  }
}

template <class Out, class Real>
void product(View<Real> out, View<const Bf16> x, const DenseDeviceMatrix& w, cudaStream_t stream) {
  NVLLM_CHECK(w.cols() == x.cols && w.rows() == out.cols && out.rows == x.rows && x.cols % 4 == 0 && x.stride % 4 == 0);
  for (std::int64_t token = 0; token < x.rows; token += kTokens) {
    const Product<Out> p{.out = reinterpret_cast<Out*>(out.row(token)), .x = reinterpret_cast<const __nv_bfloat16*>(x.row(token)),
                         .w = reinterpret_cast<const __nv_bfloat16*>(w.data()), .out_stride = out.stride, .x_stride = x.stride,
                         .tokens = static_cast<int>(std::min<std::int64_t>(kTokens, x.rows - token)),
                         .rows = static_cast<int>(w.rows()), .cols = static_cast<int>(w.cols())};
    constexpr std::int64_t kEach = kThreads / 32;
    launch_early(multiply<Out>, static_cast<int>((w.rows() + kEach - 1) / kEach), kThreads, 0, stream, p);
  }
}

}  // namespace

DenseDeviceMatrix::DenseDeviceMatrix(const MatrixSource& file) : rows_(file.rows), cols_(file.cols), values_(bytes_of(file)) {
  if (file.format == MatrixFormat::kBf16) {
    values_.upload(file.data, values_.bytes());
    return;
  }
  std::vector<float> row(static_cast<std::size_t>(cols_));
  std::vector<Bf16> rounded_rows(static_cast<std::size_t>(rows_ * cols_));
  for (std::int64_t r = 0; r < rows_; ++r) {
    dequantise_row(file, r, row);
    std::ranges::transform(row, rounded_rows.begin() + r * cols_, to_bf16);
  }
  values_.upload(rounded_rows.data(), values_.bytes());
}

void dense_product(View<Bf16> out, View<const Bf16> x, const DenseDeviceMatrix& w, cudaStream_t stream) {
  product<__nv_bfloat16>(out, x, w, stream);
}
void dense_product(View<float> out, View<const Bf16> x, const DenseDeviceMatrix& w, cudaStream_t stream) {
  product<float>(out, x, w, stream);
}

}  // namespace nvllm::cuda
