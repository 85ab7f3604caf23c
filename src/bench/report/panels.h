#pragma once

// The panels of report.html: each is a pure function of the analysis files and a piece of HTML, or
// empty where the files have nothing to show. One source file a panel.

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// The verdict, what it rests on, and how far it is from another one.
std::string verdict_panel(const Json& analysis);

/// Change of every material kernel with its interval, over the band of the margin.
std::string forest_panel(const Json& analysis);

/// Every boot of every leg: where boots of the same server differ, a change is worth less.
std::string boots_panel(const Json& analysis);

/// What a token's time is made of: named kernels, other kernels, the rest of the wall time.
std::string tokens_panel(const Json& analysis);

/// How often a decode step and a request launch each kernel; what changed stands out.
std::string calls_panel(const Json& analysis);

/// Every question of every leg, before and now, each mark leading to its answers.
std::string questions_panel(const Json& analysis);

/// The answers in words: changed ones first, then those in other words, then the rest.
std::string answers_panel(const Json& analysis);

/// What so many questions and boots could have seen.
std::string power_panel(const Json& analysis);

/// Memory of the machine and the server over the run, and what ran when.
std::string telemetry_panel(const Json& analysis);

/// What differs between both folders' metadata.
std::string provenance_panel(const Json& analysis);

/// What did not end as it should and was done again.
std::string attempts_panel(const Json& analysis);

}  // namespace nvllm::bench
