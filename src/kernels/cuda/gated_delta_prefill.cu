#include <algorithm>

#include "kernels/cuda/gated_delta_parts.cuh"
#include "kernels/cuda/gated_delta_words.cuh"

namespace nvllm::cuda {

std::int64_t delta_prefill_scratch_bytes(const DeltaShape& shape, std::int64_t tokens) {
  return tokens * (shape.channels() + shape.value_heads * shape.value_dim) * 2;
}

void delta_prefill(const DeltaArguments& arguments, const Lane& lane, int lane_index, const DeltaPrefillScratch& scratch,
                   cudaStream_t stream) {
  const delta::Layer l(arguments);
  if (lane.token_count <= 0) return;
  NVLLM_CHECK(scratch.bytes >= delta_prefill_scratch_bytes(arguments.shape, lane.token_count));
  const delta::LaneRange only{.first = lane_index, .count = 1};
  // Rows of scratch are the lane's own: the words find them by the step's rows.
  Bf16* const conv = static_cast<Bf16*>(scratch.data) - static_cast<std::int64_t>(lane.first_row) * l.channels;
  const int core_stride = l.value_heads * l.value_dim;
  Bf16* const core = static_cast<Bf16*>(scratch.data) + static_cast<std::int64_t>(lane.token_count) * l.channels -
                     static_cast<std::int64_t>(lane.first_row) * core_stride;
  delta::launch_conv(l, conv, l.channels, only, (lane.token_count + 15) / 16, stream);
  delta::launch_rule(l, arguments.format, core, core_stride, conv, l.channels, only, stream);
  delta::launch_norm(l, l.out, l.out_stride, core, core_stride, only, std::min(512, lane.token_count), stream);
}

}  // namespace nvllm::cuda
