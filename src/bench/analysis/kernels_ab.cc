#include "bench/analysis/kernels_ab.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bench/analysis/moderated_rows.h"
#include "bench/stats/multiple_tests.h"
#include "bench/store/kernel_csv.h"

namespace nvllm::bench {

namespace {

/// A kernel in the rounds of one folder; null where a round lacks it.
using Rounds = std::vector<const KernelRow*>;

struct Both {
  Rounds baseline, candidate;
  const KernelRow* any = nullptr;
};

void collect(const std::vector<KernelTable>& tables, Rounds Both::*side, std::map<std::string, Both>& kernels) {
  for (std::size_t round = 0; round < tables.size(); ++round) {
    for (const KernelRow& row : tables[round].rows) {
      Both& both = kernels[kernel_key(row)];
      (both.*side).resize(tables.size());
      (both.*side)[round] = &row;
      if (both.any == nullptr) both.any = &row;
    }
  }
}

double leg_ms(const std::vector<KernelTable>& tables) {
  double sum = 0;
  for (const KernelTable& table : tables) sum += total_ms(table);
  return sum;
}

std::optional<KernelSide> side_of(const Rounds& rounds, const std::vector<KernelTable>& tables, double all_ms) {
  if (rounds.empty()) return std::nullopt;
  KernelSide side;
  std::int64_t requests = 0;
  bool known = true;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    requests += tables[i].requests;
    known = known && tables[i].requests > 0 && rounds[i] != nullptr;
    if (rounds[i] == nullptr) continue;
    side.calls += rounds[i]->n_calls;
    side.total_ms += rounds[i]->total_ms;
  }
  if (known && side.calls % requests == 0) side.calls_per_request = side.calls / requests;
  side.mean_us = side.total_ms * 1e3 / static_cast<double>(side.calls);
  // A single round keeps the mean its source states: totals are rounded otherwise.
  if (rounds.size() == 1) side.mean_us = rounds[0]->mean_us;
  side.share = all_ms > 0 ? side.total_ms / all_ms : 0;
  return side;
}

std::vector<double> boots_of(const Rounds& rounds) {
  std::vector<double> means;
  for (const KernelRow* row : rounds) {
    if (row != nullptr) means.push_back(row->mean_us);
  }
  return means;
}

/// Whether every paired round launched the kernel equally often, per request where that is known.
bool same_counts(const Both& both, const std::vector<KernelTable>& a, const std::vector<KernelTable>& b) {
  const auto per_request = [](const KernelRow* row, const KernelTable& table) {
    return std::pair(row == nullptr ? 0 : row->n_calls, table.requests > 0 ? table.requests : 1);
  };
  const auto [calls, requests] = per_request(both.baseline[0], a[0]);
  for (const auto& [rounds, tables] : {std::pair(&both.baseline, &a), std::pair(&both.candidate, &b)}) {
    for (std::size_t i = 0; i < rounds->size(); ++i) {
      const auto [other_calls, other_requests] = per_request((*rounds)[i], (*tables)[i]);
      // One side without its requests: only equal totals are equal counts.
      const bool comparable = (a[0].requests > 0) == ((*tables)[i].requests > 0);
      if (comparable ? calls * other_requests != other_calls * requests : calls != other_calls) return false;
    }
  }
  return true;
}

std::optional<PairedSummary> summary_of(const Both& both, const std::optional<BorrowedNoise>& noise) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(both.baseline.size(), both.candidate.size()); ++i) {
    if (both.baseline[i]->mean_us <= 0 || both.candidate[i]->mean_us <= 0) return std::nullopt;
    ratios.push_back(std::log(both.candidate[i]->mean_us / both.baseline[i]->mean_us));
  }
  if (ratios.size() >= 2) return summarise(ratios);
  if (ratios.empty() || !noise) return std::nullopt;
  return summarise_borrowed(ratios, noise->boot_sigma);
}

/// A call that no whole number of requests explains: the trace lost some, or the burst was cut.
bool incomplete(const KernelComparison& row, const LegEvidence& a, const LegEvidence& b) {
  return (a.profiles[0].requests > 0 && !row.baseline->calls_per_request) ||
         (b.profiles[0].requests > 0 && !row.candidate->calls_per_request);
}

void judge_row(const Both& both, const LegEvidence& a, const LegEvidence& b, const Sweep& sweep, double margin,
               KernelComparison& row) {
  if (!row.baseline || !row.candidate) {
    row.outcome = row.candidate ? "NEW" : "GONE";
  } else if (!same_counts(both, a.profiles, b.profiles)) {
    row.outcome = "COUNT_CHANGED";
  } else if (incomplete(row, a, b)) {
    row.outcome = "INCOMPLETE";
    row.note = "its calls do not divide by the requests";
  } else if (const auto summary = summary_of(both, sweep.noise)) {
    row.test = test_equivalence(*summary, margin);
    row.outcome = to_string(row.test->outcome);
  } else {
    row.outcome = "UNTESTED";
    row.note = "one round, and the sweep file lends no noise";
  }
}

void add_q_values(std::vector<KernelComparison>& rows) {
  std::vector<double> p;
  for (const KernelComparison& row : rows) {
    if (row.test) p.push_back(row.test->p_difference);
  }
  const std::vector<double> q = benjamini_hochberg(p);
  std::size_t at = 0;
  for (KernelComparison& row : rows) {
    if (row.test) row.q = q[at++];
  }
}

void count(LegKernels& leg) {
  double most = 0;
  for (const KernelComparison& row : leg.rows) {
    const double before = row.baseline ? row.baseline->total_ms : 0,
                 after = row.candidate ? row.candidate->total_ms : 0;
    if (!row.material) {
      leg.remainder_baseline_ms += before;
      leg.remainder_candidate_ms += after;
    }
    if (most < 0.99 * leg.candidate_ms) ++leg.rows_for_99;
    most += after;
    if (!row.baseline || !row.candidate) continue;
    ++leg.shared;
    if (row.outcome == "COUNT_CHANGED") continue;
    ++leg.same_count;
    leg.up += row.candidate->mean_us > row.baseline->mean_us;
    leg.down += row.candidate->mean_us < row.baseline->mean_us;
  }
}

bool is_named(const SweepLeg& leg, const std::string& short_name) {
  return std::any_of(leg.expect_kernels.begin(), leg.expect_kernels.end(), [&](const auto& expected) {
    const auto& [pattern, calls] = expected;
    if (calls == 0) return false;
    if (!pattern.ends_with('*')) return pattern == short_name;
    return short_name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  });
}

std::vector<ExpectedCalls> expected_calls(const SweepLeg& leg, const KernelTable& table) {
  std::vector<ExpectedCalls> list;
  for (const auto& [kernel, wanted] : leg.expect_kernels) {
    ExpectedCalls one{.kernel = kernel, .wanted = wanted, .seen = std::nullopt, .named = wanted > 0};
    if (table.decode_steps > 0) {
      std::int64_t calls = 0;
      for (const KernelRow* row : find_kernels(table, kernel)) calls += row->n_calls;
      one.seen = static_cast<double>(calls) / static_cast<double>(table.decode_steps);
    }
    list.push_back(one);
  }
  return list;
}

LegKernels compare_leg(const Sweep& sweep, const SweepLeg& leg, const LegEvidence& a, const LegEvidence& b,
                       double margin) {
  LegKernels result;
  result.leg = leg.name;
  result.baseline_ms = leg_ms(a.profiles);
  result.candidate_ms = leg_ms(b.profiles);
  result.baseline_rows = static_cast<std::int64_t>(a.profiles[0].rows.size());
  result.candidate_rows = static_cast<std::int64_t>(b.profiles[0].rows.size());
  result.rounds = static_cast<std::int64_t>(std::min(a.profiles.size(), b.profiles.size()));
  const std::vector<std::string> anchors = anchors_of(sweep);
  std::map<std::string, Both> kernels;
  collect(a.profiles, &Both::baseline, kernels);
  collect(b.profiles, &Both::candidate, kernels);
  for (const auto& [key, both] : kernels) {
    KernelComparison row;
    row.id = kernel_id(*both.any);
    row.key = key;
    row.name = both.any->name;
    row.short_name = both.any->short_name;
    row.baseline = side_of(both.baseline, a.profiles, result.baseline_ms);
    row.candidate = side_of(both.candidate, b.profiles, result.candidate_ms);
    row.baseline_boots_us = boots_of(both.baseline);
    row.candidate_boots_us = boots_of(both.candidate);
    const double share = std::max(row.baseline ? row.baseline->share : 0, row.candidate ? row.candidate->share : 0);
    row.material = share >= sweep.material;
    row.named = is_named(leg, row.short_name);
    row.anchor = is_anchor(anchors, row.short_name);
    judge_row(both, a, b, sweep, margin, row);
    result.rows.push_back(std::move(row));
  }
  std::sort(result.rows.begin(), result.rows.end(), [](const KernelComparison& x, const KernelComparison& y) {
    const auto cost = [](const KernelComparison& row) { return row.candidate ? row.candidate->total_ms : -1.0; };
    return std::pair(-cost(x), x.key) < std::pair(-cost(y), y.key);
  });
  add_q_values(result.rows);
  add_moderated(result.rows);
  result.drift = drift_of(result.rows);
  count(result);
  result.expected = expected_calls(leg, b.profiles[0]);
  return result;
}

}  // namespace

std::vector<LegKernels> compare_kernels(const Sweep& sweep, const EvidenceFolder& baseline,
                                        const EvidenceFolder& candidate, double margin) {
  std::vector<LegKernels> legs;
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence *a = find_leg(baseline, leg.name), *b = find_leg(candidate, leg.name);
    if (a == nullptr || b == nullptr || a->profiles.empty() || b->profiles.empty()) continue;
    legs.push_back(compare_leg(sweep, leg, *a, *b, margin));
  }
  return legs;
}

std::vector<LegKernels> compare_with_leg(const Sweep& sweep, const EvidenceFolder& folder, const Gate& gate) {
  std::vector<LegKernels> legs;
  const LegEvidence* other = find_leg(folder, gate.vs_leg);
  if (other == nullptr || other->profiles.empty()) return legs;
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence* own = find_leg(folder, leg.name);
    if (own == nullptr || own == other || own->profiles.empty() || !speaks_of(gate, leg.name)) continue;
    legs.push_back(compare_leg(sweep, leg, *other, *own, gate.margin));
  }
  return legs;
}

}  // namespace nvllm::bench
