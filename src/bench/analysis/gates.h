#pragma once

#include <string>
#include <vector>

#include "bench/analysis/accuracy.h"
#include "bench/analysis/aggregate.h"
#include "bench/analysis/comparability.h"
#include "bench/analysis/kernels_ab.h"
#include "bench/analysis/leg_order.h"
#include "bench/rules/verdict.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What a gate compares within the candidate folder.
struct WithinFolder {
  const Gate* gate = nullptr;
  std::vector<LegKernels> kernels;
};

/// All that gates look at.
struct Evidence {
  const Sweep& sweep;
  const Comparability& comparability;
  const std::vector<LegKernels>& kernels;
  const std::vector<LegAggregate>& aggregates;
  const std::vector<LegAccuracy>& accuracy;
  const std::vector<LegOrder>& orders;
  const std::vector<WithinFolder>& within;

  /// The kernels that an equivalence gate looks at: against the baseline, or against another leg.
  const std::vector<LegKernels>& kernels_for(const Gate& gate) const;
};

/// A gate's answer for one leg, or for the whole where `leg` is empty.
struct GateLine {
  std::string leg;
  Truth truth = Truth::kUnknown;
  std::string text;  ///< what was seen, with its units
};

/// A gate's answer. All legs must pass; one that failed fails it.
struct GateAnswer {
  const Gate* gate = nullptr;
  GateResult result;
  std::vector<GateLine> lines;
};

/// Answers one gate.
GateAnswer evaluate_gate(const Gate& gate, const Evidence& evidence);

/// "PASS", "FAIL" or "INCONCLUSIVE", with " (PROVISIONAL)" where the grade is.
std::string gate_state(const GateResult& result);

Json to_json(const std::vector<GateAnswer>& gates);

}  // namespace nvllm::bench
