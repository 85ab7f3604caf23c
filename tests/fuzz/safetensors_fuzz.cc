// Any bytes as a safetensors file and as a shard map: refused with an Error, or accepted with
// tensors that tile the file exactly.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nvllm;
  try {
    const auto tensors =
        checkpoint::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
    std::int64_t total = 0;
    for (const checkpoint::TensorInfo& tensor : tensors) {
      NVLLM_CHECK(tensor.begin >= 8 && tensor.begin <= tensor.end);
      NVLLM_CHECK_LE(tensor.end, static_cast<std::int64_t>(size));
      std::int64_t bytes = dtype_bytes(tensor.dtype);
      for (const std::int64_t dimension : tensor.shape) bytes *= dimension;
      NVLLM_CHECK_EQ(bytes, tensor.bytes());
      total += tensor.bytes();
    }
    NVLLM_CHECK_LE(total, static_cast<std::int64_t>(size) - 8);
  } catch (const Error&) {
  }
  try {
    checkpoint::parse_shard_map({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const Error&) {
  }
  return 0;
}
