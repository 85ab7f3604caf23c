// PCRE2 in UTF and UCP mode reads these patterns as Oniguruma does but for a few constructs. Those
// it would read otherwise are rewritten (\s, \S: PCRE2's \s takes U+180E, which is not white space
// since Unicode 6.3) or refused, because a pattern that means something slightly different gives
// wrong ids without any sign.

#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

[[noreturn]] void refuse(std::string_view pattern, std::size_t at, std::string_view what) {
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("tokenizer.json: pre-tokenizer pattern '{}': {} at byte {} is not supported "
                  "(it would not mean the same here as in the reference library)",
                  pattern, what, at));
}

/// What an escape is called in PCRE2, and how many bytes of the pattern it takes.
struct Escape {
  std::string text;
  std::size_t bytes = 2;
};

Escape escape(std::string_view pattern, std::size_t at) {
  constexpr std::string_view kSpaces = R"(\p{White_Space})";
  constexpr std::string_view kOthers = R"(\P{White_Space})";
  constexpr std::string_view kLetters = "rntdDpPx";
  if (at + 1 >= pattern.size()) refuse(pattern, at, "a backslash at the end");
  const char letter = pattern[at + 1];
  if (letter == 's') return {std::string(kSpaces)};
  if (letter == 'S') return {std::string(kOthers)};
  const bool plain = static_cast<std::uint8_t>(letter) < 0x80 &&
                     std::isalnum(static_cast<unsigned char>(letter)) == 0;
  if (!plain && kLetters.find(letter) == std::string_view::npos) {
    refuse(pattern, at, fmt::format("the escape '\\{}'", letter));
  }
  std::size_t bytes = 2;
  if (pattern.substr(at + 2, 1) == "{" && (letter == 'p' || letter == 'P' || letter == 'x')) {
    const std::size_t close = pattern.find('}', at);
    if (close == std::string_view::npos) refuse(pattern, at, "an escape without its '}'");
    bytes = close + 1 - at;
  }
  return {std::string(pattern.substr(at, bytes)), bytes};
}

void check_group(std::string_view pattern, std::size_t at) {
  constexpr std::array<std::string_view, 7> kKnown = {"(?:",  "(?i:", "(?=", "(?!",
                                                      "(?<=", "(?<!", "(?>"};
  const std::string_view rest = pattern.substr(at);
  if (rest.substr(0, 2) != "(?" && rest.substr(0, 2) != "(*") return;
  const auto known = [&](std::string_view opening) { return rest.starts_with(opening); };
  if (std::none_of(kKnown.begin(), kKnown.end(), known)) {
    refuse(pattern, at, fmt::format("the group '{}'", rest.substr(0, 4)));
  }
}

}  // namespace

std::string pcre2_pattern(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c == '\\') {
      const Escape translated = escape(pattern, at);
      out += translated.text;
      at += translated.bytes - 1;
      continue;
    }
    if (in_class) {
      if (c == '[') refuse(pattern, at, "a class inside a class");
      if (c == '&' && pattern.substr(at, 2) == "&&") refuse(pattern, at, "a class intersection");
      in_class = c != ']';
    } else {
      if (c == '^' || c == '$') refuse(pattern, at, fmt::format("the anchor '{}'", c));
      if (c == '}' && pattern.substr(at, 2) == "}+")
        refuse(pattern, at, "'+' after a counted repeat");
      if (c == '(') check_group(pattern, at);
      in_class = c == '[';
    }
    out += c;
  }
  return out;
}

struct Regex::Impl {
  std::string pattern;
  pcre2_code* code = nullptr;
  ~Impl() { pcre2_code_free(code); }
};

struct Regex::Scratch::Impl {
  static constexpr std::size_t kStackMin = 32 * 1024;
  static constexpr std::size_t kStackMax = 8 * 1024 * 1024;
  static constexpr std::uint32_t kHeapLimitKib = 64 * 1024;

  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(16, nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kStackMin, kStackMax, nullptr);

  Impl() {
    if (context == nullptr || data == nullptr) throw std::bad_alloc();
    pcre2_set_heap_limit(context, kHeapLimitKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Impl() {
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

Regex::Scratch::Scratch() : impl_(std::make_unique<Impl>()) {}
Regex::Scratch::~Scratch() = default;

Regex::Regex(std::string_view pattern) : impl_(std::make_unique<Impl>()) {
  constexpr std::size_t kPatternBytesMax = 16 * 1024;
  if (pattern.size() > kPatternBytesMax) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("tokenizer.json: a pre-tokenizer pattern of {} bytes; the most is {}",
                            pattern.size(), kPatternBytesMax));
  }
  impl_->pattern = pattern;
  const std::string translated = pcre2_pattern(pattern);
  int error = 0;
  PCRE2_SIZE where = 0;
  impl_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &where, nullptr);
  if (impl_->code == nullptr) {
    std::array<PCRE2_UCHAR, 256> words{};
    pcre2_get_error_message(error, words.data(), words.size());
    throw Error(
        ErrorKind::kBadFile,
        fmt::format("tokenizer.json: pre-tokenizer pattern '{}' does not compile: {} at byte "
                    "{} of '{}'",
                    pattern, reinterpret_cast<const char*>(words.data()), where, translated));
  }
  pcre2_jit_compile(impl_->code,
                    PCRE2_JIT_COMPLETE);  // without it matching is slower, not different
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::split(std::string_view text, Scratch& scratch,
                  const std::function<void(std::string_view)>& piece) const {
  // A run of n characters may honestly cost a few steps back for each; more is a runaway pattern.
  constexpr std::uint64_t kStepsPerByte = 16;
  constexpr std::uint64_t kStepsMin = 1'000'000;
  constexpr std::uint64_t kStepsMax = 4'000'000'000;
  const std::uint64_t steps = std::min(kStepsMax, kStepsMin + kStepsPerByte * text.size());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.impl_->data);
  std::size_t done = 0;
  std::size_t from = 0;
  while (from < text.size()) {
    pcre2_set_match_limit(scratch.impl_->context, static_cast<std::uint32_t>(steps));
    const int found = pcre2_match(impl_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                                  scratch.impl_->data, scratch.impl_->context);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("this text of {} bytes makes the tokenizer's pattern '{}' exceed its "
                              "work limit (PCRE2 error {}); shorten runs of one kind of character",
                              text.size(), impl_->pattern, found));
    }
    // Copied before `piece` runs, because it may match another pattern with the same memory.
    const std::size_t begin = bounds[0];
    const std::size_t end = bounds[1];
    if (end <= begin) {  // an empty match is no piece: look on from the next character
      from = begin + (begin < text.size() ? utf8_step(text, begin).bytes : 1);
      continue;
    }
    if (begin > done) piece(text.substr(done, begin - done));
    piece(text.substr(begin, end - begin));
    done = from = end;
  }
  if (done < text.size()) piece(text.substr(done));
}

}  // namespace nvllm::tokenizer
