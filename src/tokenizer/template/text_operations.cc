// Operations on marked text that filters and methods share. Each keeps the origin of every byte it
// copies, so what a user wrote stays marked however the template cuts and joins it.

#include <utf8proc.h>

#include <cstring>

#include "tokenizer/template/builtins.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

/// Python's str.isspace: White_Space and the four information separators.
bool is_python_space(std::uint32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

bool strips(std::string_view character, std::uint32_t code_point, const std::string* characters) {
  if (characters == nullptr) return is_python_space(code_point);
  return characters->find(character) != std::string::npos;
}

}  // namespace

Value strip_text(Runtime& runtime, const MarkedText& text, const Value* characters, bool left,
                 bool right) {
  const bool given =
      characters != nullptr && !characters->is<None>() && !characters->is<Undefined>();
  const std::string* set =
      given ? &runtime.text_of(*characters, "the characters to strip").text() : nullptr;
  runtime.charge_text(text.size());
  const std::string_view all = text.text();
  std::size_t begin = 0;
  std::size_t end = all.size();
  while (left && begin < end) {
    const Utf8Step step = utf8_step(all, begin);
    if (!strips(all.substr(begin, step.bytes), step.code_point, set)) break;
    begin += step.bytes;
  }
  while (right && end > begin) {
    std::size_t last = end - 1;
    while (last > begin && (static_cast<std::uint8_t>(all[last]) & 0xc0) == 0x80) --last;
    if (!strips(all.substr(last, end - last), utf8_step(all, last).code_point, set)) break;
    end = last;
  }
  return runtime.text(text.cut(begin, end));
}

Value replace_text(Runtime& runtime, const MarkedText& text, const MarkedText& from,
                   const MarkedText& to, std::int64_t count_max) {
  runtime.charge_text(text.size());
  const std::string& all = text.text();
  MarkedText out;
  std::size_t done = 0;
  std::size_t at = 0;
  for (std::int64_t count = 0; count_max < 0 || count < count_max; ++count) {
    std::size_t found = at;
    if (!from.empty()) {
      const void* hit = ::memmem(all.data() + at, all.size() - at, from.text().data(), from.size());
      if (hit == nullptr) break;
      found = static_cast<std::size_t>(static_cast<const char*>(hit) - all.data());
    }
    runtime.step();
    runtime.charge_text(to.size());
    out.append(text.cut(done, found));
    out.append(to);
    done = found + from.size();
    at = done;
    if (from.empty()) {  // between all characters and at both ends
      if (at >= all.size()) break;
      at += utf8_step(all, at).bytes;
    }
  }
  out.append(text.cut(done, all.size()));
  return runtime.text(std::move(out));
}

Value change_case(Runtime& runtime, const MarkedText& text, LetterCase wanted) {
  constexpr std::size_t kCostOfACharacter = 8;  // measured: table look-ups, one append each
  runtime.charge_text(kCostOfACharacter * text.size());
  MarkedText out;
  bool inside_word = false;
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.text(), at);
    while (text.runs()[run].end <= at) ++run;
    const auto c = static_cast<utf8proc_int32_t>(step.code_point);
    const bool upper =
        wanted == LetterCase::kUpper || (wanted != LetterCase::kLower && !inside_word);
    std::string changed;
    append_code_point(static_cast<std::uint32_t>(upper ? utf8proc_totitle(c) : utf8proc_tolower(c)),
                      changed);
    if (wanted == LetterCase::kUpper) {
      changed.clear();
      append_code_point(static_cast<std::uint32_t>(utf8proc_toupper(c)), changed);
    }
    out.append(changed, text.runs()[run].origin);
    const bool cased = utf8proc_toupper(c) != c || utf8proc_tolower(c) != c;
    inside_word = wanted == LetterCase::kCapitalize || cased;
    at += step.bytes;
  }
  return runtime.text(std::move(out));
}

}  // namespace nvllm::tokenizer
