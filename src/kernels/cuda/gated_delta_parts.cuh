#pragma once

// What the kernels of a Gated DeltaNet layer share. A head's vector is one warp's: four elements a lane.

#include <cuda_bf16.h>

#include <cstdint>

#include "base/check.h"
#include "kernels/cuda/gated_delta.h"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda::delta {

/// DeltaArguments as kernels take them.
struct Layer {
  const Bf16 *qkv, *z, *b, *a;
  const float *conv_weights, *a_log, *dt_bias, *gain;
  Bf16* conv_state;
  void* recurrent;
  const Lane* lanes;
  Bf16* out;
  int qkv_stride, z_stride, b_stride, a_stride, out_stride;
  int lane_count, slot_count, key_heads, value_heads, group, key_dim, value_dim, taps, channels;
  float epsilon;

  explicit Layer(const DeltaArguments& of)
      : qkv(of.qkv), z(of.z), b(of.b), a(of.a), conv_weights(of.conv_weights), a_log(of.a_log), dt_bias(of.dt_bias),
        gain(of.gated_norm.gain), conv_state(of.conv_state), recurrent(of.recurrent), lanes(of.step.lanes), out(of.out),
        qkv_stride(of.qkv_stride), z_stride(of.z_stride), b_stride(of.b_stride), a_stride(of.a_stride),
        out_stride(of.out_stride), lane_count(of.step.lane_count), slot_count(of.slot_count),
        key_heads(static_cast<int>(of.shape.key_heads)), value_heads(static_cast<int>(of.shape.value_heads)),
        group(value_heads / key_heads), key_dim(static_cast<int>(of.shape.key_dim)),
        value_dim(static_cast<int>(of.shape.value_dim)), taps(static_cast<int>(of.shape.conv_taps)),
        channels(static_cast<int>(of.shape.channels())), epsilon(of.gated_norm.epsilon) {
    const DeltaShape& s = of.shape;
    NVLLM_CHECK(s.key_heads > 0 && s.value_heads % s.key_heads == 0);
    NVLLM_CHECK(s.key_dim % 8 == 0 && s.value_dim % 8 == 0 && s.key_dim > 0 && s.value_dim > 0);
    NVLLM_CHECK(s.key_dim <= kDeltaDimMax && s.value_dim <= kDeltaDimMax);
    NVLLM_CHECK(s.conv_taps >= 1 && s.conv_taps <= kDeltaTapsMax);
    NVLLM_CHECK(qkv_stride % 4 == 0 && z_stride % 4 == 0 && out_stride % 4 == 0);
    NVLLM_CHECK(!of.gated_norm.zero_centred);
  }
  /// First channel of the queries, keys or values (part 0, 1, 2) that a value head takes.
  __device__ __forceinline__ int channel(int part, int head) const {
    if (part == 2) return 2 * key_heads * key_dim + head * value_dim;
    return (part * key_heads + head / group) * key_dim;
  }
  __device__ __forceinline__ bool has_slot(const Lane& lane) const { return lane.slot >= 0 && lane.slot < slot_count; }
};

__device__ __forceinline__ Lane load_lane(const Lane* from) {
  static_assert(sizeof(Lane) == 16);
  const int4 bits = __ldcg(reinterpret_cast<const int4*>(from));
  return {.first_row = bits.x, .token_count = bits.y, .start = bits.z, .slot = bits.w};
}

struct Four {
  float x[4];
};

__device__ __forceinline__ float low_half(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_half(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const std::uint32_t&>(pair);
}
__device__ __forceinline__ Four unpack_four(uint2 bits) {
  return {{low_half(bits.x), high_half(bits.x), low_half(bits.y), high_half(bits.y)}};
}
__device__ __forceinline__ uint2 pack_four(const Four& of) { return {pack(of.x[0], of.x[1]), pack(of.x[2], of.x[3])}; }
// Past the first-level cache: nothing is read twice, and a kernel that starts early has no use for what lies there.
__device__ __forceinline__ uint2 load_8(const Bf16* from) { return __ldcg(reinterpret_cast<const uint2*>(from)); }
__device__ __forceinline__ void store_8(Bf16* to, uint2 bits) { *reinterpret_cast<uint2*>(to) = bits; }
__device__ __forceinline__ float load_one(const Bf16* from) {
  return __uint_as_float(static_cast<std::uint32_t>(__ldcg(reinterpret_cast<const std::uint16_t*>(from))) << 16);
}
__device__ __forceinline__ float round_bf16(float value) { return __bfloat162float(__float2bfloat16_rn(value)); }
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

/// Weights of four channels and their inputs before a token, the newest last. kTaps is the most that there may be, or
/// with kExact how many there are; those that are not there are zeros before the others.
template <int kTaps, bool kExact>
struct Window {
  float4 weights[kTaps];
  uint2 inputs[kTaps];

  static __device__ __forceinline__ int taps(const Layer& l) { return kExact ? kTaps : l.taps; }
  static __device__ __forceinline__ Bf16* ring_row(const Layer& l, int slot, int position) {
    const unsigned row = static_cast<unsigned>(position) % static_cast<unsigned>(taps(l));
    return l.conv_state + (static_cast<long long>(slot) * taps(l) + row) * l.channels;
  }
  __device__ __forceinline__ void load_weights(const Layer& l, int channel) {
#pragma unroll
    for (int j = 0; j < kTaps; ++j) {
      const int tap = j - (kTaps - taps(l));
      weights[j] = tap >= 0 ? *reinterpret_cast<const float4*>(l.conv_weights + tap * l.channels + channel) : float4{0, 0, 0, 0};
    }
  }
  /// What comes before position `start` from the slot; before position 0 there are zeros, and nothing is read.
  __device__ __forceinline__ void load_past(const Layer& l, int channel, int slot, int start) {
#pragma unroll
    for (int j = 0; j < kTaps - 1; ++j) {
      const int position = start - (kTaps - 1) + j;
      inputs[j] = j >= kTaps - taps(l) && position >= 0 ? load_8(ring_row(l, slot, position) + channel) : uint2{0, 0};
    }
  }
  /// The same from the inputs themselves; `x` is where the next one lies.
  __device__ __forceinline__ void load_past(const Layer& l, const Bf16* x) {
#pragma unroll
    for (int j = 0; j < kTaps - 1; ++j) {
      inputs[j] = j >= kTaps - taps(l) ? load_8(x + static_cast<long long>(j - (kTaps - 1)) * l.qkv_stride) : uint2{0, 0};
    }
  }
  /// Takes the next input and gives what the convolution and silu make of it, as BF16.
  __device__ __forceinline__ uint2 next(uint2 input) {
    inputs[kTaps - 1] = input;
    Four sum{};
#pragma unroll
    for (int j = 0; j < kTaps; ++j) {
      const Four x = unpack_four(inputs[j]);
      sum.x[0] = fmaf(x.x[0], weights[j].x, sum.x[0]);
      sum.x[1] = fmaf(x.x[1], weights[j].y, sum.x[1]);
      sum.x[2] = fmaf(x.x[2], weights[j].z, sum.x[2]);
      sum.x[3] = fmaf(x.x[3], weights[j].w, sum.x[3]);
    }
#pragma unroll
    for (int j = 0; j + 1 < kTaps; ++j) inputs[j] = inputs[j + 1];
#pragma unroll
    for (int j = 0; j < 4; ++j) sum.x[j] = silu(round_bf16(sum.x[j]));
    return pack_four(sum);
  }
};

/// The factor that makes a warp's vector one of length `length`.
__device__ __forceinline__ float unit_factor(const Four& of, float length) {
  float sum = 0;
#pragma unroll
  for (int j = 0; j < 4; ++j) sum = fmaf(of.x[j], of.x[j], sum);
  return 1.0f / sqrtf(warp_sum(sum) + 1e-6f) * length;
}

struct Gates {
  float decay, beta;
};

/// log(decay) per softplus: what a head's gate needs besides the token's.
__device__ __forceinline__ float log_decay(float rate, float step) {
  return rate * (step > 20.0f ? step : log1pf(expf(step)));
}

__device__ __forceinline__ Gates gates_of(float b, float a, float rate, float bias) {
  return {.decay = expf(log_decay(rate, a + bias)), .beta = round_bf16(1.0f / (1.0f + expf(-b)))};
}

/// One element of the gated norm; `scale` is one over the vector's root mean square.
__device__ __forceinline__ float gated(float core, float scale, float gain, float z) {
  return round_bf16(gain * round_bf16(core * scale)) * silu(z);
}

__device__ __forceinline__ float inverse_rms(float sum, int width, float epsilon) {
  return 1.0f / sqrtf(sum / static_cast<float>(width) + epsilon);
}

}  // namespace nvllm::cuda::delta
