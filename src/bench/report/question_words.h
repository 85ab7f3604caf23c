#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::bench {

/// A status as a class of the style sheet, as a sign and as a word: three ways to tell it.
struct StatusLook {
  const char *kind, *sign, *word;
};
StatusLook look_of(std::string_view status);

/// What became of one question of answers.json: "right before, wrong now, another answer".
enum class Sides { kBoth, kOne };
std::string words_of(const Json& question, Sides sides);

/// Whether its status changed; whether its words did, as far as that is known.
bool is_flipped(const Json& question);
bool is_other(const Json& question);

}  // namespace nvllm::bench
