// The layer word by word, and in one kernel for heads of any size: simple forms that follow the CPU's order.

#include <algorithm>

#include "kernels/cuda/gated_delta_parts.cuh"
#include "kernels/cuda/gated_delta_words.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

namespace delta {

namespace {

constexpr int kThreads = 128, kTaps = static_cast<int>(kDeltaTapsMax), kDim = static_cast<int>(kDeltaDimMax);
constexpr int kTileTokens = 16;

/// CTAs are [lanes, tiles of tokens, blocks of channels]; those of the first tile also keep the slot's ring, since they
/// alone read it.
template <int kTapsOf, bool kExact>
__global__ void __launch_bounds__(kThreads) conv_kernel(const __grid_constant__ Layer l, Bf16* out, int out_stride, int first_lane,
                                                        int tile_ctas) {
  const int blocks = (l.channels / 4 + kThreads - 1) / kThreads;
  const int channel = (blockIdx.x % blocks * kThreads + threadIdx.x) * 4, first_tile = blockIdx.x / blocks % tile_ctas;
  const bool inside = channel < l.channels;
  Window<kTapsOf, kExact> window;
  if (inside) window.load_weights(l, channel);
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = load_lane(l.lanes + first_lane + blockIdx.x / blocks / tile_ctas);
  if (!inside || lane.token_count <= 0 || !l.has_slot(lane)) return;
  const Bf16* x = l.qkv + static_cast<long long>(lane.first_row) * l.qkv_stride + channel;
  Bf16* y = out + static_cast<long long>(lane.first_row) * out_stride + channel;
  for (int tile = first_tile; tile * kTileTokens < lane.token_count; tile += tile_ctas) {
    const int begin = tile * kTileTokens, end = min(begin + kTileTokens, lane.token_count);
    if (begin > 0) {
      window.load_past(l, x + static_cast<long long>(begin) * l.qkv_stride);
    } else {
      window.load_past(l, channel, lane.slot, lane.start);
      for (int i = max(0, lane.token_count - l.taps); i < lane.token_count; ++i) {
        store_8(window.ring_row(l, lane.slot, lane.start + i) + channel, load_8(x + static_cast<long long>(i) * l.qkv_stride));
      }
    }
#pragma unroll 4
    for (int i = begin; i < end; ++i) {
      store_8(y + static_cast<long long>(i) * out_stride, window.next(load_8(x + static_cast<long long>(i) * l.qkv_stride)));
    }
  }
}

/// One warp per row and head.
__global__ void __launch_bounds__(kThreads) norm_kernel(const __grid_constant__ Layer l, Bf16* out, int out_stride, const Bf16* core,
                                                        int core_stride, int first_lane, int lane_ctas) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = load_lane(l.lanes + first_lane + blockIdx.x / lane_ctas);
  if (!l.has_slot(lane)) return;
  const int at = threadIdx.x % 32 * 4, warps = kThreads / 32;
  const bool inside = at < l.value_dim;
  const float4 gain = inside ? *reinterpret_cast<const float4*>(l.gain + at) : float4{};
  const int units = lane.token_count * l.value_heads;
  for (int unit = blockIdx.x % lane_ctas * warps + threadIdx.x / 32; unit < units; unit += lane_ctas * warps) {
    const long long row = lane.first_row + unit / l.value_heads;
    const int column = unit % l.value_heads * l.value_dim + at;
    const Four x = unpack_four(inside ? load_8(core + row * core_stride + column) : uint2{0, 0});
    const Four z = unpack_four(inside ? load_8(l.z + row * l.z_stride + column) : uint2{0, 0});
    float sum = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) sum = fmaf(x.x[j], x.x[j], sum);
    const float scale = inverse_rms(warp_sum(sum), l.value_dim, l.epsilon);
    if (!inside) continue;
    store_8(out + row * out_stride + column, pack_four({{gated(x.x[0], scale, gain.x, z.x[0]), gated(x.x[1], scale, gain.y, z.x[1]),
                                                         gated(x.x[2], scale, gain.z, z.x[2]), gated(x.x[3], scale, gain.w, z.x[3])}}));
  }
}

template <class State>
__device__ __forceinline__ float load_state(const State* from) {
  if constexpr (sizeof(State) == 4) return __ldcg(from);
  else return load_one(from);
}
template <class State>
__device__ __forceinline__ void store_state(State* to, float value) {
  if constexpr (sizeof(State) == 4) *to = value;
  else *reinterpret_cast<__nv_bfloat16*>(to) = __float2bfloat16_rn(value);
}

/// A CTA per lane and value head, a thread per value column, the state in shared memory. A whole layer takes `conv` as
/// null, convolves for itself and ends with the gated norm; else the rule alone.
template <class State, bool kWhole>
__global__ void __launch_bounds__(kThreads) rule_kernel(const __grid_constant__ Layer l, Bf16* out, int out_stride, const Bf16* conv,
                                                        int conv_stride, int first_lane) {
  extern __shared__ float state[];  // [key_dim, value_dim]
  __shared__ __align__(16) float queries[kDim], keys[kDim], values[kDim];
  __shared__ Gates gates;
  __shared__ float core[kDim];
  const int head = blockIdx.x % l.value_heads, thread = threadIdx.x, warp = thread / 32, at = thread % 32 * 4;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = load_lane(l.lanes + first_lane + blockIdx.x / l.value_heads);
  if (lane.token_count <= 0 || !l.has_slot(lane)) return;
  const int cells = l.key_dim * l.value_dim;
  State* const slot = static_cast<State*>(l.recurrent) + (static_cast<long long>(lane.slot) * l.value_heads + head) * cells;
  for (int i = thread; i < cells; i += kThreads) state[i] = lane.start > 0 ? load_state(slot + i) : 0.0f;
  const int width = warp == 2 ? l.value_dim : l.key_dim, channel = l.channel(warp, head) + at;
  const float rate = -expf(l.a_log[head]), bias = l.dt_bias[head], query_length = 1.0f / sqrtf(static_cast<float>(l.key_dim));
  for (int i = 0; i < lane.token_count; ++i) {
    const long long row = lane.first_row + i;
    if (warp < 3) {
      uint2 bits{0, 0};
      if (at < width) {
        if constexpr (kWhole) {
          Window<kTaps, false> window;
          window.load_weights(l, channel);
          window.load_past(l, channel, lane.slot, lane.start);
          const uint2 input = load_8(l.qkv + row * l.qkv_stride + channel);
          if (warp == 2 || head % l.group == 0) store_8(window.ring_row(l, lane.slot, lane.start) + channel, input);
          bits = window.next(input);
        } else {
          bits = load_8(conv + row * conv_stride + channel);
        }
      }
      const Four x = unpack_four(bits);
      const float factor = warp == 2 ? 1.0f : unit_factor(x, warp == 0 ? query_length : 1.0f);
      float* to = warp == 0 ? queries : warp == 1 ? keys : values;
      *reinterpret_cast<float4*>(to + at) = {x.x[0] * factor, x.x[1] * factor, x.x[2] * factor, x.x[3] * factor};
    } else if (thread % 32 == 0) {
      gates = gates_of(load_one(l.b + row * l.b_stride + head), load_one(l.a + row * l.a_stride + head), rate, bias);
    }
    __syncthreads();
    if (thread < l.value_dim) {
      float read = 0, sum = 0;
      for (int m = 0; m < l.key_dim; ++m) read = fmaf(keys[m], state[m * l.value_dim + thread] * gates.decay, read);
      const float corrected = gates.beta * (values[thread] - read);
      for (int m = 0; m < l.key_dim; ++m) {
        float& cell = state[m * l.value_dim + thread];
        cell = fmaf(keys[m], corrected, cell * gates.decay);
        sum = fmaf(queries[m], cell, sum);
      }
      core[thread] = round_bf16(sum);
    }
    __syncthreads();
    if (warp == 0) {
      Four x{};
      if (at < l.value_dim) x = {{core[at], core[at + 1], core[at + 2], core[at + 3]}};
      const int column = head * l.value_dim + at;
      if constexpr (kWhole) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j) sum = fmaf(x.x[j], x.x[j], sum);
        const float scale = inverse_rms(warp_sum(sum), l.value_dim, l.epsilon);
        if (at < l.value_dim) {
          const Four z = unpack_four(load_8(l.z + row * l.z_stride + column));
#pragma unroll
          for (int j = 0; j < 4; ++j) x.x[j] = gated(x.x[j], scale, l.gain[at + j], z.x[j]);
        }
      }
      if (at < l.value_dim) store_8(out + row * out_stride + column, pack_four(x));
    }
  }
  __syncthreads();
  for (int i = thread; i < cells; i += kThreads) store_state(slot + i, state[i]);
}

template <class State, bool kWhole>
void launch_rule(const Layer& l, Bf16* out, int out_stride, const Bf16* conv, int conv_stride, LaneRange lanes,
                 cudaStream_t stream) {
  auto* const kernel = rule_kernel<State, kWhole>;
  static const cudaError_t raised = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kDim * kDim * 4);
  check(raised, "raising shared memory");
  launch_after(kernel, lanes.count * l.value_heads, kThreads, l.key_dim * l.value_dim * 4, stream, l, out, out_stride, conv,
               conv_stride, lanes.first);
}

}  // namespace

void launch_conv(const Layer& l, Bf16* out, int out_stride, LaneRange lanes, int tile_ctas, cudaStream_t stream) {
  const int blocks = (l.channels / 4 + kThreads - 1) / kThreads;
  auto* const kernel = l.taps == 4 ? conv_kernel<4, true> : conv_kernel<kTaps, false>;
  launch_after(kernel, blocks * tile_ctas * lanes.count, kThreads, 0, stream, l, out, out_stride, lanes.first, tile_ctas);
}

void launch_norm(const Layer& l, Bf16* out, int out_stride, const Bf16* core, int core_stride, LaneRange lanes, int lane_ctas,
                 cudaStream_t stream) {
  launch_after(norm_kernel, lane_ctas * lanes.count, kThreads, 0, stream, l, out, out_stride, core, core_stride, lanes.first, lane_ctas);
}

void launch_rule(const Layer& l, StateFormat format, Bf16* out, int out_stride, const Bf16* conv, int conv_stride, LaneRange lanes,
                 cudaStream_t stream) {
  if (format == StateFormat::kFloat) return launch_rule<float, false>(l, out, out_stride, conv, conv_stride, lanes, stream);
  launch_rule<Bf16, false>(l, out, out_stride, conv, conv_stride, lanes, stream);
}

void launch_general_decode(const Layer& l, StateFormat format, cudaStream_t stream) {
  const Bf16* const none = nullptr;
  const LaneRange all{.first = 0, .count = l.lane_count};
  if (format == StateFormat::kFloat) return launch_rule<float, true>(l, l.out, l.out_stride, none, 0, all, stream);
  launch_rule<Bf16, true>(l, l.out, l.out_stride, none, 0, all, stream);
}

}  // namespace delta

std::int64_t delta_conv_bytes(const DeltaShape& shape) { return shape.conv_taps * shape.channels() * 2; }

std::int64_t delta_recurrent_bytes(const DeltaShape& shape, StateFormat format) {
  return shape.recurrent_elements() * (format == StateFormat::kFloat ? 4 : 2);
}

void causal_conv(Bf16* out, int out_stride, const DeltaArguments& arguments, cudaStream_t stream) {
  const delta::Layer l(arguments);
  if (l.lane_count == 0) return;
  delta::launch_conv(l, out, out_stride, {.first = 0, .count = l.lane_count}, 1, stream);
}

void delta_rule(Bf16* out, int out_stride, const Bf16* conv, int conv_stride, const DeltaArguments& arguments, cudaStream_t stream) {
  const delta::Layer l(arguments);
  if (l.lane_count == 0) return;
  delta::launch_rule(l, arguments.format, out, out_stride, conv, conv_stride, {.first = 0, .count = l.lane_count}, stream);
}

void gated_norm(Bf16* out, int out_stride, const Bf16* core, int core_stride, const DeltaArguments& arguments, cudaStream_t stream) {
  const delta::Layer l(arguments);
  if (l.lane_count == 0) return;
  delta::launch_norm(l, out, out_stride, core, core_stride, {.first = 0, .count = l.lane_count}, 16, stream);
}

}  // namespace nvllm::cuda
