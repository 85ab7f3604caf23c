#include "bench/store/csv.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/error.h"

namespace nvllm::bench {

namespace {

class Parser {
 public:
  Parser(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  std::vector<CsvRow> parse() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do {
        row.fields.push_back(at_ < text_.size() && text_[at_] == '"' ? quoted() : plain());
      } while (comma());
      line_end();
      if (row.fields.size() > 1 || !row.fields.front().empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  bool at_line_end() const {
    return at_ == text_.size() || text_[at_] == '\n' || text_.substr(at_).starts_with("\r\n");
  }

  bool comma() {
    if (at_ == text_.size() || text_[at_] != ',') return false;
    ++at_;
    return true;
  }

  void line_end() {
    if (!at_line_end()) refuse("text after a quoted field");
    if (at_ < text_.size()) at_ += text_[at_] == '\r' ? 2 : 1;
    ++line_;
  }

  std::string plain() {
    const std::size_t begin = at_;
    while (!at_line_end() && text_[at_] != ',') {
      if (text_[at_] == '"') refuse("a quote inside a field that is not quoted");
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted() {
    std::string field;
    const std::int64_t opened = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        field.push_back(text_[at_]);
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        field.push_back('"');
        ++at_;
      } else {
        ++at_;
        return field;
      }
    }
    line_ = opened;
    refuse("a quote that is not closed");
  }

  [[noreturn]] void refuse(std::string_view why) const {
    throw Error(ErrorKind::kBadFile, fmt::format("{}:{}: not valid CSV: {}", what_, line_, why));
  }

  std::string_view text_, what_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

template <class Number>
Number number_of(const CsvRow& row, std::size_t index, std::string_view column, std::string_view what,
                 std::string_view wanted) {
  NVLLM_CHECK_LT(index, row.fields.size());
  const std::string& text = row.fields[index];
  Number value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(value))) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}:{}: field '{}' is '{}', wanted {}", what, row.line, column,
                                                 text.substr(0, 80), wanted));
  }
  return value;
}

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, std::string_view what) { return Parser(text, what).parse(); }

std::string csv_quoted(std::string_view field) {
  std::string quoted = "\"";
  for (const char c : field) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

std::string csv_field(std::string_view field) {
  return field.find_first_of(",\"\r\n") == std::string_view::npos ? std::string(field) : csv_quoted(field);
}

std::string csv_line(std::span<const std::string> fields) { return fmt::format("{}\n", fmt::join(fields, ",")); }

std::int64_t csv_int(const CsvRow& row, std::size_t index, std::string_view column, std::string_view what) {
  return number_of<std::int64_t>(row, index, column, what, "a whole number");
}

double csv_double(const CsvRow& row, std::size_t index, std::string_view column, std::string_view what) {
  return number_of<double>(row, index, column, what, "a number");
}

}  // namespace nvllm::bench
