#pragma once

// The sections of a sweep file that say how it is run, as values. The reader of sweep files has
// checked their types; here the defaults are filled in.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/accuracy/questions.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// Requests one after the other, all of one length.
struct BurstSettings {
  std::int64_t requests = 4, max_tokens = 64;
};

/// What happens after a unit that failed.
enum class OnFailure { kContinue, kStop };

/// How a sweep is run.
struct RunSettings {
  std::filesystem::path model;  ///< folder, or "synthetic:NAME"
  std::string model_id;         ///< the name it has in the evidence
  std::int64_t profile_rounds = 0, gsm8k_rounds = 0;
  bool balanced = true;  ///< Williams orders; else the file's order in every round
  OnFailure on_failure = OnFailure::kContinue;
  double ready_timeout_s = 1800;
  double power = 0.8;  ///< the chance that `plan` wants of finding what is there

  std::int64_t warmup_tokens = 0;
  BurstSettings long_burst, short_burst;
  bool ignore_eos = true;
  bool overhead_probe = true;
  std::string prompt;

  std::filesystem::path problems;
  std::string problems_sha256;  ///< as the file declares; may be empty
  QuestionChoice choice;
  PromptTemplate format = PromptTemplate::kReference;
  Extractor score = Extractor::kLegacy;
  std::int64_t question_max_tokens = 512;
  double deadline_s = 180;
  FutilityRule futility;
};

/// Reads the settings. `model` replaces the file's model where it is not empty.
///   Errors: Error(kUsage) naming the file and the key: no model, no bursts of two lengths where
///   something is
///           profiled, a server of a kind that is not started here, or nothing to do at all.
RunSettings run_settings(const Sweep& sweep, const std::filesystem::path& model);

/// The questions of a sweep, in the order they are put.
///   Errors: those of read_question_set; Error(kBadFile) if the file is not the one declared.
QuestionSet sweep_questions(const RunSettings& settings);

}  // namespace nvllm::bench
