#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/units.h"

namespace nvllm {

Buffer Buffer::host(std::size_t bytes) {
  if (bytes == 0) return {};
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  // Streams of weights touch every page once a token: huge pages spare most of the TLB misses.
  const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
  const auto size = static_cast<std::size_t>(
      round_up(static_cast<std::int64_t>(bytes), static_cast<std::int64_t>(alignment)));
  void* data = std::aligned_alloc(alignment, size);
  if (data == nullptr) throw std::bad_alloc();
  if (alignment == kHugePage) ::madvise(data, size, MADV_HUGEPAGE);
  std::memset(data, 0, size);
  return Buffer(data, bytes, [](void* memory, std::size_t) { std::free(memory); });
}

}  // namespace nvllm
