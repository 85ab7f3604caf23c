#pragma once

#include <span>
#include <vector>

#include "bench/stats/equivalence.h"

namespace nvllm::bench {

/// Mean of samples that come in clusters, with the error that clusters allow: answers to one
/// question asked several times are not independent. The samples are paired differences, candidate
/// minus baseline.
///   Shapes: `clusters` [clusters][samples of that cluster], none empty; every sample has the same
///           weight.
///   Errors: aborts below two clusters or on an empty one.
///   Source: Liang and Zeger 1986, with the factor G / (G - 1); df = G - 1. `sd` is the error times
///           sqrt(G).
PairedSummary summarise_clusters(std::span<const std::vector<double>> clusters);

/// The value at which half of the weight is reached; halfway to the next one where it is reached
/// exactly. Used for the drift common to anchor kernels: their log ratios, weighted by time.
///   Errors: aborts unless there are as many weights as values, none negative and some positive.
double weighted_median(std::span<const double> values, std::span<const double> weights);

}  // namespace nvllm::bench
