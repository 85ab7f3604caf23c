#include "kernels/cuda/read_sweep.h"

#include <algorithm>
#include <array>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device.h"

namespace nvllm::cuda {

namespace {

constexpr std::int64_t kBytes = std::int64_t{4} << 30;  // beyond any cache
constexpr int kThreads = 1024, kLoads = 4;

__global__ void __launch_bounds__(kThreads) sweep(const uint4* from, long long count, unsigned* to) {
  const long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  unsigned sum = 0;
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i + (kLoads - 1) * threads < count; i += kLoads * threads) {
    uint4 values[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) values[j] = __ldcs(from + i + j * threads);
#pragma unroll
    for (int j = 0; j < kLoads; ++j) sum += values[j].x ^ values[j].y ^ values[j].z ^ values[j].w;
  }
  if (sum == 0x12345678u) *to = sum;  // never, but the compiler cannot know
}

}  // namespace

double read_sweep_bytes_per_second() {
  DeviceBuffer memory(kBytes), sink(sizeof(unsigned));
  memory.fill(0x5a);
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "asking for multiprocessors");
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "creating an event");
  check(cudaEventCreate(&end), "creating an event");
  std::array<float, 7> times_ms{};
  for (float& ms : times_ms) {
    check(cudaEventRecord(begin), "recording an event");
    sweep<<<2 * multiprocessors, kThreads>>>(memory.as<uint4>(), kBytes / 16, sink.as<unsigned>());
    check(cudaEventRecord(end), "recording an event");
    check(cudaEventSynchronize(end), "sweeping device memory");
    check(cudaEventElapsedTime(&ms, begin, end), "reading events");
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::ranges::sort(times_ms);
  return static_cast<double>(kBytes) / (times_ms[times_ms.size() / 2] / 1e3);
}

}  // namespace nvllm::cuda
