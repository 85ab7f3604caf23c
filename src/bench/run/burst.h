#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/run/settings.h"
#include "net/http_client.h"

namespace nvllm::bench {

/// What a burst's requests took, one after the other.
struct BurstTimes {
  std::vector<double> wall_s;  ///< by request, from sending to the whole answer
  std::int64_t prompt_tokens = 0;
  /// Of the first answer; "" where the server does not report tokens.
  std::string token_ids_sha256;
};

/// Whether greedy answers to one prompt have to be the same.
enum class Repeats { kMustAgree, kMayDiffer };

/// Sends requests of a fixed length one after the other, end tokens ignored; `before_each` may
/// throw.
///   Errors: Error(kUnavailable) for an answer that is none, or that has another number of tokens
///   or other tokens
///           than the first, naming what came.
BurstTimes run_burst(net::HttpClient& client, const std::string& prompt, const BurstSettings& burst,
                     const std::function<void()>& before_each,
                     Repeats repeats = Repeats::kMustAgree);

/// Sends requests until that many tokens were generated.
void warm_up(net::HttpClient& client, const std::string& prompt, std::int64_t tokens,
             std::int64_t max_tokens, const std::function<void()>& before_each);

/// Milliseconds a token: what longer requests take more than shorter ones, over the tokens they
/// have more. What every request pays once is not in it. Medians, since one interruption moves a
/// mean further than a kernel can.
double wall_ms_per_token(const BurstTimes& longer, std::int64_t longer_tokens,
                         const BurstTimes& shorter, std::int64_t shorter_tokens);

/// SHA-256 of token ids in decimal, one a line, as perq.jsonl has it.
std::string token_ids_hash(const std::vector<std::int32_t>& ids);

}  // namespace nvllm::bench
