#pragma once

// The copy engine: one thread asks for a run of bytes, and a barrier in shared memory counts their arrival.
//   Source: PTX ISA, cp.async.bulk and mbarrier (sm_90 and later).

#include <cstddef>
#include <cstdint>

namespace nvllm::cuda::ptx {

/// Makes a barrier whose phase ends when so many have arrived and all expected bytes have.
__device__ __forceinline__ void init_barrier(std::uint32_t barrier, int arrivals = 1) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Makes barriers just made visible to the copy engine.
__device__ __forceinline__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Arrives, and lets the phase wait for so many bytes.
__device__ __forceinline__ void expect_bytes(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) that the barrier's phase waits for already.
__device__ __forceinline__ void copy_expected(std::uint32_t shared, const std::byte* global, std::uint32_t bytes, std::uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared), "l"(global),
               "r"(bytes), "r"(barrier)
               : "memory");
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) and lets the barrier's phase end with their arrival.
__device__ __forceinline__ void copy_bulk(std::uint32_t shared, const std::byte* global, std::uint32_t bytes, std::uint32_t barrier) {
  expect_bytes(barrier, bytes);
  copy_expected(shared, global, bytes, barrier);
}

/// Asks for the line of second-level cache that holds an address; nobody waits for it.
__device__ __forceinline__ void prefetch_line(const void* global) { asm volatile("prefetch.global.L2 [%0];" ::"l"(global)); }
inline constexpr int kLineBytes = 128;

/// Ends a phase to which no bytes belong.
__device__ __forceinline__ void arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/// One lane arrives for a warp, after __syncwarp(). racecheck sees only threads that arrive themselves, and takes the
/// others' accesses for races; in a build for it, all lanes arrive.
#ifdef NVLLM_EVERY_LANE_ARRIVES
inline constexpr int kWarpArrivals = 32;
#else
inline constexpr int kWarpArrivals = 1;
#endif
__device__ __forceinline__ bool arrives_for_warp(int lane) { return kWarpArrivals > 1 || lane == 0; }

/// Waits for the end of the phase of this parity.
__device__ __forceinline__ void wait_for_phase(std::uint32_t barrier, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again%=;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

}  // namespace nvllm::cuda::ptx
