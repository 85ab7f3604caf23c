#pragma once

// Time per token, three ways, and whether they close.

#include <optional>
#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/records/per_token.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// One leg of one folder.
///   Units: milliseconds per token, one value per round.
struct TokenTimes {
  std::vector<double> named, kernels;  ///< empty where the decode steps are unknown
  std::optional<WallSlope> wall;       ///< over all answers
  std::vector<double> wall_boots;      ///< by boot, of bursts that nobody profiled; empty if there were none
  std::vector<double> host;            ///< by boot, named work of the host (scheduling, sampling, streaming)
  bool restarted = true;               ///< false: the rounds met one boot of the server
};

/// One leg of both folders.
struct LegAggregate {
  std::string leg;
  std::vector<std::string> named_kernels;
  TokenTimes baseline, candidate;
};

std::vector<LegAggregate> aggregate(const Sweep& sweep, const EvidenceFolder& baseline,
                                    const EvidenceFolder& candidate);

/// The values of "named", "kernels" or "wall" by round; wall has one at most where no bursts were timed.
std::vector<double> values_of(const TokenTimes& times, const std::string& metric);

/// Mean over rounds; nothing where there is none.
std::optional<double> mean_of(const std::vector<double>& values);

/// The wall time that kernels are held against: of the bursts where there are some, else of all answers.
std::optional<double> wall_ms(const TokenTimes& times);

/// Time of kernels and named host work over wall time; nothing where kernels or wall time are unknown.
std::optional<double> coverage(const TokenTimes& times);

Json to_json(const std::vector<LegAggregate>& legs);

}  // namespace nvllm::bench
