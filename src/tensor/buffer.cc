#include "tensor/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace nvllm {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMappedFrom = 2 * kHugePage;

std::size_t up_to(std::size_t step, std::size_t value) { return (value + step - 1) / step * step; }

/// Streams of weights touch every page once a token: huge pages spare most of the TLB misses. The
/// mapping ends with the page of its last byte, so that the tail is not blown up to a huge page, and
/// what is freed goes back to the system at once: neither is in the memory plan.
Buffer mapped(std::size_t bytes) {
  const std::size_t size = up_to(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), bytes);
  const std::size_t reserved = size + kHugePage;
  void* memory = ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* from = static_cast<std::byte*>(memory);
  const auto address = reinterpret_cast<std::uintptr_t>(from);
  const std::size_t before = up_to(kHugePage, address) - address, after = kHugePage - before;
  if (before > 0) ::munmap(from, before);
  if (after > 0) ::munmap(from + before + size, after);
  ::madvise(from + before, size, MADV_HUGEPAGE);
  return Buffer(from + before, bytes, [](void* data, std::size_t count) { ::munmap(data, count); });
}

Buffer allocated(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  void* data = std::aligned_alloc(kAlignment, up_to(kAlignment, bytes));
  if (data == nullptr) throw std::bad_alloc();
  return Buffer(data, bytes, [](void* memory, std::size_t) { std::free(memory); });
}

}  // namespace

Buffer Buffer::host(std::size_t bytes) {
  if (bytes == 0) return {};
  Buffer buffer = bytes >= kMappedFrom ? mapped(bytes) : allocated(bytes);
  // Fresh mappings are zero already; writing makes them resident now and not in the middle of a step.
  std::memset(buffer.as<std::byte>(), 0, bytes);
  return buffer;
}

}  // namespace nvllm
