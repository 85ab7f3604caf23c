#pragma once

// The sections of a sweep file that say how it is run, as values. The reader of sweep files has
// checked their types; here the defaults are filled in.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/accuracy/questions.h"
#include "bench/run/server_kind.h"
#include "bench/server_process.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// Requests one after the other, all of one length.
struct BurstSettings {
  std::int64_t requests = 4, max_tokens = 64;
};

/// What happens after a unit that failed.
enum class OnFailure { kContinue, kStop };

/// How the servers of a sweep are had; a leg may have a command and an address of its own.
struct ServerSettings {
  const ServerKind* kind = nullptr;
  std::vector<std::string> command;  ///< with its ${...} as written
  std::string url;                   ///< of one that runs already, or a fixed one
  std::filesystem::path traces;      ///< where it writes torch traces; "": the unit's own folder
  std::string ready_page;
  double ready_timeout_s = 1800, poll_s = 0.02;
  StopSignal stop_signal = StopSignal::kTerm;
  double grace_s = 40;
};

/// How a sweep is run.
struct RunSettings {
  ServerSettings server;
  std::filesystem::path
      model;             ///< folder, or "synthetic:NAME"; "" where another kind of server has it
  std::string model_id;  ///< the name it has in the evidence and, for other kinds, in requests
  std::string model_revision;  ///< as the file declares; may be empty
  std::int64_t profile_rounds = 0, gsm8k_rounds = 0;
  bool balanced = true;  ///< Williams orders; else the file's order in every round
  OnFailure on_failure = OnFailure::kContinue;
  double power = 0.8;  ///< the chance that `plan` wants of finding what is there

  KernelMethod kernels = KernelMethod::kNone;
  bool kernels_demanded = false;  ///< the file names the method: without it a unit has failed
  std::filesystem::path profile_library;  ///< to inject; "": the one beside this program
  double request_deadline_s = 600;
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
///           profiled, a server without command or address, a method that its kind does not have,
///           or nothing to do at all.
RunSettings run_settings(const Sweep& sweep, const std::filesystem::path& model);

/// The command line of a leg's server with everything filled in: ${port}, ${model.path},
/// ${model.id}, ${traces}; "nvllm" as its first word is this program.
struct CommandFacts {
  std::string program, port;
  std::filesystem::path traces;
};
std::vector<std::string> command_of(const RunSettings& settings, const SweepLeg& leg,
                                    const CommandFacts& facts);

/// The leg's environment, filled in likewise.
std::map<std::string, std::string> environment_of(const RunSettings& settings, const SweepLeg& leg,
                                                  const CommandFacts& facts);

/// The address that the file gives to a leg's server; "" where it gives none.
const std::string& address_of(const RunSettings& settings, const SweepLeg& leg);

/// The questions of a sweep, in the order they are put.
///   Errors: those of read_question_set; Error(kBadFile) if the file is not the one declared.
QuestionSet sweep_questions(const RunSettings& settings);

}  // namespace nvllm::bench
