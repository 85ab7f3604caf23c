#pragma once

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// summary.md: verdict, provenance, legs, kernels, time per token, GSM8K, conclusion, reproduce.
std::string summary_markdown(const Json& analysis);

}  // namespace nvllm::bench
