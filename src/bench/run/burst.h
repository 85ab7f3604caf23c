#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/generation.h"
#include "bench/run/settings.h"

namespace nvllm::bench {

/// Where a burst goes and how it is put.
struct BurstTarget {
  PostTarget target;
  std::string model;  ///< empty: the request names none
  ServerFeatures features;
  double deadline_s = 600;  ///< of one request
};

/// What a burst's requests took, one after the other.
struct BurstTimes {
  std::vector<double> wall_s;        ///< by request, from sending to the whole answer
  std::vector<std::int64_t> tokens;  ///< by request, as the server counts them
  std::int64_t prompt_tokens = 0;
  std::string
      token_ids_sha256;  ///< of the first answer; "" where the server does not report tokens
  std::int64_t other_answers = 0;  ///< that differ from the first, in tokens or else in text
};

/// Sends requests of one length one after the other, end tokens ignored where the server can;
/// `before_each` may throw.
///   Errors: Error(kUnavailable) for an answer that is none, that nobody counted the tokens of, or,
///           where end tokens are ignored, that has another length than asked for.
BurstTimes run_burst(const BurstTarget& target, const std::string& prompt,
                     const BurstSettings& burst, const std::function<void()>& before_each);

/// Sends requests until that many tokens were asked for.
void warm_up(const BurstTarget& target, const std::string& prompt, std::int64_t tokens,
             std::int64_t max_tokens, const std::function<void()>& before_each);

/// Milliseconds a token: what longer answers take more than shorter ones, over the tokens they have
/// more. What every request pays once is not in it. Medians, since one interruption moves a mean
/// further than a kernel can.
///   Returns: nothing where the longer answers are not longer: the model ended them itself.
std::optional<double> wall_ms_per_token(const BurstTimes& longer, const BurstTimes& shorter);

/// SHA-256 of token ids in decimal, one a line, as perq.jsonl has it.
std::string token_ids_hash(const std::vector<std::int32_t>& ids);

}  // namespace nvllm::bench
