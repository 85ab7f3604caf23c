#pragma once

// What a profile says, wherever it came from: our own collector, a torch trace, nsys, a CSV file.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

/// Blocks of a grid or threads of a block: x, y, z.
using Dim3 = std::array<std::int64_t, 3>;

/// One kernel's calls in one burst. A field that its source does not know is empty.
struct KernelRow {
  std::string name;        ///< as found in the source
  std::string short_name;  ///< short_kernel_name(name)

  std::optional<Dim3> grid, block;
  std::optional<std::int64_t> shared_bytes;
  std::optional<std::int64_t> layer;
  std::string phase;  ///< "decode", "prefill" or empty

  std::int64_t n_calls = 0;
  double mean_us = 0, p50_us = 0, p95_us = 0;
  double total_ms = 0;

  std::optional<double> min_us, max_us, sd_us;
  std::optional<double> log_mean;     ///< mean of ln(duration in us)
  std::optional<double> share;        ///< of the table's total time, 0..1
  std::optional<std::int64_t> bytes;  ///< moved by one call, by the cost model
};

/// All kernels of one burst of one leg in one server boot.
struct KernelTable {
  std::string leg;
  std::int64_t round = 1;
  std::string boot_id;
  std::int64_t requests = 0;      ///< of the burst; 0: unknown
  std::int64_t decode_steps = 0;  ///< of all requests together; 0: unknown
  std::int64_t prefills = 0;      ///< likewise
  std::vector<KernelRow> rows;
};

/// What makes two rows the same kernel: normalised name, grid, block, shared memory, layer, phase.
std::string kernel_key(const KernelRow& row);

/// Time of all rows.
double total_ms(const KernelTable& table);

/// Most expensive first; equal totals by name, so that the order is the same everywhere.
void sort_by_total(KernelTable& table);

/// Writes each row's share of the table's total time.
void fill_shares(KernelTable& table);

/// The rows whose short name is `short_name`, or begins with it up to a '*' at its end.
std::vector<const KernelRow*> find_kernels(const KernelTable& table, std::string_view short_name);

}  // namespace nvllm::bench
