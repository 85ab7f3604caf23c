#include "bench/store/kernel_csv.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/records/kernel_name.h"
#include "bench/store/csv.h"

namespace nvllm::bench {

namespace {

constexpr std::array<std::string_view, 7> kReferenceColumns = {"config_id", "kernel_symbol", "n_calls", "mean_us",
                                                               "p50_us",    "p95_us",        "total_ms"};

constexpr std::array<std::string_view, 24> kColumns = {
    "kernel_id", "short_name", "class",    "grid",     "block",     "smem",        "layer",  "phase",
    "a",         "b",          "law",      "n_calls",  "mean_us",   "sd_us",       "min_us", "p50_us",
    "p95_us",    "max_us",     "log_mean", "total_ms", "share_pct", "bytes_model", "gb_s",   "name"};

constexpr std::size_t kName = 23;

template <std::size_t N>
void check_header(const std::vector<CsvRow>& rows, const std::array<std::string_view, N>& columns,
                  std::string_view what) {
  const std::string wanted = fmt::format("{}", fmt::join(columns, ","));
  const std::string seen = rows.empty() ? "" : fmt::format("{}", fmt::join(rows.front().fields, ","));
  if (seen != wanted) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}:1: the columns are '{}', wanted '{}'", what, seen.substr(0, 200), wanted));
  }
  for (const CsvRow& row : rows) {
    if (row.fields.size() == columns.size()) continue;
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}:{}: {} fields, wanted {}", what, row.line, row.fields.size(), columns.size()));
  }
}

[[noreturn]] void refuse(const CsvRow& row, std::string_view what, const std::string& why) {
  throw Error(ErrorKind::kBadFile, fmt::format("{}:{}: {}", what, row.line, why));
}

/// Counts and times that cannot be true together. Three decimals leave half of the last one.
void check_numbers(const CsvRow& line, const KernelRow& row, std::string_view what) {
  if (row.n_calls < 1) refuse(line, what, fmt::format("n_calls is {}, wanted at least 1", row.n_calls));
  for (const double time : {row.mean_us, row.p50_us, row.p95_us, row.total_ms}) {
    if (time < 0) refuse(line, what, fmt::format("a time of {}, wanted none below 0", time));
  }
  const double calls = static_cast<double>(row.n_calls);
  const double slack_ms = 0.0005 + calls * 0.0005e-3 + 1e-9 * row.total_ms;
  if (std::abs(row.mean_us * calls * 1e-3 - row.total_ms) > slack_ms) {
    refuse(line, what,
           fmt::format("{} calls of {} us are {:.3f} ms, but total_ms is {:.3f}", row.n_calls, row.mean_us,
                       row.mean_us * calls * 1e-3, row.total_ms));
  }
}

std::string shape(const std::optional<Dim3>& dim) {
  return dim ? fmt::format("{}x{}x{}", (*dim)[0], (*dim)[1], (*dim)[2]) : "";
}

template <class Number>
std::string maybe(const std::optional<Number>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::string fixed(double value) { return fmt::format("{:.3f}", value); }

std::optional<Dim3> parse_shape(const CsvRow& row, std::size_t index, std::string_view what) {
  const std::string& text = row.fields[index];
  if (text.empty()) return std::nullopt;
  Dim3 dim{};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < dim.size(); ++i) {
    const auto [next, fault] = std::from_chars(at, end, dim[i]);
    const bool last = i + 1 == dim.size();
    if (fault != std::errc() || dim[i] < 0 || (last ? next != end : next == end || *next != 'x')) {
      refuse(row, what, fmt::format("field '{}' is '{}', wanted three numbers as 1x2x3", kColumns[index], text));
    }
    at = last ? next : next + 1;
  }
  return dim;
}

std::string law_word(const LawRow* law) {
  if (law == nullptr) return "";
  switch (law->proof) {
    case LawProof::kProven:
      return "proven";
    case LawProof::kNotProven:
      return "not_proven";
    case LawProof::kResidual:
      return fmt::format("residual_{}", law->remainder);
  }
  return "";
}

std::vector<std::string> rich_fields(const KernelRow& row, const LawRow* law) {
  const bool split = law != nullptr && law->proof != LawProof::kResidual;
  // Bytes per call over the mean time: GB/s are bytes per ns.
  const std::string rate =
      row.bytes && row.mean_us > 0 ? fixed(static_cast<double>(*row.bytes) / (row.mean_us * 1e3)) : "";
  return {kernel_id(row),
          csv_field(row.short_name),
          std::string(to_string(classify_kernel(row.name))),
          shape(row.grid),
          shape(row.block),
          maybe(row.shared_bytes),
          maybe(row.layer),
          csv_field(row.phase),
          split ? fmt::format("{}", law->law.a) : "",
          split ? fmt::format("{}", law->law.b) : "",
          law_word(law),
          fmt::format("{}", row.n_calls),
          fmt::format("{}", row.mean_us),
          maybe(row.sd_us),
          maybe(row.min_us),
          fmt::format("{}", row.p50_us),
          fmt::format("{}", row.p95_us),
          maybe(row.max_us),
          maybe(row.log_mean),
          fmt::format("{}", row.total_ms),
          row.share ? fixed(*row.share * 100) : "",
          maybe(row.bytes),
          rate,
          csv_quoted(row.name)};
}

KernelRow parse_rich(const CsvRow& line, std::string_view what) {
  KernelRow row;
  const auto number = [&](std::size_t i) { return csv_double(line, i, kColumns[i], what); };
  const auto maybe_number = [&](std::size_t i) {
    return line.fields[i].empty() ? std::nullopt : std::optional<double>(number(i));
  };
  const auto maybe_int = [&](std::size_t i) {
    return line.fields[i].empty() ? std::nullopt : std::optional<std::int64_t>(csv_int(line, i, kColumns[i], what));
  };
  row.name = line.fields[kName];
  row.short_name = short_kernel_name(row.name);
  row.grid = parse_shape(line, 3, what);
  row.block = parse_shape(line, 4, what);
  row.shared_bytes = maybe_int(5);
  row.layer = maybe_int(6);
  row.phase = line.fields[7];
  row.n_calls = csv_int(line, 11, kColumns[11], what);
  row.mean_us = number(12);
  row.sd_us = maybe_number(13);
  row.min_us = maybe_number(14);
  row.p50_us = number(15);
  row.p95_us = number(16);
  row.max_us = maybe_number(17);
  row.log_mean = maybe_number(18);
  row.total_ms = number(19);
  row.bytes = maybe_int(21);
  if (line.fields[0] != kernel_id(row)) {
    refuse(line, what, fmt::format("kernel_id is '{}', but name and shape give '{}'", line.fields[0], kernel_id(row)));
  }
  return row;
}

}  // namespace

std::string kernel_id(const KernelRow& row) { return sha256_hex(std::string_view(kernel_key(row))).substr(0, 16); }

std::string format_profile_kernels(const KernelTable& table) {
  KernelTable sorted = table;
  sort_by_total(sorted);
  std::string text = fmt::format("{}\n", fmt::join(kReferenceColumns, ","));
  for (const KernelRow& row : sorted.rows) {
    const std::array<std::string, 7> fields = {
        csv_field(table.leg), csv_quoted(row.name), fmt::format("{}", row.n_calls),
        fixed(row.mean_us),   fixed(row.p50_us),    fixed(row.p95_us),
        fixed(row.total_ms)};
    text += csv_line(fields);
  }
  return text;
}

KernelTable parse_profile_kernels(std::string_view text, std::string_view what, std::string_view leg) {
  const std::vector<CsvRow> lines = parse_csv(text, what);
  check_header(lines, kReferenceColumns, what);
  KernelTable table;
  table.leg = leg;
  std::set<std::string_view> seen;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const CsvRow& line = lines[i];
    if (table.leg.empty()) table.leg = line.fields[0];
    if (line.fields[0] != table.leg) {
      refuse(line, what, fmt::format("config_id is '{}', wanted '{}'", line.fields[0], table.leg));
    }
    if (!seen.insert(line.fields[1]).second) {
      refuse(line, what, fmt::format("kernel_symbol '{}' appears twice", line.fields[1].substr(0, 80)));
    }
    KernelRow row;
    row.name = line.fields[1];
    row.short_name = short_kernel_name(row.name);
    row.n_calls = csv_int(line, 2, kReferenceColumns[2], what);
    row.mean_us = csv_double(line, 3, kReferenceColumns[3], what);
    row.p50_us = csv_double(line, 4, kReferenceColumns[4], what);
    row.p95_us = csv_double(line, 5, kReferenceColumns[5], what);
    row.total_ms = csv_double(line, 6, kReferenceColumns[6], what);
    check_numbers(line, row, what);
    table.rows.push_back(std::move(row));
  }
  fill_shares(table);
  return table;
}

std::string format_kernels(const KernelTable& table, const LawReport* laws) {
  std::map<std::string_view, const LawRow*> by_key;
  if (laws != nullptr) {
    for (const LawRow& law : laws->rows) by_key[law.key] = &law;
  }
  KernelTable sorted = table;
  sort_by_total(sorted);
  fill_shares(sorted);
  std::string text = fmt::format("{}\n", fmt::join(kColumns, ","));
  for (const KernelRow& row : sorted.rows) {
    const auto law = by_key.find(kernel_key(row));
    text += csv_line(rich_fields(row, law == by_key.end() ? nullptr : law->second));
  }
  return text;
}

KernelTable parse_kernels(std::string_view text, std::string_view what, std::string_view leg) {
  const std::vector<CsvRow> lines = parse_csv(text, what);
  check_header(lines, kColumns, what);
  KernelTable table;
  table.leg = leg;
  std::set<std::string_view> seen;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    KernelRow row = parse_rich(lines[i], what);
    if (!seen.insert(lines[i].fields[0]).second) {
      refuse(lines[i], what, fmt::format("kernel_id '{}' appears twice", lines[i].fields[0]));
    }
    if (row.n_calls < 1) refuse(lines[i], what, fmt::format("n_calls is {}, wanted at least 1", row.n_calls));
    table.rows.push_back(std::move(row));
  }
  fill_shares(table);
  return table;
}

}  // namespace nvllm::bench
