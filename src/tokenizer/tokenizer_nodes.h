#pragma once

// The small nodes of tokenizer.json and the fields of tokenizer_config.json: each is either exactly
// what this room does, or refused by name.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace nvllm::tokenizer {

/// What "model" says besides vocabulary and merges.
struct BpeOptions {
  bool ignore_merges = false;  ///< a word that is itself an entry is not merged from bytes
  bool has_unknown_token = false;
};

/// Ids that the post-processor puts around one text.
struct Frame {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
};

/// Tokens that tokenizer_config.json names; "" where it does not.
struct SpecialNames {
  std::string eos;
  std::string bos;
  std::string pad;
};

/// Errors, for all of these: Error(kUnsupported) naming the type or option, Error(kBadFile) for a
/// node that lacks a field.
BpeOptions read_bpe_options(const Json& model);
/// Whether the normalizer is NFC (else it is none).
bool reads_nfc(const Json& normalizer);
/// Accepts ByteLevel, alone or as the only member of a Sequence.
void check_decoder(const Json& decoder);
Frame read_post_processor(const Json& node);
SpecialNames read_special_names(const Json& config);

}  // namespace nvllm::tokenizer
