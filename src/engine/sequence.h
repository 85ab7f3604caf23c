#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/prefix_keys.h"
#include "engine/request.h"
#include "engine/reservation.h"
#include "engine/token_stream.h"

namespace nvllm::engine {

/// A position of a prompt where a step is to end, so that the state there can be kept.
struct PrefixMark {
  std::int64_t position = 0;
  CheckpointKind kind = CheckpointKind::kSpare;
};

/// What the prefix cache has to do with one sequence.
struct PrefixUse {
  std::optional<PrefixKeys> keys;   ///< of its tokens so far
  std::vector<PrefixMark> marks;    ///< ascending
  std::int64_t kept = 0;            ///< tokens at the last state that was kept, or gone on from
  std::int64_t cached_tokens = 0;   ///< of the prompt, that were not computed for this sequence
  bool counted = false;             ///< in the statistics; once, however often memory was taken
};

/// One request on its way: its tokens, how far they are computed, and its memory while it runs.
struct Sequence {
  GenerationRequest request;
  std::shared_ptr<TokenStream> stream;
  std::uint64_t seed = 0;
  std::vector<std::int32_t> output;
  std::int64_t computed = 0;       ///< tokens whose effect is in KV and state; 0 after pre-emption
  std::int64_t prompt_reported = 0;  ///< prompt tokens already reported, if asked for
  PrefixUse prefix;
  std::optional<Reservation> memory;

  std::int64_t token_count() const {
    return static_cast<std::int64_t>(request.prompt.size() + output.size());
  }
  std::int32_t token(std::int64_t index) const {
    const auto i = static_cast<std::size_t>(index), n = request.prompt.size();
    return i < n ? request.prompt[i] : output[i - n];
  }
  /// Prompt and output, the first `count` of both.
  std::vector<std::int32_t> tokens(std::int64_t count) const;
};

}  // namespace nvllm::engine
