#pragma once

// Launch counts obey calls per request = a * (decode steps) + b. Two burst lengths prove the split;
// it then foretells every count, shows what a trace has lost, and is a fingerprint of the leg.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// One kernel's calls in one burst.
struct BurstCount {
  std::int64_t n_calls = 0;
  std::int64_t requests = 0;           ///< > 0
  std::int64_t steps_per_request = 0;  ///< decode steps; >= 0
};

/// Calls per decode step and calls per request outside of them.
struct CallLaw {
  std::int64_t a = 0, b = 0;

  bool operator==(const CallLaw&) const = default;
};

/// Solves both bursts for a and b: whole numbers, none negative, no remainder. Nothing where there
/// is no such pair, or where both bursts have the same length.
[[nodiscard]] std::optional<CallLaw> solve_call_law(const BurstCount& one, const BurstCount& other);

/// The largest a that one burst allows, with what remains as b. A guess, not a proof: any smaller a
/// fits as well. Nothing where the count does not divide by the requests or there are no steps.
[[nodiscard]] std::optional<CallLaw> guess_call_law(const BurstCount& burst);

/// How much is known about a row's split.
enum class LawProof {
  kProven,     ///< two lengths agree on it
  kNotProven,  ///< one length only: the guess
  kResidual,   ///< the counts obey no such law
};

/// One kernel under the law.
struct LawRow {
  std::string key;  ///< kernel_key of the row
  std::string name, short_name;
  LawProof proof = LawProof::kResidual;
  CallLaw law;                 ///< meaningful unless kResidual
  std::int64_t remainder = 0;  ///< kResidual: calls that do not divide by the requests or the extra steps
};

/// A whole table under the law.
struct LawReport {
  std::int64_t steps_per_request = 0;  ///< of the (longer) burst
  std::vector<LawRow> rows;            ///< in the table's order
  std::int64_t residual_rows = 0;
};

/// Splits the counts of one burst: every row kNotProven, or kResidual where it does not divide.
///   Errors: Error(kUsage) if the table does not know its requests and decode steps, or these do not divide.
[[nodiscard]] LawReport guess_call_laws(const KernelTable& burst);

/// Solves the counts of two bursts of one leg and boot, row by row (kernel_key); a kernel that one
/// of them lacks counts there as zero calls.
///   Errors: as above; Error(kUsage) if both have the same steps per request.
[[nodiscard]] LawReport solve_call_laws(const KernelTable& one, const KernelTable& other);

/// The largest number of requests by which every row's count divides; 0 for an empty table. An
/// upper bound of the true number: a source that does not say how many requests it ran.
[[nodiscard]] std::int64_t requests_bound(const KernelTable& table);

}  // namespace nvllm::bench
