// Any bytes as a trace: refused with an Error, or read to the same result however they arrive.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "bench/import/torch_trace.h"

namespace {

using nvllm::bench::TraceImport;

std::optional<TraceImport> read(const std::uint8_t* data, std::size_t size, std::size_t piece) {
  std::size_t at = 0;
  const auto raw = [&](char* out, std::size_t bytes) {
    const std::size_t taken = std::min({bytes, piece, size - at});
    if (taken > 0) std::memcpy(out, data + at, taken);
    at += taken;
    return taken;
  };
  try {
    return nvllm::bench::read_torch_trace(raw, "fuzz");
  } catch (const nvllm::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto whole = read(data, size, size + 1), bytewise = read(data, size, 1);
  NVLLM_CHECK_EQ(whole.has_value(), bytewise.has_value());
  if (!whole) return 0;
  std::int64_t calls = 0;
  for (const auto& row : whole->table.rows) {
    NVLLM_CHECK(row.p50_us >= row.min_us && row.p95_us <= row.max_us && row.p50_us <= row.p95_us);
    calls += row.n_calls;
  }
  NVLLM_CHECK_EQ(calls, whole->kernels + whole->copies + whole->fills);
  NVLLM_CHECK_EQ(whole->events, bytewise->events);
  NVLLM_CHECK_EQ(whole->kernels, bytewise->kernels);
  NVLLM_CHECK_EQ(whole->json_bytes, bytewise->json_bytes);
  NVLLM_CHECK_EQ(static_cast<int>(whole->end), static_cast<int>(bytewise->end));
  NVLLM_CHECK_EQ(whole->table.rows.size(), bytewise->table.rows.size());
  NVLLM_CHECK(whole->end == nvllm::bench::TraceEnd::kComplete || !whole->findings.empty());
  return 0;
}
