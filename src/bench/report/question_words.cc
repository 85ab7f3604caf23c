#include "bench/report/question_words.h"

#include <fmt/format.h>

#include "bench/report/sections.h"

namespace nvllm::bench {

StatusLook look_of(std::string_view status) {
  if (status == "ok") return {"ok", "", "right"};
  if (status == "wrong") return {"wr", "x", "wrong"};
  if (status == "timeout") return {"to", "~", "cut off"};
  return {"no", "?", "no answer"};
}

std::string words_of(const Json& question, Sides sides) {
  const std::string before = text_of(question.at("baseline"), "status"),
                    now = text_of(question.at("candidate"), "status");
  if (sides == Sides::kOne) return look_of(now).word;
  std::string words =
      before == now ? fmt::format("{} in both", look_of(now).word)
                    : fmt::format("{} before, {} now", look_of(before).word, look_of(now).word);
  if (question.at("same").is_boolean())
    words += question.at("same").get<bool>() ? ", the same answer" : ", another answer";
  return words;
}

bool is_flipped(const Json& question) {
  return question.at("baseline").at("status") != question.at("candidate").at("status");
}

bool is_other(const Json& question) {
  return question.at("same").is_boolean() && !question.at("same").get<bool>();
}

}  // namespace nvllm::bench
