#include "bench/analysis/kernel_power.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "bench/stats/power.h"

namespace nvllm::bench {

namespace {

constexpr double kWanted = 0.8;

/// Standard deviation of the logarithms of boots of one folder.
std::optional<double> scatter_of_boots(const std::vector<double>& means_us) {
  if (means_us.size() < 2) return std::nullopt;
  double mean = 0, squares = 0;
  for (const double value : means_us) {
    if (value <= 0) return std::nullopt;
    mean += std::log(value) / static_cast<double>(means_us.size());
  }
  for (const double value : means_us)
    squares += (std::log(value) - mean) * (std::log(value) - mean);
  return std::sqrt(squares / static_cast<double>(means_us.size() - 1));
}

/// One boot's scatter: that of the paired ratios where there are any, else of this folder's boots.
std::optional<double> scatter_of(const KernelComparison& row) {
  const bool paired =
      row.test && row.test->summary.noise == NoiseSource::kRounds && row.test->summary.sd > 0;
  if (paired) return row.test->summary.sd / std::sqrt(2.0);
  return scatter_of_boots(row.candidate_boots_us);
}

std::optional<double> median_scatter(const LegKernels& leg) {
  std::vector<double> scatters;
  for (const KernelComparison& row : leg.rows) {
    if (!row.material) continue;
    if (const auto scatter = scatter_of(row); scatter && *scatter > 0) scatters.push_back(*scatter);
  }
  if (scatters.empty()) return std::nullopt;
  std::sort(scatters.begin(), scatters.end());
  return scatters[scatters.size() / 2];
}

}  // namespace

Json kernel_power_json(const LegKernels& leg, double margin,
                       const std::optional<BorrowedNoise>& noise) {
  std::optional<double> scatter = median_scatter(leg);
  const bool borrowed = !scatter && noise && noise->boot_sigma > 0;
  if (borrowed) scatter = noise->boot_sigma;
  if (!scatter) return nullptr;
  PairedDesign design{
      .rounds = leg.rounds, .boot_scatter = *scatter, .true_difference = 0, .alpha = 0.05};
  Json json;
  json["rounds"] = leg.rounds;
  json["boot_scatter_pct"] = *scatter * 100;
  json["scatter_source"] = borrowed ? "borrowed" : "measured";
  json["margin_pct"] = margin * 100;
  json["detectable_pct"] =
      leg.rounds < 2 ? Json(nullptr) : Json(detectable_difference(design, kWanted) * 100);
  json["by_rounds"] = Json::array();
  std::set<std::int64_t> counts{2, 4, 8, 12};
  if (leg.rounds >= 2) counts.insert(leg.rounds);
  for (const std::int64_t rounds : counts) {
    design.rounds = rounds;
    json["by_rounds"].push_back({{"rounds", rounds}, {"power", tost_power(design, margin)}});
  }
  return json;
}

}  // namespace nvllm::bench
