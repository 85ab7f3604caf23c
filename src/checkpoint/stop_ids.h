#pragma once

// Which tokens end an answer, from the files next to the weights; and whether the tokenizer fits.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

/// What the checkpoint room needs to know of a tokenizer.json.
struct TokenizerFacts {
  std::int64_t largest_id = -1;
  std::string largest_token;
  std::int64_t wanted_id = -1;  ///< of the token asked for, or -1
};

/// Reads the ids of a tokenizer.json (model.vocab and added_tokens), and the one of `wanted_token`.
///   Errors: Error(kBadFile) naming the file for malformed text or an id that is none.
TokenizerFacts read_tokenizer_facts(std::string_view text, std::string_view file_name,
                                    std::string_view wanted_token);

/// The ids that end an answer: generation_config.json's eos_token_id together with the tokenizer's
/// eos token; `config.eos_ids` if neither says anything. Sorted, each once.
///   Errors: Error(kBadFile) naming the file and field for ids beyond the vocabulary.
std::vector<std::int32_t> read_stop_ids(const std::filesystem::path& folder,
                                        const ModelConfig& config);

}  // namespace nvllm::checkpoint
