#pragma once

// The sweep file: what is measured, what is claimed, and the rules by which the data will decide.
// It is written before the measurement and hashed, so that a rule changed afterwards is seen.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "bench/rules/verdict.h"
#include "bench/sweep/node.h"

namespace nvllm::bench {

inline constexpr const char* kSweepSchema = "nvllm.sweep/v1";

/// One leg: a server with certain settings.
struct SweepLeg {
  std::string name;
  std::map<std::string, std::string> env;
  std::vector<std::string> command;    ///< in place of the server's; empty: that one
  std::vector<std::string> arguments;  ///< added to the command
  std::string url;                     ///< in place of the server's; "": that one
  /// Calls per decode step by short kernel name (a '*' at its end for a beginning). Those above
  /// zero are the leg's named kernels.
  std::vector<std::pair<std::string, std::int64_t>> expect_kernels;
  /// Greedy answers to one prompt may differ from request to request: a fault is planted in it.
  bool repeats_may_differ = false;
};

/// Noise measured elsewhere, for folders with one round: every conclusion from it is PROVISIONAL.
struct BorrowedNoise {
  double boot_sigma = 0;  ///< standard deviation of one boot's log time
  std::string source;     ///< where it was measured, and what it leaves out
};

/// What a gate compares.
enum class GateKind { kIdentity, kEquivalent, kNoninferior, kCountWithin, kCountAtLeast, kOrder, kClosure };

/// How a gate that counts right answers takes those cut off by the deadline.
enum class CensoredAs {
  kUnknown,  ///< right or wrong, nobody knows: the gate may be undecided
  kWrong,    ///< as the published gates did
};

/// One gate. Which fields mean something depends on its kind.
struct Gate {
  std::string name;
  GateKind kind = GateKind::kIdentity;
  bool required = false;
  std::vector<std::string> legs;  ///< empty: all
  std::string vs_leg;             ///< kEquivalent: a leg of the same folder; empty: the baseline
  double margin = 0;              ///< a share: kEquivalent, kNoninferior
  std::int64_t count = 0;         ///< kCountWithin: k; kCountAtLeast: the floor
  CensoredAs censored = CensoredAs::kUnknown;
  std::string metric;  ///< kOrder: "named", "kernels" or "wall"
  std::string expect;  ///< kOrder: as written
  std::vector<std::string> order;
  std::vector<bool> tied;  ///< kOrder: by step
  double lo = 0, hi = 0;   ///< kClosure: shares
};

/// Whether a gate is about that leg.
bool speaks_of(const Gate& gate, std::string_view leg);

/// A hypothesis before anything is measured.
struct SweepHypothesis {
  std::string name;
  Rule rule;
  double alpha = 0.05;
  std::optional<double> effect;  ///< a share: the difference that rounds are planned to find
  Place place;                   ///< in the file
};

/// A whole sweep file.
struct Sweep {
  std::string what;  ///< the file, for messages
  std::string name, claim;
  std::vector<SweepLeg> legs;
  std::vector<std::string> must_match;  ///< metadata fields that make folders comparable
  double material = 0.001;              ///< share of leg time from which a kernel enters gates
  double censored_max = 0.02;           ///< share of answers cut off above which accuracy is undecided
  std::optional<BorrowedNoise> noise;
  std::string baseline;  ///< path as written; may be empty
  std::vector<Gate> gates;
  std::vector<SweepHypothesis> hypotheses;
  std::vector<VerdictRule> verdict;
  Json canonical;          ///< the whole file
  std::string sweep_hash;  ///< of `canonical`
  /// Of what decides: hypotheses, verdict, gates, noise, comparability. Written to prereg.json
  /// before the first measurement.
  std::string rules_hash;
};

/// Reads and checks a sweep file.
///   Errors: Error(kUsage) "FILE:LINE:COLUMN: ..." for what is unknown, of the wrong type or
///           impossible; Error(kNotFound).
Sweep read_sweep(const std::filesystem::path& path);

/// The same from a text.
Sweep parse_sweep(std::string_view text, const std::string& what);

/// "identity", "equivalent", ...
std::string_view to_string(GateKind kind);

}  // namespace nvllm::bench
