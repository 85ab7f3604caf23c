#include "bench/analysis/open_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "base/json.h"
#include "bench/import/legacy_3leg.h"
#include "bench/store/file_digest.h"
#include "bench/store/json_field.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/perq.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;

Json read_json_file(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  return parse_json(read_file(path, kFileBytesMax), path.string(), {.depth_max = 32, .nodes_max = 5'000'000});
}

std::vector<fs::path> sorted_folders(const fs::path& parent) {
  std::vector<fs::path> found;
  if (!fs::is_directory(parent)) return found;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.is_directory()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Adds the calls of one row to another of the same kernel. Quantiles are averaged over the calls; what only the
/// single calls could tell is dropped.
void add_calls(const KernelRow& row, KernelRow& sum) {
  const auto before = static_cast<double>(sum.n_calls), added = static_cast<double>(row.n_calls);
  const auto weighted = [&](double a, double b) { return (a * before + b * added) / (before + added); };
  sum.p50_us = weighted(sum.p50_us, row.p50_us);
  sum.p95_us = weighted(sum.p95_us, row.p95_us);
  if (sum.log_mean && row.log_mean) {
    sum.log_mean = weighted(*sum.log_mean, *row.log_mean);
  } else {
    sum.log_mean.reset();
  }
  sum.n_calls += row.n_calls;
  sum.total_ms += row.total_ms;
  sum.mean_us = sum.total_ms * 1e3 / static_cast<double>(sum.n_calls);
  sum.sd_us.reset();
}

/// Requests and steps of the burst, as the profile's metadata states them.
void read_workload(const Json& metadata, const std::string& what, KernelTable& table) {
  if (!metadata.is_object() || !metadata.contains("workload")) return;
  const Json& workload = metadata.at("workload");
  table.requests = int_field(workload, "requests", what);
  table.decode_steps = table.requests * (int_field(workload, "max_tokens", what) - 1);
  table.prefills = table.requests;
}

/// A boot's rows as folders are compared: of decode steps, where the source tells them from prefills, and of all
/// layers together. The prefill's part would otherwise hang on the length of the prompt.
KernelTable of_decode_steps(const KernelTable& table) {
  const bool told = std::any_of(table.rows.begin(), table.rows.end(),
                                [](const KernelRow& row) { return row.phase == "decode"; });
  KernelTable out = table;
  out.rows.clear();
  std::map<std::string, std::size_t> index;
  for (KernelRow row : table.rows) {
    if (told && row.phase == "prefill") continue;
    row.layer.reset();
    const auto [found, fresh] = index.try_emplace(kernel_key(row), out.rows.size());
    if (fresh) {
      out.rows.push_back(std::move(row));
    } else {
      add_calls(row, out.rows[found->second]);
    }
  }
  sort_by_total(out);
  fill_shares(out);
  return out;
}

void read_round(const fs::path& folder, std::int64_t round, LegEvidence& leg) {
  if (const fs::path kernels = folder / "profile/kernels.csv"; fs::exists(kernels)) {
    KernelTable table = parse_kernels(read_file(kernels, kFileBytesMax), kernels.string(), leg.leg);
    table.leg = leg.leg;
    table.round = round;
    const fs::path own = folder / "profile/profile_metadata.json";
    read_workload(fs::exists(own) ? read_json_file(own) : leg.profile_metadata, own.string(), table);
    leg.profiles.push_back(of_decode_steps(table));
  }
  if (const fs::path lines = folder / "gsm8k/perq.jsonl"; fs::exists(lines)) {
    for (QuestionResult& question : parse_perq(read_file(lines, kFileBytesMax), lines.string())) {
      question.leg = leg.leg;
      question.round = round;
      leg.questions.push_back(std::move(question));
    }
  }
}

LegEvidence read_own_leg(const fs::path& folder) {
  LegEvidence leg;
  leg.leg = folder.filename().string();
  leg.profile_metadata = read_json_file(folder / "profile_metadata.json");
  leg.eval_metadata = read_json_file(folder / "gsm8k_metadata.json");
  for (const fs::path& round : sorted_folders(folder / "rounds")) {
    const std::string name = round.filename().string();
    std::int64_t number = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc()) continue;
    read_round(round, number, leg);
  }
  return leg;
}

}  // namespace

EvidenceFolder open_evidence(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: no such folder", folder.string()));
  }
  EvidenceFolder own;
  own.path = folder;
  for (const fs::path& leg : sorted_folders(folder)) {
    if (fs::is_directory(leg / "rounds")) own.legs.push_back(read_own_leg(leg));
  }
  if (own.legs.empty()) return import_legacy_3leg(folder);
  own.provenance = read_json_file(folder / "provenance.json");
  if (own.provenance.is_null()) own.provenance = Json::object();
  return own;
}

std::string folder_state(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    const FileDigest digest = digest_file(entry.path());
    lines.push_back(
        fmt::format("{} {} {}\n", fs::relative(entry.path(), folder).generic_string(), digest.bytes, digest.sha256));
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return sha256_hex(std::string_view(all));
}

}  // namespace nvllm::bench
