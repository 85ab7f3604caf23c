#include "bench/report/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/files.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kNotesBytesMax = 1 << 20;

/// The level of every interval in a report, which no file states.
constexpr double kIntervalLevel = 90;

/// What the figures of a text may rest on: everything measured, nothing about files and answers.
constexpr const char* kSources[] = {"verdict",  "gates", "kernels_ab", "aggregate",
                                    "accuracy", "order", "call_law"};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// The numbers of a sentence that the program itself wrote.
void collect_from(const std::string& sentence, std::vector<double>& numbers) {
  for (std::size_t at = 0; at < sentence.size(); ++at) {
    if (!is_digit(sentence[at])) continue;
    const bool in_word = at > 0 && is_letter(sentence[at - 1]);
    const std::size_t end =
        std::min(sentence.find_first_not_of("0123456789.", at), sentence.size());
    if (!in_word) numbers.push_back(std::strtod(sentence.substr(at, end - at).c_str(), nullptr));
    at = end;
  }
}

void collect(const Json& value, std::vector<double>& numbers) {
  if (value.is_number()) numbers.push_back(std::abs(value.get<double>()));
  if (!value.is_structured()) return;
  for (const auto& [key, one] : value.items()) collect(one, numbers);
  if (value.is_array()) numbers.push_back(static_cast<double>(value.size()));
}

void collect_sentences(const Json& value, std::vector<double>& numbers) {
  if (value.is_string()) collect_from(value.get_ref<const std::string&>(), numbers);
  if (!value.is_structured()) return;
  for (const auto& [key, one] : value.items()) collect_sentences(one, numbers);
}

std::vector<double> numbers_of(const Json& analysis) {
  std::vector<double> numbers = {kIntervalLevel};
  for (const char* name : kSources) {
    if (analysis.contains(name)) collect(analysis.at(name), numbers);
  }
  for (const char* name : {"verdict", "gates"}) {
    if (analysis.contains(name)) collect_sentences(analysis.at(name), numbers);
  }
  for (const char* side : {"baseline", "candidate"})
    collect(analysis.at("comparability").at(side).at("legs"), numbers);
  collect(analysis.at("comparability").at("sweep"), numbers);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

bool has_near(const std::vector<double>& numbers, double value, double slack) {
  const auto found = std::lower_bound(numbers.begin(), numbers.end(), value - slack);
  return found != numbers.end() && *found <= value + slack;
}

struct Figure {
  std::string text, unit;
  double value = 0;
  std::int64_t decimals = 0;
};

bool is_founded(const Figure& figure, const std::vector<double>& numbers) {
  // A field that lies just at half a unit rounds either way.
  const double half = 0.5 * std::pow(10.0, -static_cast<double>(figure.decimals)) * (1 + 1e-9);
  const auto scaled = [&](double scale) {
    return has_near(numbers, figure.value * scale, half * scale);
  };
  if (scaled(1)) return true;
  if (figure.unit == "%" || figure.unit == "pt" || figure.unit == "points") return scaled(0.01);
  if (figure.unit == "ms" || figure.unit == "s") return scaled(1000);
  return false;
}

/// The line without `code`, which is quoted and not claimed.
std::string without_code(std::string_view line) {
  std::string text;
  bool code = false;
  for (const char c : line) {
    if (c == '`') code = !code;
    text += code || c == '`' ? ' ' : c;
  }
  return text;
}

/// The run of characters that belong to one word: digits, letters and what may stand between them.
std::string_view word_at(std::string_view line, std::size_t at) {
  std::size_t end = at;
  const auto joins = [&](std::size_t i) {
    return std::string_view(".,:-/").find(line[i]) != std::string_view::npos &&
           i + 1 < line.size() && (is_digit(line[i + 1]) || is_letter(line[i + 1]));
  };
  while (end < line.size() && (is_digit(line[end]) || is_letter(line[end]) || joins(end))) ++end;
  return line.substr(at, end - at);
}

/// The unit right behind a figure, with or without a space between.
std::string unit_after(std::string_view rest) {
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  for (const char* unit : {"%", "points", "pt", "ms", "us", "s"}) {
    const std::string_view word(unit);
    if (rest.starts_with(word) && (rest.size() == word.size() || !is_letter(rest[word.size()])))
      return unit;
  }
  return "";
}

/// "35,700", "17088.5", "437ms": nothing where the word is none of these.
std::optional<Figure> figure_of(std::string_view word, std::string_view rest) {
  Figure figure;
  std::string digits;
  std::size_t at = 0, points = 0;
  for (; at < word.size() && (is_digit(word[at]) || word[at] == '.' || word[at] == ','); ++at) {
    if (word[at] == ',') continue;  // between thousands
    digits += word[at];
    points += word[at] == '.';
    if (points > 0 && word[at] != '.') ++figure.decimals;
  }
  const std::string_view tail = word.substr(at);
  const bool is_unit = !tail.empty() && unit_after(tail) == tail;
  if (points > 1 || (!tail.empty() && !is_unit)) return std::nullopt;  // a version, a date, a name
  figure.unit = is_unit ? std::string(tail) : unit_after(rest);
  figure.value = std::stod(digits);
  figure.text = std::string(word) + (is_unit || figure.unit.empty() ? "" : " " + figure.unit);
  return figure;
}

/// "3. " or "3) " before anything else.
std::size_t after_list_number(std::string_view line) {
  std::size_t at = line.find_first_not_of(" >#");
  if (at == std::string_view::npos) return line.size();
  const std::size_t begin = at;
  while (at < line.size() && is_digit(line[at])) ++at;
  const bool numbered = at > begin && at + 1 < line.size() &&
                        (line[at] == '.' || line[at] == ')') && line[at + 1] == ' ';
  return numbered ? at + 1 : begin;
}

void check_line(std::string_view line, std::int64_t number, const std::vector<double>& numbers,
                std::vector<NotedFigure>& found) {
  const std::string text = without_code(line);
  for (std::size_t at = after_list_number(text); at < text.size();) {
    if (!is_digit(text[at]) && !is_letter(text[at])) {
      ++at;
      continue;
    }
    const std::string_view word = word_at(text, at);
    if (is_digit(text[at])) {
      const auto figure = figure_of(word, std::string_view(text).substr(at + word.size()));
      if (figure && !is_founded(*figure, numbers)) found.push_back({figure->text, number});
    }
    at += word.size();
  }
}

}  // namespace

std::vector<NotedFigure> unfounded_figures(std::string_view notes, const Json& analysis) {
  const std::vector<double> numbers = numbers_of(analysis);
  std::vector<NotedFigure> found;
  bool fenced = false;
  for (std::int64_t line = 1; !notes.empty(); ++line) {
    const std::size_t end = std::min(notes.find('\n'), notes.size());
    const std::string_view text = notes.substr(0, end);
    if (text.starts_with("```")) fenced = !fenced;
    if (!fenced) check_line(text, line, numbers, found);
    notes.remove_prefix(std::min(end + 1, notes.size()));
  }
  return found;
}

void add_notes(Json& analysis, std::string_view notes) {
  Json json;
  json["text"] = std::string(notes);
  json["unfounded"] = Json::array();
  for (const NotedFigure& one : unfounded_figures(notes, analysis)) {
    json["unfounded"].push_back({{"figure", one.text}, {"line", one.line}});
  }
  analysis["notes"] = std::move(json);
}

std::optional<std::string> read_notes(const fs::path& folder) {
  if (!fs::exists(folder / kNotesName)) return std::nullopt;
  return read_file(folder / kNotesName, kNotesBytesMax);
}

bool notes_refused(const Json& analysis) {
  return analysis.contains("notes") && !analysis.at("notes").at("unfounded").empty();
}

std::string notes_text(const Json& notes) {
  std::string text;
  if (const Json& unfounded = notes.at("unfounded"); !unfounded.empty()) {
    text = fmt::format(
        "{} is not quoted: it holds figures that no field of the analysis rounds to.\n\n",
        kNotesName);
    for (const Json& one : unfounded) {
      text += fmt::format("- line {}: {}\n", one.at("line").get<std::int64_t>(),
                          one.at("figure").get<std::string>());
    }
    return text;
  }
  std::string_view rest = notes.at("text").get_ref<const std::string&>();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    text += fmt::format(">{}{}\n", end == 0 ? "" : " ", rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return text;
}

}  // namespace nvllm::bench
