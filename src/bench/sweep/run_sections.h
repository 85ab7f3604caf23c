#pragma once

#include "bench/sweep/section.h"

namespace nvllm::bench {

/// Checks the sections that say how a sweep is run: server, model, schedule, profile, gsm8k.
///   Errors: Error(kUsage) with file and line.
void check_run_sections(Section& file);

}  // namespace nvllm::bench
