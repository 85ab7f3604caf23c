// Functions of the environment. None reaches a file, a time zone or the host.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>

#include "base/error.h"
#include "tokenizer/template/builtins.h"

namespace nvllm::tokenizer {

namespace {

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

struct Moment {
  std::chrono::year_month_day day;
  std::chrono::hh_mm_ss<std::chrono::seconds> time{std::chrono::seconds(0)};
};

std::optional<int> number_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "2024-07-26" or "26 Jul 2024".
std::optional<std::chrono::year_month_day> parse_day(std::string_view text) {
  std::optional<int> year, month, day;
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    year = number_in(text.substr(0, 4));
    month = number_in(text.substr(5, 2));
    day = number_in(text.substr(8, 2));
  } else if (text.size() == 11 && text[2] == ' ' && text[6] == ' ') {
    day = number_in(text.substr(0, 2));
    year = number_in(text.substr(7, 4));
    for (int i = 0; i < 12; ++i) {
      if (kMonths[static_cast<std::size_t>(i)].substr(0, 3) == text.substr(3, 3)) month = i + 1;
    }
  }
  if (!year || !month || !day || *month < 1 || *day < 1) return std::nullopt;
  const std::chrono::year_month_day parsed{std::chrono::year(*year),
                                           std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
  return parsed.ok() ? std::optional(parsed) : std::nullopt;
}

Moment moment(const Runtime& runtime) {
  if (const auto fixed = parse_day(runtime.date())) return {*fixed};
  const auto today = std::chrono::floor<std::chrono::days>(runtime.now());
  return {std::chrono::year_month_day(today),
          std::chrono::hh_mm_ss<std::chrono::seconds>(runtime.now() - today)};
}

std::string field(Runtime& runtime, const Moment& at, char letter) {
  const int year = static_cast<int>(at.day.year());
  const auto month = static_cast<unsigned>(at.day.month());
  const auto day = static_cast<unsigned>(at.day.day());
  const std::chrono::sys_days days(at.day);
  const auto hours = at.time.hours().count();
  switch (letter) {
    case 'Y':
      return std::to_string(year);
    case 'y':
      return fmt::format("{:02}", year % 100);
    case 'm':
      return fmt::format("{:02}", month);
    case 'd':
      return fmt::format("{:02}", day);
    case 'B':
      return std::string(kMonths[month - 1]);
    case 'b':
      return std::string(kMonths[month - 1].substr(0, 3));
    case 'A':
      return std::string(kWeekdays[std::chrono::weekday(days).c_encoding()]);
    case 'a':
      return std::string(kWeekdays[std::chrono::weekday(days).c_encoding()].substr(0, 3));
    case 'H':
      return fmt::format("{:02}", hours);
    case 'I':
      return fmt::format("{:02}", hours % 12 == 0 ? 12 : hours % 12);
    case 'p':
      return hours < 12 ? "AM" : "PM";
    case 'M':
      return fmt::format("{:02}", at.time.minutes().count());
    case 'S':
      return fmt::format("{:02}", at.time.seconds().count());
    case 'j': {
      const std::chrono::sys_days first(at.day.year() / std::chrono::January / 1);
      return fmt::format("{:03}", (days - first).count() + 1);
    }
    case 'F':
      return fmt::format("{}-{:02}-{:02}", year, month, day);
    case '%':
      return "%";
    default:
      runtime.fail(fmt::format("strftime_now: '%{}' is not supported", letter));
  }
}

Value strftime_now(Runtime& runtime, const Arguments& arguments) {
  const Value* format = argument(arguments, 0, "format");
  if (format == nullptr) runtime.fail("strftime_now: the format is missing");
  const std::string& pattern = runtime.text_of(*format, "strftime_now's format").text();
  const Moment now = moment(runtime);
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      out += pattern[i];
      continue;
    }
    ++i;
    const bool unpadded = i < pattern.size() && pattern[i] == '-';
    if (unpadded) ++i;
    if (i >= pattern.size()) runtime.fail("strftime_now: the format ends with '%'");
    std::string part = field(runtime, now, pattern[i]);
    while (unpadded && part.size() > 1 && part[0] == '0') part.erase(0, 1);
    out += part;
  }
  return runtime.text(MarkedText(out, Origin::kTemplate));
}

Value range(Runtime& runtime, const Arguments& arguments) {
  constexpr std::int64_t kItemsMax = 100'000;
  check_argument_count(runtime, "range", arguments, 3);
  const auto& given = arguments.positional;
  if (given.empty()) runtime.fail("range: no argument");
  std::int64_t start = 0;
  std::int64_t stop = runtime.integer(given[0], "range's bound");
  if (given.size() > 1) {
    start = stop;
    stop = runtime.integer(given[1], "range's bound");
  }
  const std::int64_t step = given.size() > 2 ? runtime.integer(given[2], "range's step") : 1;
  if (step == 0) runtime.fail("range: the step is 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(items.size()) >= kItemsMax) {
      runtime.fail(fmt::format("range: over {} items", kItemsMax));
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return runtime.list(std::move(items));
}

Value make_mapping(Runtime& runtime, const Arguments& arguments) {
  check_argument_count(runtime, "dict", arguments, 1);
  DictData dict;
  if (!arguments.positional.empty()) {
    const DictData* from = arguments.positional[0].dict();
    if (from == nullptr) runtime.fail("dict() takes a mapping or named values");
    dict = *from;
  }
  for (const auto& [name, value] : arguments.named)
    dict.set(MarkedText(name, Origin::kTemplate), value);
  return runtime.dict(std::move(dict));
}

}  // namespace

bool is_function(std::string_view name) {
  return name == "range" || name == "dict" || name == "raise_exception" || name == "strftime_now";
}

Value call_function(Runtime& runtime, std::string_view name, const Arguments& arguments) {
  if (name == "range") return range(runtime, arguments);
  if (name == "dict") return make_mapping(runtime, arguments);
  if (name == "strftime_now") return strftime_now(runtime, arguments);
  const Value* message = argument(arguments, 0, "message");
  throw Error(ErrorKind::kUsage, message == nullptr ? "the chat template refuses this conversation"
                                                    : runtime.printed(*message).text());
}

}  // namespace nvllm::tokenizer
