#include "bench/run/server_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "bench/records/kernel_name.h"
#include "bench/run/pooled.h"
#include "bench/run/server_kind.h"
#include "bench/store/csv.h"
#include "bench/store/json_field.h"
#include "bench/store/kernel_csv.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64 << 20;

/// A CSV file whose fields are asked for by name.
class NamedCsv {
 public:
  NamedCsv(const std::string& text, std::string what)
      : what_(std::move(what)), rows_(parse_csv(text, what_)) {
    if (rows_.empty())
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: empty, wanted a line of column names", what_));
    for (std::size_t i = 0; i < rows_[0].fields.size(); ++i) index_[rows_[0].fields[i]] = i;
    for (const CsvRow& row : rows_) {
      if (row.fields.size() == index_.size()) continue;
      throw Error(ErrorKind::kBadFile, fmt::format("{}:{}: {} fields, wanted {}", what_, row.line,
                                                   row.fields.size(), index_.size()));
    }
  }
  std::size_t size() const { return rows_.size() - 1; }
  const std::string& text(std::size_t row, const char* column) const {
    return rows_[row + 1].fields[at(column)];
  }
  double number(std::size_t row, const char* column) const {
    return csv_double(rows_[row + 1], at(column), column, what_);
  }
  std::int64_t integer(std::size_t row, const char* column) const {
    return csv_int(rows_[row + 1], at(column), column, what_);
  }

 private:
  std::size_t at(const char* column) const {
    const auto found = index_.find(column);
    if (found != index_.end()) return found->second;
    throw Error(ErrorKind::kBadFile, fmt::format("{}:1: no column '{}'", what_, column));
  }

  std::string what_;
  std::vector<CsvRow> rows_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

/// "8x2560x9216": up to three extents; those that are not stated are 0.
Dim3 parse_extents(const std::string& text, const std::string& what) {
  Dim3 extents{};
  const char* from = text.data();
  const char* const end = from + text.size();
  for (std::size_t i = 0; i < extents.size() && from != end; ++i) {
    const auto [next, fault] = std::from_chars(from, end, extents[i]);
    if (fault != std::errc())
      throw Error(ErrorKind::kBadFile, fmt::format("{}: shape '{}'", what, text));
    from = next != end && *next == 'x' ? next + 1 : next;
  }
  if (from != end)
    throw Error(ErrorKind::kBadFile, fmt::format("{}: shape '{}', wanted 1x2x3", what, text));
  return extents;
}

KernelRow read_row(const NamedCsv& csv, std::size_t i, const std::string& what) {
  KernelRow row;
  row.name = csv.text(i, "short_name");
  row.short_name = short_kernel_name(row.name);
  if (const std::string& shape = csv.text(i, "shape"); !shape.empty())
    row.grid = parse_extents(shape, what);
  if (const std::string& layer = csv.text(i, "layer"); layer != "none" && layer != "every") {
    row.layer = csv.integer(i, "layer");
  }
  row.phase = csv.text(i, "phase");
  row.n_calls = csv.integer(i, "n_calls");
  row.mean_us = csv.number(i, "mean_us");
  row.p50_us = csv.number(i, "p50_us");
  row.p95_us = csv.number(i, "p95_us");
  row.total_ms = csv.number(i, "total_ms");
  row.sd_us = csv.number(i, "sd_us");
  row.min_us = csv.number(i, "min_us");
  row.max_us = csv.number(i, "max_us");
  row.log_mean = csv.number(i, "log_mean");
  if (row.n_calls > 0) row.bytes = csv.integer(i, "bytes_model") / row.n_calls;
  return row;
}

KernelTable read_kernels(const fs::path& path, const std::string& leg) {
  const NamedCsv csv(read_file(path, kFileBytesMax), path.filename().string());
  KernelTable table;
  table.leg = leg;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    if (csv.text(i, "kind") == "kernel")
      table.rows.push_back(read_row(csv, i, path.filename().string()));
  }
  sort_by_total(table);
  fill_shares(table);
  return table;
}

/// Fills in what a profile by name alone does not know: what the burst was.
void set_workload(KernelTable& table, const BurstTimes& times) {
  table.requests = table.prefills = static_cast<std::int64_t>(times.tokens.size());
  table.decode_steps = -table.requests;  // the first token of each is the prefill's
  for (const std::int64_t tokens : times.tokens) table.decode_steps += tokens;
}

}  // namespace

ServerProfile read_server_profile(const fs::path& folder, const std::string& leg) {
  ServerProfile profile;
  const fs::path metadata = folder / "profile_metadata.json",
                 symbols = folder / "profile_kernels.csv";
  profile.metadata = parse_json(read_file(metadata, kFileBytesMax), metadata.filename().string());
  profile.kernels = read_kernels(folder / "kernels.csv", leg);
  // The server names the leg by its fusion plan; in a sweep two legs may have the same one.
  profile.symbols =
      parse_profile_kernels(read_file(symbols, kFileBytesMax), symbols.filename().string(), "");
  profile.symbols.leg = leg;
  for (KernelTable* table : {&profile.kernels, &profile.symbols}) {
    table->requests = int_field(profile.metadata, "requests", "profile_metadata.json");
    table->decode_steps = int_field(profile.metadata, "decode_steps", "profile_metadata.json");
    table->prefills = int_field(profile.metadata, "prefills", "profile_metadata.json");
  }
  return profile;
}

ServerProfile torch_profile(const BurstProfile& burst, const BurstTimes& times,
                            const std::string& leg) {
  ServerProfile profile;
  profile.kernels = burst.table;
  profile.kernels.leg = leg;
  set_workload(profile.kernels, times);
  profile.symbols = pool_boots({profile.kernels});
  profile.metadata["device"] = nullptr;
  profile.metadata["profiler"] = Json{{"method", "torch"},
                                      {"source", burst.source.filename().string()},
                                      {"findings", burst.findings},
                                      {"complete", burst.findings.empty()}};
  return profile;
}

ServerProfile injected_profile(const InjectedProfiles& profiles, const BurstTimes& times,
                               const std::string& leg) {
  ServerProfile profile;
  std::vector<KernelTable> tables;
  std::int64_t lost = 0;
  for (const fs::path& folder : profiles.folders) {
    tables.push_back(read_kernels(folder / "kernels.csv", leg));
    // The library sees no steps; the phase in its tables is the one that a collector begins with.
    for (KernelRow& row : tables.back().rows) row.phase.clear();
    const std::string name = "profile_metadata.json";
    const Json metadata = parse_json(read_file(folder / name, kFileBytesMax), name);
    lost += int_field(metadata.at("profiler"), "lost_kernels", name);
  }
  profile.kernels = pool_boots(tables);
  set_workload(profile.kernels, times);
  profile.symbols = pool_boots({profile.kernels});
  std::vector<std::string> findings = profiles.findings;
  if (lost > 0) findings.push_back(fmt::format("{} kernels ran of which nothing was kept", lost));
  profile.metadata["device"] = "cuda";
  profile.metadata["profiler"] = Json{{"method", to_string(KernelMethod::kInject)},
                                      {"processes", profiles.folders.size()},
                                      {"lost_kernels", lost},
                                      {"findings", findings},
                                      {"complete", findings.empty()}};
  return profile;
}

}  // namespace nvllm::bench
