#include "bench/run/run_files.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "bench/run/gzip.h"
#include "bench/run/injected_processes.h"
#include "bench/run/provenance.h"
#include "bench/run/unit.h"
#include "bench/store/canonical_json.h"
#include "bench/store/csv.h"
#include "bench/store/file_digest.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64 << 20;
constexpr const char* kTelemetry = "telemetry.csv";

/// How every attempt ended, as the journal tells.
Json attempts_of(const Journal& journal) {
  Json units = Json::array();
  std::map<std::string, std::int64_t> open;
  for (const JournalEvent& event : journal.events()) {
    if (event.event == events::kStarted)
      open[event.unit] = event.data.value("attempt", std::int64_t{1});
    if (event.event == events::kSealed || event.event == events::kFailed) open.erase(event.unit);
    if (event.event == events::kSetAside && open.contains(event.unit)) {
      // It died with the run: nobody saw how.
      units.push_back(Json{{"unit", event.unit}, {"attempt", open[event.unit]}, {"exit", nullptr}});
      if (event.data.contains("reason")) units.back()["reason"] = event.data.at("reason");
      open.erase(event.unit);
    }
    if (event.event != events::kSealed && event.event != events::kFailed) continue;
    Json one = Json{{"unit", event.unit},
                    {"attempt", event.data.value("attempt", std::int64_t{1})},
                    {"exit", event.event == events::kSealed ? 0 : 5}};
    if (event.data.contains("reason")) one["reason"] = event.data.at("reason");
    units.push_back(std::move(one));
  }
  return units;
}

/// The least memory that the telemetry saw.
std::optional<double> least_memory_gib(const fs::path& telemetry) {
  if (!fs::exists(telemetry)) return std::nullopt;
  const std::vector<CsvRow> rows = parse_csv(read_file(telemetry, kFileBytesMax), kTelemetry);
  std::optional<double> least;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    constexpr std::size_t kMemAvailable = 7;
    if (rows[i].fields.size() <= kMemAvailable || rows[i].fields[kMemAvailable].empty()) continue;
    const double gib = csv_double(rows[i], kMemAvailable, "mem_avail", kTelemetry) / (1 << 30);
    if (!least || gib < *least) least = gib;
  }
  return least;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.size() < 2) return;
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// Size and SHA-256 of a file that may be anybody's.
Json digest_of(const fs::path& file) {
  const FileDigest digest = digest_file(fs::canonical(file));
  return Json{{"name", file.filename().string()}, {"bytes", digest.bytes}, {"sha256", digest.sha256}};
}

}  // namespace

Json run_identity(const RunSettings& settings, const std::string& program,
                  const std::string& tool) {
  Json identity;
  identity["tool"] = tool;
  if (settings.server.kind->ours) identity["binary"] = binary_facts(program);
  if (settings.kernels == KernelMethod::kInject)
    identity["profile_library"] = digest_of(profile_library(settings.profile_library, program));
  identity["model"] = settings.model_id;
  if (!settings.model.empty()) {
    const Json model = model_facts(settings.model);
    identity["model_revision"] = model.at("sha256");
    identity["model_files"] = model.at("files");
  } else if (!settings.model_revision.empty()) {
    identity["model_revision"] = settings.model_revision;
  }
  if (const Json commit = commit_facts(); commit.is_object()) {
    identity["git_commit"] = commit.at("commit");
    identity["dirty"] = commit.at("dirty");
  }
  return identity;
}

Json leg_identity(const RunSettings& settings, const SweepLeg& leg, const std::string& program) {
  Json own = Json::object();
  if (settings.server.kind->address == AddressFrom::kRunsAlready) return own;
  if (settings.server.kind->ours && leg.command.empty() &&
      settings.server.command == settings.server.kind->command) {
    return own;
  }
  const std::string word =
      command_of(settings, leg, {.program = program, .port = "0", .traces = {}}).front();
  const fs::path file = find_program(word);
  if (file.empty() || !fs::is_regular_file(file)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("leg '{}': '{}' of its command is no program here", leg.name, word));
  }
  own["binary"] = binary_facts(file);
  return own;
}

void write_rules(EvidenceWriter& writer, std::string_view sweep_text, const Sweep& sweep,
                 const Json& identity, std::span<const PlannedUnit> units,
                 const std::string& tool) {
  writer.write("sweep.toml", sweep_text);
  Json lock;
  lock["schema"] = "nvllm.sweep_lock/v1";
  lock["folder"] = fs::absolute(writer.folder()).lexically_normal().filename().string();
  lock["tool"] = tool;
  lock["sweep_hash"] = sweep.sweep_hash;
  lock["rules_hash"] = sweep.rules_hash;
  lock["identity"] = identity;
  for (const SweepLeg& leg : sweep.legs) {
    for (const auto& [kernel, calls] : leg.expect_kernels)
      lock["expect_kernels"][leg.name][kernel] = calls;
  }
  lock["units"] = Json::array();
  for (const PlannedUnit& unit : units) {
    lock["units"].push_back(Json{{"unit", unit_name(unit.unit)}, {"unit_hash", unit.unit_hash}});
  }
  writer.write("sweep.lock.json", readable_json(lock));
  if (fs::exists(writer.folder() / "prereg.json")) return;
  writer.write("prereg.json", readable_json(Json{{"schema", "nvllm.prereg/v1"},
                                                 {"rules_hash", sweep.rules_hash},
                                                 {"sweep_hash", sweep.sweep_hash},
                                                 {"registered_at", utc_now()}}));
  writer.journal().append("registered", "", Json{{"rules_hash", sweep.rules_hash}});
}

void write_provenance(EvidenceWriter& writer, const ProvenanceFacts& facts) {
  const fs::path path = writer.folder() / "provenance.json";
  std::string begin = utc_now();
  if (fs::exists(path))
    begin = parse_json(read_file(path, kFileBytesMax), "provenance.json").value("begin", begin);
  Json json;
  json["schema"] = "nvllm.provenance/v1";
  for (const auto& [key, value] : facts.host.items()) json[key] = value;
  json["identity"] = facts.identity;
  json["argv"] = facts.argv;
  if (!facts.baseline.is_null()) json["baseline"] = facts.baseline;
  json["begin"] = begin;
  json["end"] = utc_now();
  json["attempts"] = attempts_of(writer.journal());
  if (const auto gib = least_memory_gib(writer.folder() / kTelemetry)) {
    json["mem_watchdog"] = Json{{"available_gib_min", *gib}};
  }
  writer.write("provenance.json", readable_json(json));
}

void pack_telemetry(EvidenceWriter& writer) {
  const fs::path path = writer.folder() / kTelemetry;
  if (!fs::exists(path)) return;
  writer.write("telemetry.csv.gz", gzip_text(read_file(path, kFileBytesMax)));
  fs::remove(path);
}

std::string without_paths(std::string text) {
  replace_all(text, fs::current_path().string(), ".");
  if (const char* home = std::getenv("HOME"); home != nullptr) replace_all(text, home, "~");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace nvllm::bench
