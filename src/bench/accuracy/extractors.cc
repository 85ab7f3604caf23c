#include "bench/accuracy/extractors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace nvllm::bench {

namespace {

constexpr std::string_view kMarker = "####";
constexpr std::string_view kSpaces = " \t\n\r\f\v";
constexpr std::size_t kNone = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ')' || c == '_'; }

std::size_t digits_from(std::string_view text, std::size_t at) {
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at - begin;
}

/// The end of the number whose first digit stands at `begin`: groups of exactly three digits after
/// commas, then perhaps a fraction.
std::size_t number_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin + digits_from(text, begin);
  const bool may_group = end - begin <= 3;
  while (may_group && end < text.size() && text[end] == ',' && digits_from(text, end + 1) == 3) end += 4;
  if (end < text.size() && text[end] == '.' && digits_from(text, end + 1) > 0) end += 1 + digits_from(text, end + 1);
  return end;
}

/// Whether a minus belongs to the number at `begin`, perhaps before its currency sign. After a word
/// or a digit it is a subtraction.
bool is_negative(std::string_view text, std::size_t begin) {
  if (begin > 0 && text[begin - 1] == '$') --begin;
  if (begin == 0 || text[begin - 1] != '-') return false;
  return begin == 1 || !is_word(text[begin - 2]);
}

std::string normal_form(std::string_view number, bool negative) {
  std::string out;
  for (const char c : number) {
    if (c != ',') out += c;
  }
  if (out.find('.') != std::string::npos) {
    while (out.back() == '0') out.pop_back();
    if (out.back() == '.') out.pop_back();
  }
  out.erase(0, std::min(out.find_first_not_of('0'), out.size()));
  if (out.empty() || out.front() == '.') out.insert(0, 1, '0');
  return negative && out != "0" ? "-" + out : out;
}

std::string last_number(std::string_view text) {
  std::string found;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_digit(text[at])) {
      ++at;
      continue;
    }
    const std::size_t end = number_end(text, at);
    found = normal_form(text.substr(at, end - at), is_negative(text, at));
    at = end;
  }
  return found;
}

/// The number right after the marker at `mark`; spaces, a line's end, a sign and a currency sign may
/// stand between.
std::string number_after(std::string_view text, std::size_t mark) {
  if (mark == kNone) return "";
  std::size_t at = text.find_first_not_of(kSpaces, mark + kMarker.size());
  while (at < text.size() && (text[at] == '-' || text[at] == '$')) ++at;
  if (at >= text.size() || !is_digit(text[at])) return "";
  return normal_form(text.substr(at, number_end(text, at) - at), is_negative(text, at));
}

std::string without_commas(std::string_view text) {
  std::string out(text);
  std::erase(out, ',');
  return out;
}

/// As the published script makes numbers comparable: whatever reads as a number loses its fraction.
std::string legacy_form(const std::string& number) {
  double value = 0;
  const char* end = number.data() + number.size();
  const auto [stop, fault] = std::from_chars(number.data(), end, value);
  if (fault != std::errc() || stop != end) return number;
  const double whole = std::trunc(value);
  return whole == 0 ? "0" : fmt::format("{:.0f}", whole);
}

/// Behind the first marker that is followed by a sign, digit, point or comma; nothing without one.
std::optional<std::string> legacy_marked(std::string_view text) {
  constexpr std::string_view kTaken = "-0123456789.,";
  for (std::size_t mark = text.find(kMarker); mark != kNone; mark = text.find(kMarker, mark + 1)) {
    const std::size_t begin = text.find_first_not_of(kSpaces, mark + kMarker.size());
    if (begin == kNone || kTaken.find(text[begin]) == kNone) continue;
    return without_commas(text.substr(begin, text.find_first_not_of(kTaken, begin) - begin));
  }
  return std::nullopt;
}

/// The last run of digits with at most one point or comma inside, and a minus right before it.
std::string legacy_last(std::string_view text) {
  std::string found;
  for (std::size_t at = 0; at < text.size();) {
    const bool minus = text[at] == '-' && at + 1 < text.size() && is_digit(text[at + 1]);
    if (!minus && !is_digit(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at + (minus ? 1 : 0);
    end += digits_from(text, end);
    if (end < text.size() && (text[end] == '.' || text[end] == ',')) {
      const std::size_t more = digits_from(text, end + 1);
      if (more > 0) end += 1 + more;
    }
    found = without_commas(text.substr(at, end - at));
    at = end;
  }
  return found;
}

}  // namespace

std::string_view to_string(Extractor extractor) {
  constexpr std::array<std::string_view, 4> kNames = {"strict", "first_marker", "flexible", "legacy"};
  return kNames[static_cast<std::size_t>(extractor)];
}

std::optional<Extractor> parse_extractor(std::string_view text) {
  using enum Extractor;
  for (const Extractor extractor : {kStrict, kFirstMarker, kFlexible, kLegacy}) {
    if (to_string(extractor) == text) return extractor;
  }
  return std::nullopt;
}

std::string extract_answer(Extractor extractor, std::string_view text) {
  switch (extractor) {
    case Extractor::kStrict:
      return number_after(text, text.rfind(kMarker));
    case Extractor::kFirstMarker:
      return number_after(text, text.find(kMarker));
    case Extractor::kFlexible:
      return last_number(text);
    case Extractor::kLegacy:
      return legacy_form(legacy_marked(text).value_or(legacy_last(text)));
  }
  return "";
}

ExtractedAnswers extract_answers(std::string_view text) {
  return {.strict = extract_answer(Extractor::kStrict, text),
          .first_marker = extract_answer(Extractor::kFirstMarker, text),
          .flexible = extract_answer(Extractor::kFlexible, text),
          .legacy = extract_answer(Extractor::kLegacy, text)};
}

const std::string& answer_of(const ExtractedAnswers& answers, Extractor extractor) {
  switch (extractor) {
    case Extractor::kStrict:
      return answers.strict;
    case Extractor::kFirstMarker:
      return answers.first_marker;
    case Extractor::kFlexible:
      return answers.flexible;
    case Extractor::kLegacy:
      break;
  }
  return answers.legacy;
}

std::string gold_answer(std::string_view solution, Extractor extractor) {
  if (extractor == Extractor::kLegacy) return extract_answer(extractor, solution);
  const std::string marked = extract_answer(Extractor::kStrict, solution);
  return marked.empty() ? extract_answer(Extractor::kFlexible, solution) : marked;
}

bool disagree(const ExtractedAnswers& answers) {
  const std::string* first = nullptr;
  for (const std::string* one : {&answers.strict, &answers.first_marker, &answers.flexible, &answers.legacy}) {
    if (one->empty()) continue;
    if (first != nullptr && *first != *one) return true;
    first = one;
  }
  return false;
}

}  // namespace nvllm::bench
