#include "kernels/cuda/device.h"

#include <utility>

#include "kernels/cuda/check.cuh"

namespace nvllm::cuda {

namespace {

/// Waits for the default stream. Fills of device memory and short copies to it return before they are done, and no
/// other stream of nvllm waits for them.
void settle(const char* doing) { check(cudaStreamSynchronize(cudaStreamLegacy), doing); }

}  // namespace

bool find_device(DeviceFacts& facts, std::string& why_not) {
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess) {
    why_not = std::string("no usable CUDA device: ") + cudaGetErrorString(status);
    return false;
  }
  if (count == 0) {
    why_not = "no CUDA device";
    return false;
  }
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, 0), "reading the device's properties");
  facts = {.name = found.name,
           .compute_capability = found.major * 10 + found.minor,
           .multiprocessors = found.multiProcessorCount,
           .memory_bytes = static_cast<std::int64_t>(found.totalGlobalMem),
           .second_level_cache_bytes = found.l2CacheSize,
           .shared_bytes = static_cast<int>(found.sharedMemPerBlockOptin)};
  if (facts.compute_capability != 90 && facts.compute_capability != 121) {
    why_not = facts.name + " has compute capability " + std::to_string(found.major) + "." + std::to_string(found.minor) +
              "; nvllm has kernels for 9.0 and 12.1";
    return false;
  }
  return true;
}

DeviceBuffer::DeviceBuffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes > 0) check(cudaMalloc(&data_, static_cast<std::size_t>(bytes)), "taking device memory");
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() { cudaFree(data_); }

Buffer DeviceBuffer::release() && {
  const auto bytes = static_cast<std::size_t>(std::exchange(bytes_, 0));
  return {std::exchange(data_, nullptr), bytes, [](void* data, std::size_t) { cudaFree(data); }};
}

void DeviceBuffer::upload(const void* from, std::int64_t bytes, std::int64_t at) {
  NVLLM_CHECK(at >= 0 && bytes >= 0 && at + bytes <= bytes_);
  check(cudaMemcpy(as<char>() + at, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice), "copying to the device");
  settle("copying to the device");
}

void DeviceBuffer::download(void* to, std::int64_t bytes, std::int64_t at) const {
  NVLLM_CHECK(at >= 0 && bytes >= 0 && at + bytes <= bytes_);
  check(cudaMemcpy(to, as<char>() + at, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost), "copying from the device");
}

void DeviceBuffer::fill(std::uint8_t value) {
  if (bytes_ == 0) return;
  check(cudaMemset(data_, value, static_cast<std::size_t>(bytes_)), "filling device memory");
  settle("filling device memory");
}

}  // namespace nvllm::cuda
