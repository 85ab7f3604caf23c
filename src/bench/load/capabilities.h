#pragma once

// capabilities.json: what a server showed it can do, found out by small requests before a run. What
// is missing is made up for by fixed rules, and each rule that applied is a deviation of the run.

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/load/generation.h"

namespace nvllm::bench {

/// What was seen of one feature.
enum class Seen {
  kYes,      ///< it did what the feature promises
  kNo,       ///< refused, absent or without effect
  kUnknown,  ///< accepted, and its effect did not show
};

/// "yes", "no", "unknown".
std::string_view to_string(Seen seen);

/// One feature and what it was judged by.
struct Capability {
  Seen seen = Seen::kUnknown;
  std::string evidence;  ///< "usage with 4 completion tokens", "HTTP 400: ..."
};

/// A rule that applies because something is missing.
struct CapabilityDeviation {
  std::string rule;    ///< what is done instead
  std::string reason;  ///< what was missing
};

/// What the probe found.
struct Capabilities {
  std::string url;
  std::vector<std::string> models;   ///< as /v1/models lists them
  std::string version;               ///< as /version states it, or empty
  std::map<std::string, int> pages;  ///< status of GET by path; of OPTIONS for the profile pages
  /// "usage" (in a whole answer), "streaming", "stream_usage", "token_ids", "ignore_eos", "seed",
  /// "logprobs", "metrics".
  std::map<std::string, Capability> features;

  bool has(const std::string& feature) const;
};

/// Asks a server, with at most ten requests of a few tokens each.
///   Errors: Error(kUnavailable) if it cannot be reached, cannot complete even a plain prompt, or answers
///           in another form; Error(kBadFile) if that is not even JSON.
/// `silence_s` limits the wait for each of its answers.
Capabilities probe_capabilities(const PostTarget& target, const std::string& model = "", double silence_s = 600);

/// What requests may then use.
ServerFeatures features_of(const Capabilities& capabilities);

/// The rules that apply.
std::vector<CapabilityDeviation> deviations_of(const Capabilities& capabilities);

/// capabilities.json.
Json capabilities_json(const Capabilities& capabilities);

}  // namespace nvllm::bench
