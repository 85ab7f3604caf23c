#pragma once

namespace nvllm::cuda {

/// Bytes a second that the device reads when it does nothing else: the median of a few passes over 4 GiB.
///   Errors: Error(kDevice) if there is not enough memory.
[[nodiscard]] double read_sweep_bytes_per_second();

}  // namespace nvllm::cuda
