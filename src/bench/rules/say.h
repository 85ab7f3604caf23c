#pragma once

#include <string>

#include "bench/rules/verdict.h"

namespace nvllm::bench {

/// Replaces {H1.est} {H1.ci} {H1.state} {flip(H1)} {need(H1)}; {{ and }} are braces. Several
/// comparisons of one hypothesis are separated by "; ". flip is that of the fact written first:
/// "58.5 %" for a fall, "+58.5 %" for a rise.
///   Errors: Error(kUsage) with the position for an unknown placeholder, an unknown name or a lone
///           brace.
std::string fill_template(const std::string& say, const Outcomes& outcomes);

}  // namespace nvllm::bench
