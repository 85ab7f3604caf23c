// Attention of steps of one token a sequence as a kernel of its own.

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_phase.cuh"
#include "kernels/cuda/attention_runs.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda {

namespace {

/// The form of tiles as a kernel.
template <int kHeadDim, KvFormat kFormat>
struct Tiles {
  static constexpr int kThreads = kAttentionWarps * 32, kCtas = 1, kBytes = kAttentionSharedBytes<kHeadDim, kFormat>;
  static __device__ __forceinline__ void run(const AttentionParameters& a, std::byte* shared) {
    attention_phase<kThreads, kHeadDim, kFormat>(a, shared);
  }
};

/// The form of runs.
template <int kHeadDim, KvFormat kFormat>
struct Runs {
  using Layout = RunsLayout<kHeadDim, kFormat>;
  static constexpr int kThreads = Layout::kThreads, kCtas = kRunCtas, kBytes = Layout::kBytes;
  static __device__ __forceinline__ void run(const AttentionParameters& a, std::byte* shared) { attention_runs<Layout>(a, shared); }
};

template <class Form>
__global__ void __launch_bounds__(Form::kThreads, Form::kCtas) decode_kernel(const __grid_constant__ AttentionParameters a) {
  extern __shared__ __align__(16) std::byte shared[];
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  Form::run(a, shared);
}

int multiprocessors() {
  static const int count = [] {
    int device = 0, of = 0;
    check(cudaGetDevice(&device), "asking for the device");
    check(cudaDeviceGetAttribute(&of, cudaDevAttrMultiProcessorCount, device), "asking for multiprocessors");
    return of;
  }();
  return count;
}

template <class Form>
void launch(const AttentionParameters& a, cudaStream_t stream) {
  static const bool allowed = [] {
    check(cudaFuncSetAttribute(decode_kernel<Form>, cudaFuncAttributeMaxDynamicSharedMemorySize, Form::kBytes),
          "asking for shared memory");
    return true;
  }();
  static_cast<void>(allowed);
  const int ctas = std::min(multiprocessors() * Form::kCtas, a.arguments.step.lane_count * a.groups * a.chunks_max);
  launch_early(decode_kernel<Form>, ctas, Form::kThreads, Form::kBytes, stream, a);
}

template <template <int, KvFormat> class Form, int kHeadDim>
void launch_format(const AttentionParameters& a, cudaStream_t stream) {
  if (a.arguments.format == KvFormat::kFp8) return launch<Form<kHeadDim, KvFormat::kFp8>>(a, stream);
  launch<Form<kHeadDim, KvFormat::kBf16>>(a, stream);
}

template <template <int, KvFormat> class Form>
void launch_form(const AttentionParameters& a, cudaStream_t stream) {
  switch (a.arguments.geometry.head_dim) {
    case 64: return launch_format<Form, 64>(a, stream);
    case 128: return launch_format<Form, 128>(a, stream);
    default:
      NVLLM_CHECK_EQ(a.arguments.geometry.head_dim, 256);
      launch_format<Form, 256>(a, stream);
  }
}

}  // namespace

AttentionWorkspace::AttentionWorkspace(const AttentionGeometry& geometry, int lanes) : lanes_(lanes) {
  const std::int64_t items = static_cast<std::int64_t>(lanes) * attention_groups(geometry) * attention_chunks_max(geometry);
  partials_ = DeviceBuffer(items * kAttentionGroupHeads * geometry.head_dim * 4);
  statistics_ = DeviceBuffer(items * kAttentionGroupHeads * 8);
  arrivals_ = DeviceBuffer(static_cast<std::int64_t>(lanes) * attention_groups(geometry) * 4);
  arrivals_.fill(0);
}

AttentionParameters::AttentionParameters(const AttentionArguments& a, const AttentionWorkspace& workspace)
    : arguments(a),
      partials(static_cast<float4*>(workspace.partials())),
      statistics(static_cast<float2*>(workspace.statistics())),
      arrivals(workspace.arrivals()),
      block_magic(static_cast<unsigned>((1ull << 32) / static_cast<unsigned>(a.geometry.block_tokens)) + 1),
      ratio(a.geometry.heads / a.geometry.kv_heads),
      groups_per_kv(attention_groups(a.geometry) / a.geometry.kv_heads),
      groups(attention_groups(a.geometry)),
      chunks_max(attention_chunks_max(a.geometry)) {
  NVLLM_CHECK_EQ(a.geometry.heads % a.geometry.kv_heads, 0);
  NVLLM_CHECK_EQ(a.geometry.block_tokens % 16, 0);
  NVLLM_CHECK(a.geometry.block_tokens <= 1024);  // for positions below 2^22, block_magic divides exactly
  NVLLM_CHECK(a.geometry.rotary_dims <= a.geometry.head_dim);
  NVLLM_CHECK(static_cast<std::int64_t>(a.block_count) * a.geometry.kv_heads * a.geometry.block_tokens < 1ll << 31);  // rows are ints
  NVLLM_CHECK(a.step.lane_count <= workspace.lanes());
  NVLLM_CHECK(a.step.lane_count <= kAttentionLanesMax);
  constexpr float kLog2E = 1.4426950408889634f;
  score_factor = kLog2E / std::sqrt(static_cast<float>(a.geometry.head_dim)) * a.key_scale;
  score_factor /= a.format == KvFormat::kFp8 ? KvCodes<KvFormat::kFp8>::kQueryFactor : 1.0f;
}

void attention_decode(const AttentionArguments& arguments, AttentionForm form, const AttentionWorkspace& workspace, CUstream_st* stream) {
  const AttentionParameters a(arguments, workspace);
  if (form == AttentionForm::kRuns) return launch_form<Runs>(a, stream);
  launch_form<Tiles>(a, stream);
}

}  // namespace nvllm::cuda
