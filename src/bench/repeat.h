#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/runner.h"

namespace nvllm::bench {

/// One request that is put again and again, alone or several at once.
struct RepeatOptions {
  std::string model;       ///< a folder or "synthetic:NAME"
  std::int64_t batch = 1;  ///< of the same request, that decode together
  std::int64_t prompt_tokens = 24;
  std::int64_t tokens = 40;  ///< drawn, greedily, each time
  double seconds = 60;       ///< how long
  engine::EngineOptions engine;
};

/// A round whose logits had other bits than those of the first.
struct OtherBits {
  std::int64_t round = 0;  ///< the first is 1
  std::int64_t draw = 0;   ///< the first that differs, from 0 on
};

struct RepeatReport {
  std::string model, device, leg;
  std::int64_t rounds = 0, batch = 0, tokens = 0;
  double seconds = 0;
  std::vector<OtherBits> others;
};

/// Asks for at least two rounds, then until the time is up. A hash of all logits of every draw
/// is what is compared.
RepeatReport repeat_request(engine::Runner& runner, const RepeatOptions& options);
/// The same on a runner for the options' model and device.  Errors: those of open_engine.
RepeatReport repeat_request(const RepeatOptions& options);

std::string repeat_summary(const RepeatReport& report);
Json repeat_json(const RepeatReport& report);

}  // namespace nvllm::bench
