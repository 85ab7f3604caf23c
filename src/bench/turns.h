#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/runner.h"

namespace nvllm::bench {

/// A conversation of two turns: the first leaves a beginning in the prefix cache, the second goes on from it.
struct TurnsOptions {
  std::string model;                ///< a folder or "synthetic:NAME"
  std::int64_t context = 1024;      ///< tokens of the first turn
  std::int64_t added = 64;          ///< tokens that the second adds
  std::int64_t rounds = 3;          ///< second turns, each with tokens of its own
  engine::EngineOptions engine;
};

/// Seconds to the first token.
struct TurnsReport {
  std::string model, device, leg;
  std::int64_t context = 0, added = 0;
  double first_seconds = 0;               ///< of the first turn
  double cold_seconds = 0;                ///< of the whole second prompt, with nothing cached
  std::vector<double> warm_seconds;       ///< of the second turn
  double alone_seconds = 0;               ///< of the added tokens as a prompt of their own
  std::int64_t cached_tokens = 0;         ///< of each second turn; less than `context` if the cache failed
  bool same_bits = false;                 ///< whether cold and warm had the same logits
};

/// Works on a runner with prefix caching and room for two sequences of all tokens.
TurnsReport measure_turns(engine::Runner& runner, const TurnsOptions& options);
/// The same on a runner for the options' model and device.  Errors: those of open_engine.
TurnsReport measure_turns(const TurnsOptions& options);

std::string turns_summary(const TurnsReport& report);
Json turns_json(const TurnsReport& report);

}  // namespace nvllm::bench
