// The two tables of a profile. The small one has the columns that older tools read; the other keeps
// everything that was told apart.

#include "bench/profile/profile_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/hashing.h"

namespace nvllm::bench {

namespace {

/// A field as RFC 4180 wants it.
std::string quoted(std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(field);
  std::string out = "\"";
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string layer_text(std::int64_t layer) {
  if (layer == kEveryLayer) return "every";
  return layer < 0 ? "none" : std::to_string(layer);
}

/// 16 hexadecimal digits that are the same wherever the same identity is seen.
std::string kernel_id(const KernelIdentity& identity) {
  return sha256_hex(fmt::format("{}|{}|{}|{}|{}", to_string(identity.kind), identity.operation,
                                layer_text(identity.layer), shape_text(identity.shape), to_string(identity.phase)))
      .substr(0, 16);
}

void sort_by_total(std::vector<KernelStats>& kernels) {
  std::ranges::stable_sort(kernels, std::greater{}, &KernelStats::total_s);
}

}  // namespace

std::string shape_text(const LaunchShape& shape) {
  std::string text;
  for (const std::int64_t extent : {shape.rows, shape.outputs, shape.inputs}) {
    if (extent > 0) text += fmt::format("{}{}", text.empty() ? "" : "x", extent);
  }
  return text;
}

std::vector<KernelStats> by_operation(const Profile& profile) {
  std::map<std::string, KernelStats> pooled;
  for (const KernelStats& kernel : profile.kernels) {
    if (kernel.identity.kind != WorkKind::kKernel) continue;
    KernelStats& sum = pooled[kernel.identity.operation];
    sum.identity = {.operation = kernel.identity.operation, .layer = kEveryLayer, .shape = {}};
    sum.merge(kernel);
  }
  std::vector<KernelStats> out;
  for (auto& [operation, stats] : pooled) out.push_back(std::move(stats));
  sort_by_total(out);
  return out;
}

std::string profile_kernels_csv(const Profile& profile, const std::string& config_id) {
  std::string csv = "config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms\n";
  for (const KernelStats& k : by_operation(profile)) {
    csv +=
        fmt::format("{},{},{},{:.3f},{:.3f},{:.3f},{:.3f}\n", quoted(config_id), quoted(k.identity.operation),
                    k.call_count, k.mean_s() * 1e6, k.quantile_s(0.5) * 1e6, k.quantile_s(0.95) * 1e6, k.total_s * 1e3);
  }
  return csv;
}

std::string kernels_csv(const Profile& profile, const std::string& config_id) {
  std::vector<KernelStats> kernels = profile.kernels;
  sort_by_total(kernels);
  double all_s = 0;
  for (const KernelStats& k : kernels) all_s += k.total_s;
  std::string csv =
      "kernel_id,config_id,short_name,kind,layer,phase,shape,n_calls,calls_per_step,rows_mean,mean_us,sd_us,min_us,p05_"
      "us,"
      "p50_us,p95_us,p99_us,max_us,log_mean,total_ms,share_pct,bytes_model,multiply_adds,gb_s\n";
  for (const KernelStats& k : kernels) {
    const auto calls = static_cast<double>(k.call_count);
    const std::int64_t steps = profile.totals(k.identity.phase).count;
    csv += fmt::format("{},{},{},{},{},{},{},{},", kernel_id(k.identity), quoted(config_id),
                       quoted(k.identity.operation), to_string(k.identity.kind), layer_text(k.identity.layer),
                       to_string(k.identity.phase), shape_text(k.identity.shape), k.call_count);
    csv += fmt::format("{:.4f},{:.2f},{:.3f},{:.3f},{:.3f},{:.3f},",
                       steps == 0 ? 0.0 : calls / static_cast<double>(steps), static_cast<double>(k.row_sum) / calls,
                       k.mean_s() * 1e6, k.sd_s() * 1e6, k.min_s * 1e6, k.quantile_s(0.05) * 1e6);
    csv += fmt::format("{:.3f},{:.3f},{:.3f},{:.3f},{:.6f},{:.3f},", k.quantile_s(0.5) * 1e6, k.quantile_s(0.95) * 1e6,
                       k.quantile_s(0.99) * 1e6, k.max_s * 1e6, k.log_sum / calls + std::log(1e6), k.total_s * 1e3);
    csv += fmt::format("{:.4f},{},{},{:.3f}\n", 100 * k.total_s / all_s, k.cost.bytes, k.cost.multiply_adds,
                       static_cast<double>(k.cost.bytes) / k.total_s / 1e9);
  }
  return csv;
}

}  // namespace nvllm::bench
