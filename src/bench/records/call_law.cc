#include "bench/records/call_law.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace nvllm::bench {

namespace {

/// Decode steps of each request of the burst.
std::int64_t steps_per_request(const KernelTable& burst) {
  if (burst.requests <= 0 || burst.decode_steps <= 0 || burst.decode_steps % burst.requests != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("leg '{}': {} decode steps in {} requests; the call law needs both numbers, and the same "
                            "steps in every request",
                            burst.leg, burst.decode_steps, burst.requests));
  }
  return burst.decode_steps / burst.requests;
}

LawRow row_for(const KernelRow& row) {
  LawRow law;
  law.key = kernel_key(row);
  law.name = row.name;
  law.short_name = row.short_name;
  return law;
}

/// Why two bursts have no law: what is left over first of the requests, then of the extra steps.
std::int64_t remainder_of(const BurstCount& one, const BurstCount& other) {
  if (const std::int64_t rest = one.n_calls % one.requests; rest != 0) return rest;
  if (const std::int64_t rest = other.n_calls % other.requests; rest != 0) return rest;
  const std::int64_t steps = one.steps_per_request - other.steps_per_request;
  return (one.n_calls / one.requests - other.n_calls / other.requests) % steps;
}

void finish(LawReport& report) {
  for (const LawRow& row : report.rows) report.residual_rows += row.proof == LawProof::kResidual;
}

}  // namespace

std::optional<CallLaw> solve_call_law(const BurstCount& one, const BurstCount& other) {
  NVLLM_CHECK(one.requests > 0 && other.requests > 0);
  if (one.n_calls % one.requests != 0 || other.n_calls % other.requests != 0) return std::nullopt;
  const std::int64_t steps = one.steps_per_request - other.steps_per_request;
  const std::int64_t calls = one.n_calls / one.requests - other.n_calls / other.requests;
  if (steps == 0 || calls % steps != 0) return std::nullopt;
  CallLaw law;
  law.a = calls / steps;
  law.b = one.n_calls / one.requests - law.a * one.steps_per_request;
  if (law.a < 0 || law.b < 0) return std::nullopt;
  return law;
}

std::optional<CallLaw> guess_call_law(const BurstCount& burst) {
  NVLLM_CHECK(burst.requests > 0);
  if (burst.n_calls % burst.requests != 0 || burst.steps_per_request <= 0) return std::nullopt;
  const std::int64_t calls = burst.n_calls / burst.requests;
  return CallLaw{calls / burst.steps_per_request, calls % burst.steps_per_request};
}

LawReport guess_call_laws(const KernelTable& burst) {
  LawReport report;
  report.steps_per_request = steps_per_request(burst);
  for (const KernelRow& row : burst.rows) {
    LawRow law = row_for(row);
    if (const auto guess = guess_call_law({row.n_calls, burst.requests, report.steps_per_request})) {
      law.proof = LawProof::kNotProven;
      law.law = *guess;
    } else {
      law.remainder = row.n_calls % burst.requests;
    }
    report.rows.push_back(std::move(law));
  }
  finish(report);
  return report;
}

LawReport solve_call_laws(const KernelTable& one, const KernelTable& other) {
  const std::int64_t one_steps = steps_per_request(one), other_steps = steps_per_request(other);
  if (one_steps == other_steps) {
    throw Error(ErrorKind::kUsage, fmt::format("leg '{}': both bursts have {} decode steps a request; the call law "
                                               "needs two different lengths",
                                               one.leg, one_steps));
  }
  const KernelTable& longer = one_steps > other_steps ? one : other;
  const KernelTable& shorter = one_steps > other_steps ? other : one;
  std::map<std::string, std::int64_t> short_calls;
  for (const KernelRow& row : shorter.rows) short_calls[kernel_key(row)] += row.n_calls;

  LawReport report;
  report.steps_per_request = std::max(one_steps, other_steps);
  const auto add = [&](const KernelRow& row, std::int64_t long_n, std::int64_t short_n) {
    const BurstCount of_long{long_n, longer.requests, report.steps_per_request};
    const BurstCount of_short{short_n, shorter.requests, std::min(one_steps, other_steps)};
    LawRow law = row_for(row);
    if (const auto solved = solve_call_law(of_long, of_short)) {
      law.proof = LawProof::kProven;
      law.law = *solved;
    } else {
      law.remainder = remainder_of(of_long, of_short);
    }
    report.rows.push_back(std::move(law));
  };
  for (const KernelRow& row : longer.rows) {
    const auto match = short_calls.find(kernel_key(row));
    add(row, row.n_calls, match == short_calls.end() ? 0 : match->second);
    if (match != short_calls.end()) short_calls.erase(match);
  }
  for (const KernelRow& row : shorter.rows) {
    if (short_calls.erase(kernel_key(row)) > 0) add(row, 0, row.n_calls);
  }
  finish(report);
  return report;
}

std::int64_t requests_bound(const KernelTable& table) {
  std::int64_t divisor = 0;
  for (const KernelRow& row : table.rows) divisor = std::gcd(divisor, row.n_calls);
  return divisor;
}

}  // namespace nvllm::bench
