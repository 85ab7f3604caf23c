#include "bench/run/pooled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/files.h"
#include "base/json.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/perq.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;

/// Folders of sealed units of one phase, by round.
std::vector<fs::path> sealed_units(const fs::path& leg, const char* phase) {
  std::vector<fs::path> found;
  if (!fs::is_directory(leg / "rounds")) return found;
  for (const auto& round : fs::directory_iterator(leg / "rounds")) {
    if (fs::exists(round.path() / phase / kSealName)) found.push_back(round.path() / phase);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string text_in(const fs::path& path) { return read_file(path, kFileBytesMax); }

Json json_in(const fs::path& path) { return parse_json(text_in(path), path.filename().string()); }

/// The first boot's metadata without what is its own, and what every boot says.
Json pooled_metadata(const std::vector<fs::path>& units, const char* name,
                     const std::vector<std::string>& by_boot) {
  Json pooled;
  Json boots = Json::array();
  for (const fs::path& unit : units) {
    Json one = json_in(unit / name);
    Json boot;
    for (const char* key : {"round", "attempt", "boot_id", "timestamp_iso"})
      boot[key] = one.at(key);
    for (const std::string& key : by_boot) {
      if (one.contains(key)) boot[key] = one.at(key);
      one.erase(key);
    }
    boots.push_back(std::move(boot));
    if (!pooled.is_null()) continue;
    pooled = std::move(one);
    for (const char* key : {"round", "attempt", "boot_id"}) pooled.erase(key);
  }
  pooled["boots"] = std::move(boots);
  return pooled;
}

void add_profile(const fs::path& leg, std::map<std::string, std::string>& files) {
  const std::vector<fs::path> units = sealed_units(leg, "profile");
  if (units.empty()) return;
  std::vector<KernelTable> boots;
  for (const fs::path& unit : units) {
    const fs::path path = unit / "profile_kernels.csv";
    if (!fs::exists(path)) continue;  // a server that nobody can profile
    boots.push_back(
        parse_profile_kernels(text_in(path), path.filename().string(), leg.filename().string()));
  }
  if (!boots.empty()) files["profile_kernels.csv"] = format_profile_kernels(pool_boots(boots));
  files["profile_metadata.json"] = readable_json(
      pooled_metadata(units, "profile_metadata.json", {"budget", "profiler", "token_ids_sha256"}));
}

void add_gsm8k(const fs::path& leg, std::map<std::string, std::string>& files) {
  const std::vector<fs::path> units = sealed_units(leg, "gsm8k");
  if (units.empty()) return;
  std::vector<QuestionResult> all;
  for (const fs::path& unit : units) {
    for (QuestionResult& one : parse_perq(text_in(unit / "perq.jsonl"), "perq.jsonl"))
      all.push_back(std::move(one));
  }
  files["perq.jsonl"] = format_perq(all);
  files["gsm8k.json"] = text_in(units.front() / "gsm8k.json");
  files["gsm8k_metadata.json"] = readable_json(pooled_metadata(units, "gsm8k_metadata.json", {}));
}

/// The deviation of two rows' calls taken together, which includes what their means differ by.
double pooled_sd_us(const KernelRow& one, const KernelRow& other) {
  const auto n = static_cast<double>(one.n_calls), m = static_cast<double>(other.n_calls);
  if (n + m < 2) return 0;
  const double apart = one.mean_us - other.mean_us;
  const double squares = (n - 1) * *one.sd_us * *one.sd_us + (m - 1) * *other.sd_us * *other.sd_us +
                         n * m / (n + m) * apart * apart;
  return std::sqrt(squares / (n + m - 1));
}

/// Adds a row's calls to those of the same kernel. What one of them does not know, both do not.
void add_calls(KernelRow& sum, const KernelRow& row) {
  const auto before = static_cast<double>(sum.n_calls), added = static_cast<double>(row.n_calls);
  const auto weighted = [&](double a, double b) {
    return (a * before + b * added) / (before + added);
  };
  const auto both = [](std::optional<double>& a, const std::optional<double>& b, auto join) {
    a = a && b ? std::optional(join(*a, *b)) : std::nullopt;
  };
  if (sum.sd_us && row.sd_us) {
    sum.sd_us = pooled_sd_us(sum, row);
  } else {
    sum.sd_us.reset();
  }
  both(sum.min_us, row.min_us, [](double a, double b) { return std::min(a, b); });
  both(sum.max_us, row.max_us, [](double a, double b) { return std::max(a, b); });
  both(sum.log_mean, row.log_mean, weighted);
  if (sum.bytes != row.bytes) sum.bytes.reset();
  sum.p50_us = weighted(sum.p50_us, row.p50_us);
  sum.p95_us = weighted(sum.p95_us, row.p95_us);
  sum.n_calls += row.n_calls;
  sum.total_ms += row.total_ms;
  sum.mean_us = sum.total_ms * 1e3 / static_cast<double>(sum.n_calls);
}

}  // namespace

KernelTable pool_boots(const std::vector<KernelTable>& boots) {
  KernelTable pooled;
  std::map<std::string, KernelRow> rows;
  for (const KernelTable& boot : boots) {
    pooled.leg = boot.leg;
    for (const KernelRow& row : boot.rows) {
      auto [found, fresh] = rows.try_emplace(row.name, row);
      if (!fresh) add_calls(found->second, row);
    }
  }
  for (auto& [name, row] : rows) pooled.rows.push_back(std::move(row));
  sort_by_total(pooled);
  fill_shares(pooled);
  return pooled;
}

std::map<std::string, std::string> pooled_leg_files(const fs::path& leg_folder) {
  std::map<std::string, std::string> files;
  add_profile(leg_folder, files);
  add_gsm8k(leg_folder, files);
  return files;
}

}  // namespace nvllm::bench
