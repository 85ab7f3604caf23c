#include "bench/records/kernel_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/records/kernel_name.h"

namespace nvllm::bench {

std::string kernel_key(const KernelRow& row) {
  std::string key = normalised_kernel_name(row.name);
  if (row.grid) key += fmt::format("|grid={},{},{}", (*row.grid)[0], (*row.grid)[1], (*row.grid)[2]);
  if (row.block) key += fmt::format("|block={},{},{}", (*row.block)[0], (*row.block)[1], (*row.block)[2]);
  if (row.shared_bytes) key += fmt::format("|shared={}", *row.shared_bytes);
  if (row.layer) key += fmt::format("|layer={}", *row.layer);
  if (!row.phase.empty()) key += "|phase=" + row.phase;
  return key;
}

double total_ms(const KernelTable& table) {
  double sum = 0;
  for (const KernelRow& row : table.rows) sum += row.total_ms;
  return sum;
}

void sort_by_total(KernelTable& table) {
  std::sort(table.rows.begin(), table.rows.end(), [](const KernelRow& left, const KernelRow& right) {
    if (left.total_ms != right.total_ms) return left.total_ms > right.total_ms;
    return kernel_key(left) < kernel_key(right);
  });
}

void fill_shares(KernelTable& table) {
  const double whole = total_ms(table);
  for (KernelRow& row : table.rows) row.share = whole > 0 ? row.total_ms / whole : 0;
}

std::vector<const KernelRow*> find_kernels(const KernelTable& table, std::string_view short_name) {
  const bool prefix = short_name.ends_with('*');
  if (prefix) short_name.remove_suffix(1);
  std::vector<const KernelRow*> found;
  for (const KernelRow& row : table.rows) {
    if (prefix ? row.short_name.starts_with(short_name) : row.short_name == short_name) found.push_back(&row);
  }
  return found;
}

}  // namespace nvllm::bench
