#pragma once

// How often the bench is wrong, by sweeps that were run and by sweeps drawn from their boots.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/analysis/drawn_sweeps.h"
#include "bench/run/noise.h"
#include "bench/run/plan.h"

namespace nvllm::bench {

/// Finished sweeps of one sweep file on one host; all that follows is about its first hypothesis.
struct RecordedSweeps {
  Sweep sweep;
  std::int64_t finished = 0;
  std::int64_t unfinished = 0;  ///< folders without a manifest: they count for nothing
  std::int64_t confirmed = 0;
  std::int64_t rounds = 0;  ///< of each of them
  BootPools pools;
  Json host;
};

/// Reads every sweep folder in a folder, in the order of their names.
///   Errors: Error(kUsage) if none is finished, or for one of another sweep file or host than the
///           first; Error(kBadFile) for one that declared something else than its data say now.
RecordedSweeps read_recorded_sweeps(const std::filesystem::path& parent);

/// What `plan` says of a sweep's first hypothesis, with the fewest rounds that do.
///   Errors: Error(kUsage) where no number of rounds suffices.
RulePower plan_first_hypothesis(const Sweep& sweep, const NoiseFloor& noise);

/// What is held against each other.
struct SelfTest {
  RecordedSweeps same;     ///< one leg under two names: whatever they confirm is a false alarm
  RecordedSweeps planted;  ///< a known difference: what they do not confirm is missed
  NoiseFloor noise;        ///< what the planted sweeps are planned by
  std::int64_t draws = 10'000;
};

/// Both rates, over sweeps run and over sweeps drawn from their rounds and from their boots, with exact
/// 95 % intervals. Drawn A/A sweeps have as many rounds as the recorded ones and no labels, drawn planted
/// ones the rounds that are planned.
Json self_test_json(const SelfTest& test);

/// The same as a table for people, in Markdown.
std::string self_test_table(const Json& json);

}  // namespace nvllm::bench
