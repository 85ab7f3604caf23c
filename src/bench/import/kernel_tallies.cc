#include "bench/import/kernel_tallies.h"

#include <fmt/format.h>

#include "base/error.h"
#include "bench/records/kernel_name.h"

namespace nvllm::bench {

void KernelTallies::add(std::string_view key, double us, const std::function<KernelRow()>& describe) {
  auto found = index_.find(key);
  if (found == index_.end()) {
    if (static_cast<std::int64_t>(kinds_.size()) >= kinds_max_) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: more than {} different kernels; names that change from call to "
                                                   "call cannot be compared, try to group by name alone",
                                                   what_, kinds_max_));
    }
    found = index_.emplace(std::string(key), kinds_.size()).first;
    kinds_.push_back({describe(), {}});
    kinds_.back().row.short_name = short_kernel_name(kinds_.back().row.name);
  }
  kinds_[found->second].tally.add(us);
}

KernelTable KernelTallies::table(std::string leg) const {
  KernelTable table;
  table.leg = std::move(leg);
  for (const Kind& kind : kinds_) {
    KernelRow row = kind.row;
    row.n_calls = kind.tally.count();
    row.mean_us = kind.tally.mean_us();
    row.p50_us = kind.tally.quantile_us(0.50);
    row.p95_us = kind.tally.quantile_us(0.95);
    row.total_ms = kind.tally.total_us() * 1e-3;
    row.min_us = kind.tally.min_us();
    row.max_us = kind.tally.max_us();
    row.sd_us = kind.tally.sd_us();
    row.log_mean = kind.tally.log_mean();
    table.rows.push_back(std::move(row));
  }
  sort_by_total(table);
  fill_shares(table);
  return table;
}

}  // namespace nvllm::bench
