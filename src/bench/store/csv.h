#pragma once

// Comma-separated values as RFC 4180 has them, with '\n' between rows.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

/// One row and the line it began on, from 1.
struct CsvRow {
  std::int64_t line = 0;
  std::vector<std::string> fields;
};

/// Splits a whole text into rows; a quoted field may hold commas, quotes (doubled) and line ends.
/// Rows may end in '\n' or "\r\n"; empty lines are left out.
///   Errors: Error(kBadFile) naming `what` and the line, for a quote that is not closed, or text
///           before or after a quoted field.
std::vector<CsvRow> parse_csv(std::string_view text, std::string_view what);

/// A field in quotes, whether it needs them or not.
std::string csv_quoted(std::string_view field);

/// A field in quotes where it holds a comma, a quote or a line end.
std::string csv_field(std::string_view field);

/// Fields that csv_quoted or csv_field made, joined to a line with its '\n'.
std::string csv_line(std::span<const std::string> fields);

/// A whole number or a finite decimal number of a field.
///   Errors: Error(kBadFile) naming `what`, the line, the column and the text.
std::int64_t csv_int(const CsvRow& row, std::size_t index, std::string_view column, std::string_view what);
double csv_double(const CsvRow& row, std::size_t index, std::string_view column, std::string_view what);

}  // namespace nvllm::bench
