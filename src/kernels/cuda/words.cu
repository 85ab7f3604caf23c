// One thread for each few elements, or one CTA or warp for each row that is summed: what these move lies in cache, and
// a decode step that fuses them never gets here.

#include "kernels/cuda/words.h"

#include <cuda_fp8.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kCtasMax = 4096;

/// A view as a kernel takes it.
template <class T>
struct Rows {
  T* data;
  long long stride;
  int rows, cols;

  __device__ T* row(int index) const { return data + index * stride; }
};

template <class T>
auto device_rows(View<T> view) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, Bf16>) {
    using Out = std::conditional_t<std::is_const_v<T>, const __nv_bfloat16, __nv_bfloat16>;
    return Rows<Out>{reinterpret_cast<Out*>(view.data), view.stride, static_cast<int>(view.rows), static_cast<int>(view.cols)};
  } else {
    return Rows<T>{view.data, view.stride, static_cast<int>(view.rows), static_cast<int>(view.cols)};
  }
}

__device__ __forceinline__ float value_of(__nv_bfloat16 x) { return __bfloat162float(x); }

/// Calls body(row, column) for every element of rows by cols.
template <class Body>
__device__ __forceinline__ void for_elements(int rows, int cols, Body&& body) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const long long count = static_cast<long long>(rows) * cols, step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i < count; i += step) {
    body(static_cast<int>(i / cols), static_cast<int>(i % cols));
  }
}

constexpr int kRun = 8;  // elements of 16 bytes, which one thread takes at once

/// Calls body(row, column) for the first element of every run of kRun, of which a row has a whole number.
template <class Body>
__device__ __forceinline__ void for_runs(int rows, int cols, Body&& body) {
  for_elements(rows, cols / kRun, [&](int row, int run) { body(row, run * kRun); });
}

/// What of(a, b) makes of each pair of elements of two runs.
template <class Of>
__device__ __forceinline__ uint4 combined(uint4 a, uint4 b, Of&& of) {
  const auto four = [&](float4 x, float4 y) { return bits_of({of(x.x, y.x), of(x.y, y.y), of(x.z, y.z), of(x.w, y.w)}); };
  const uint2 low = four(floats_of({a.x, a.y}), floats_of({b.x, b.y})), high = four(floats_of({a.z, a.w}), floats_of({b.z, b.w}));
  return {low.x, low.y, high.x, high.y};
}
__device__ __forceinline__ uint4 run_of(const Rows<const __nv_bfloat16>& x, int row, int col) {
  return *reinterpret_cast<const uint4*>(x.row(row) + col);
}
template <class T>
bool in_runs(View<T> x) {
  return x.cols % kRun == 0 && x.stride % kRun == 0 && reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
}

int ctas_for(std::int64_t elements) { return static_cast<int>(std::clamp<std::int64_t>((elements + kThreads - 1) / kThreads, 1, kCtasMax)); }

template <class... Parameters, class... Values>
void launch_elements(void (*kernel)(Parameters...), std::int64_t elements, cudaStream_t stream, const Values&... values) {
  if (elements > 0) launch_after(kernel, ctas_for(elements), kThreads, 0, stream, values...);
}

__global__ void embed_kernel(Rows<__nv_bfloat16> out, const __nv_bfloat16* table, long long table_stride, int vocab, const StepRow* rows) {
  for_elements(out.rows, out.cols, [&](int row, int col) {
    const int id = rows[row].id;
    out.row(row)[col] = table[static_cast<long long>(id >= 0 && id < vocab ? id : 0) * table_stride + col];
  });
}

/// One row by all threads of a CTA, its root-mean-square known.
__device__ __forceinline__ void put_normed(const Rows<__nv_bfloat16>& out, const Rows<const __nv_bfloat16>& x,
                                           const DeviceNorm& norm, int row, float scale) {
  for (int col = threadIdx.x * 4; col < x.cols; col += kThreads * 4) {
    const float4 values = floats_of(__ldcg(reinterpret_cast<const uint2*>(x.row(row) + col)));
    const float4 gain = *reinterpret_cast<const float4*>(norm.gain + col);
    *reinterpret_cast<uint2*>(out.row(row) + col) = bits_of(normed(values, scale, gain, norm.zero_centred));
  }
}

/// Squares added as products by teams of warps, of as many threads, add them.
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(Rows<__nv_bfloat16> out, Rows<const __nv_bfloat16> x, DeviceNorm norm) {
  __shared__ float scratch[kThreads / 32];
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const int row = blockIdx.x;
  float squares[1] = {};
  for (int col = threadIdx.x * 4; col < x.cols; col += kThreads * 4) {
    const float4 values = floats_of(__ldcg(reinterpret_cast<const uint2*>(x.row(row) + col)));
    squares[0] = dot(values, values, squares[0]);
  }
  cta_sums<kThreads>(squares, scratch);
  const float scale = inverse_rms(squares[0], x.cols, norm.epsilon);
  put_normed(out, x, norm, row, scale);
}

/// The same with the squares added as products by warpgroups add them.
__global__ void __launch_bounds__(kThreads) rms_norm_kernel_by_two_warps(Rows<__nv_bfloat16> out, Rows<const __nv_bfloat16> x,
                                                                         DeviceNorm norm) {
  __shared__ float squares[kRowThreads / 32];
  for (int col = threadIdx.x * 32; col < x.cols; col += kThreads * 32) ptx::prefetch_line(norm.gain + col);
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const int row = blockIdx.x;
  if (threadIdx.x < kRowThreads) {
    const float of = row_squares(x.row(row), x.cols, threadIdx.x);
    if (threadIdx.x % 32 == 0) squares[threadIdx.x / 32] = of;
  }
  __syncthreads();
  const float scale = inverse_rms(squares[0] + squares[1], x.cols, norm.epsilon);
  put_normed(out, x, norm, row, scale);
}

/// One warp a head.
__global__ void head_norm_kernel(Rows<__nv_bfloat16> x, int heads, DeviceNorm norm) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const int head = static_cast<int>(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32), lane = threadIdx.x % 32, dim = x.cols / heads;
  if (head >= x.rows * heads) return;
  __nv_bfloat16* const at = x.row(head / heads) + head % heads * dim;
  float squares = 0;
  for (int i = lane; i < dim; i += 32) squares = fmaf(value_of(at[i]), value_of(at[i]), squares);
  const float scale = inverse_rms(warp_sum(squares), dim, norm.epsilon);
  for (int i = lane; i < dim; i += 32) at[i] = __float2bfloat16_rn(normed(value_of(at[i]), scale, norm.gain[i], norm.zero_centred));
}

__global__ void add_kernel(Rows<__nv_bfloat16> residual, Rows<const __nv_bfloat16> x) {
  for_runs(x.rows, x.cols, [&](int row, int col) {
    auto* const to = reinterpret_cast<uint4*>(residual.row(row) + col);
    *to = combined(*to, run_of(x, row, col), [](float before, float more) { return before + more; });
  });
}

__global__ void add_bias_kernel(Rows<__nv_bfloat16> x, const float* bias) {
  for_elements(x.rows, x.cols, [&](int row, int col) { x.row(row)[col] = __float2bfloat16_rn(value_of(x.row(row)[col]) + bias[col]); });
}
__global__ void add_float_bias_kernel(Rows<float> x, const float* bias) {
  for_elements(x.rows, x.cols, [&](int row, int col) { x.row(row)[col] += bias[col]; });
}

__global__ void swiglu_kernel(Rows<__nv_bfloat16> out, Rows<const __nv_bfloat16> gate, Rows<const __nv_bfloat16> up) {
  for_runs(out.rows, out.cols, [&](int row, int col) {
    *reinterpret_cast<uint4*>(out.row(row) + col) =
        combined(run_of(gate, row, col), run_of(up, row, col), [](float g, float u) { return rounded_silu(g) * u; });
  });
}

__global__ void split_gate_kernel(Rows<__nv_bfloat16> query, Rows<__nv_bfloat16> gate, Rows<const __nv_bfloat16> both, int dim) {
  for_elements(query.rows, query.cols, [&](int row, int col) {
    const int from = col / dim * 2 * dim + col % dim;
    query.row(row)[col] = both.row(row)[from];
    gate.row(row)[col] = both.row(row)[from + dim];
  });
}

__global__ void output_gate_kernel(Rows<__nv_bfloat16> out, Rows<const __nv_bfloat16> gate) {
  for_elements(out.rows, out.cols, [&](int row, int col) {
    __nv_bfloat16& to = out.row(row)[col];
    to = __float2bfloat16_rn(value_of(to) * rounded(sigmoid(value_of(gate.row(row)[col]))));
  });
}

__global__ void rotary_angles_kernel(Rows<float> cosine, Rows<float> sine, const double* half_turns, double magnitude, const StepRow* rows) {
  for_elements(cosine.rows, cosine.cols, [&](int row, int col) {
    double s, c;
    sincospi(rows[row].position * half_turns[col], &s, &c);  // far angles cost sincos many times as much
    cosine.row(row)[col] = static_cast<float>(c * magnitude);
    sine.row(row)[col] = static_cast<float>(s * magnitude);
  });
}

__global__ void rope_kernel(Rows<__nv_bfloat16> x, int dim, Rows<const float> cosine, Rows<const float> sine) {
  const int half = cosine.cols;
  for_elements(x.rows, x.cols / dim * half, [&](int row, int unit) {
    const int at = unit / half * dim + unit % half;
    __nv_bfloat16& low_at = x.row(row)[at];
    __nv_bfloat16& high_at = x.row(row)[at + half];
    const float c = cosine.row(row)[unit % half], s = sine.row(row)[unit % half], low = value_of(low_at), high = value_of(high_at);
    low_at = __float2bfloat16_rn(rounded(low * c) - rounded(high * s));
    high_at = __float2bfloat16_rn(rounded(high * c) + rounded(low * s));
  });
}

__global__ void gather_rows_kernel(Rows<__nv_bfloat16> out, Rows<const __nv_bfloat16> x, const StepRow* rows) {
  for_elements(out.rows, out.cols, [&](int row, int col) { out.row(row)[col] = x.row(rows[row].wanted)[col]; });
}

__device__ __forceinline__ void put_kv(void* to, long long at, float value, float scale, KvFormat format) {
  if (format == KvFormat::kBf16) {
    static_cast<__nv_bfloat16*>(to)[at] = __float2bfloat16_rn(value);
  } else {
    static_cast<__nv_fp8_e4m3*>(to)[at] = __nv_fp8_e4m3(value / scale);
  }
}

__global__ void write_kv_kernel(KvTarget cache, Rows<const __nv_bfloat16> keys, Rows<const __nv_bfloat16> values, StepTable step, const StepRow* rows) {
  for_elements(keys.rows, keys.cols, [&](int row, int col) {
    const int lane = rows[row].lane, position = rows[row].position, tokens = static_cast<int>(cache.block_tokens);
    if (lane < 0 || position / tokens >= step.blocks_per_lane) return;
    const int block = step.blocks[static_cast<long long>(lane) * step.blocks_per_lane + position / tokens];
    if (block < 0 || block >= cache.block_count) return;
    const int dim = static_cast<int>(cache.head_dim), head = col / dim;
    const long long at = ((block * cache.kv_heads + head) * tokens + position % tokens) * dim + col % dim;
    put_kv(cache.keys, at, value_of(keys.row(row)[col]), cache.key_scale, cache.format);
    put_kv(cache.values, at, value_of(values.row(row)[col]), cache.value_scale, cache.format);
  });
}

}  // namespace

void embed(View<Bf16> out, const DenseView& table, const StepRow* rows, cudaStream_t stream) {
  launch_elements(embed_kernel, out.rows * out.cols, stream, device_rows(out), static_cast<const __nv_bfloat16*>(table.data), static_cast<long long>(table.stride), static_cast<int>(table.rows), rows);
}

void rms_norm(View<Bf16> out, View<const Bf16> x, const DeviceNorm& norm, const DeviceFacts& device, cudaStream_t stream) {
  NVLLM_CHECK(x.cols % 8 == 0 && x.stride % 8 == 0 && out.stride % 4 == 0);
  if (x.rows == 0) return;
  const auto rows = static_cast<int>(x.rows);
  if (has_warpgroups(device)) {
    launch_early(rms_norm_kernel_by_two_warps, rows, kThreads, 0, stream, device_rows(out), device_rows(x), norm);
  } else {
    launch_early(rms_norm_kernel, rows, kThreads, 0, stream, device_rows(out), device_rows(x), norm);
  }
}

void head_norm(View<Bf16> x, std::int64_t heads, const DeviceNorm& norm, cudaStream_t stream) {
  const std::int64_t units = x.rows * heads, each = kThreads / 32;
  if (units > 0) {
    launch_after(head_norm_kernel, static_cast<int>((units + each - 1) / each), kThreads, 0, stream, device_rows(x), static_cast<int>(heads), norm);
  }
}

void add(View<Bf16> residual, View<const Bf16> x, cudaStream_t stream) {
  NVLLM_CHECK(in_runs(residual) && in_runs(x));
  launch_elements(add_kernel, x.rows * x.cols / kRun, stream, device_rows(residual), device_rows(x));
}
void add_bias(View<Bf16> x, const float* bias, cudaStream_t stream) {
  launch_elements(add_bias_kernel, x.rows * x.cols, stream, device_rows(x), bias);
}
void add_bias(View<float> x, const float* bias, cudaStream_t stream) {
  launch_elements(add_float_bias_kernel, x.rows * x.cols, stream, device_rows(x), bias);
}
void swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up, cudaStream_t stream) {
  NVLLM_CHECK(in_runs(out) && in_runs(gate) && in_runs(up));
  launch_elements(swiglu_kernel, out.rows * out.cols / kRun, stream, device_rows(out), device_rows(gate), device_rows(up));
}
void split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads, cudaStream_t stream) {
  launch_elements(split_gate_kernel, query.rows * query.cols, stream, device_rows(query), device_rows(gate), device_rows(both),
                  static_cast<int>(query.cols / heads));
}
void output_gate(View<Bf16> out, View<const Bf16> gate, cudaStream_t stream) {
  launch_elements(output_gate_kernel, out.rows * out.cols, stream, device_rows(out), device_rows(gate));
}
void rotary_angles(View<float> cosine, View<float> sine, const double* half_turns, double magnitude, const StepRow* rows, cudaStream_t stream) {
  launch_elements(rotary_angles_kernel, cosine.rows * cosine.cols, stream, device_rows(cosine), device_rows(sine), half_turns, magnitude, rows);
}
void rope(View<Bf16> x, std::int64_t heads, RotaryTable<float> rotary, cudaStream_t stream) {
  launch_elements(rope_kernel, x.rows * heads * rotary.cosine.cols, stream, device_rows(x), static_cast<int>(x.cols / heads),
                  device_rows(rotary.cosine), device_rows(rotary.sine));
}
void gather_rows(View<Bf16> out, View<const Bf16> x, const StepRow* rows, cudaStream_t stream) {
  launch_elements(gather_rows_kernel, out.rows * out.cols, stream, device_rows(out), device_rows(x), rows);
}
void write_kv(const KvTarget& cache, View<const Bf16> keys, View<const Bf16> values, const StepTable& step, const StepRow* rows,
              cudaStream_t stream) {
  launch_elements(write_kv_kernel, keys.rows * keys.cols, stream, cache, device_rows(keys), device_rows(values), step, rows);
}

}  // namespace nvllm::cuda
