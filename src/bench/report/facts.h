#pragma once

// Small readings of the analysis files that several parts of a report share.

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// Whether a folder was held against itself for want of a baseline: then nothing is said about
/// change.
bool stands_alone(const Json& analysis);

/// "437.0", "43.70", "4.370": milliseconds with four digits.
std::string ms_text(double ms);

/// The margin of the first equivalence gate, in per cent; 2 where there is none.
double margin_percent(const Json& analysis);

/// A number of a field, or `otherwise` where it is absent or null.
double number_or(const Json& object, const char* key, double otherwise);

}  // namespace nvllm::bench
