#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/run/settings.h"
#include "bench/store/resume.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// All units in the order they run: rounds one after the other, in each round the legs in balanced
/// order, each leg profiled and then, while there are gsm8k rounds, asked.
std::vector<Unit> schedule_units(const Sweep& sweep, const RunSettings& settings);

/// The hash of everything that decides a unit's result: leg, workload, model, binary, data.
std::string unit_hash(const Sweep& sweep, const Unit& unit, const Json& identity);

/// Whether `only` ("lower8", "lower8/profile", "lower8/profile/2", "*/gsm8k") speaks of the unit;
/// an empty one speaks of all.
///   Errors: Error(kUsage) for a text of another form.
bool selected(std::string_view only, const Unit& unit);

}  // namespace nvllm::bench
