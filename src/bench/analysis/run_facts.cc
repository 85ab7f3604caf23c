#include "bench/analysis/run_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "bench/import/byte_source.h"
#include "bench/store/csv.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTelemetry = "telemetry.csv.gz";
constexpr std::size_t kBytesMax = 64u << 20;
constexpr std::size_t kPoints = 240;
constexpr std::size_t kTime = 0, kMemAvailable = 7, kPsiFull = 9, kRss = 11, kPhase = 13,
                      kColumns = 14;
constexpr double kGib = 1 << 30;

/// One look of the watchdog; what it could not read is absent.
struct Look {
  double t_s = 0;
  std::optional<double> free_gib, server_gib, pressure_pct;
  std::string phase;
};

std::optional<double> cell_of(const CsvRow& row, std::size_t index, const char* column,
                              double unit) {
  if (row.fields[index].empty()) return std::nullopt;
  return csv_double(row, index, column, kTelemetry) / unit;
}

std::string unpacked(const fs::path& file) {
  ByteSource source(read_from_file(file), kTelemetry);
  std::string text, piece(1 << 16, '\0');
  while (const std::size_t got = source.read(piece.data(), piece.size())) {
    text.append(piece, 0, got);
    if (text.size() > kBytesMax) break;  // a day at one look a second is below 10 MB
  }
  return text;
}

/// A run that was stopped and resumed counts its seconds anew; here they go on.
std::vector<Look> read_looks(const fs::path& file) {
  std::vector<Look> looks;
  double shift_s = 0, last_s = 0;
  const std::vector<CsvRow> rows = parse_csv(unpacked(file), kTelemetry);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const CsvRow& row = rows[i];
    if (row.fields.size() != kColumns) continue;  // the last line of a run that was killed
    const double t_s = csv_double(row, kTime, "t", kTelemetry);
    if (t_s < last_s) shift_s += last_s;
    last_s = t_s;
    looks.push_back({.t_s = t_s + shift_s,
                     .free_gib = cell_of(row, kMemAvailable, "mem_avail", kGib),
                     .server_gib = cell_of(row, kRss, "rss", kGib),
                     .pressure_pct = cell_of(row, kPsiFull, "psi_full", 1),
                     .phase = row.fields[kPhase]});
  }
  return looks;
}

/// The worse of two readings.
template <class Worse>
void keep(std::optional<double>& kept, const std::optional<double>& seen, Worse worse) {
  if (seen && (!kept || worse(*seen, *kept))) kept = seen;
}

Json point_json(const Look& look) {
  const auto known = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  return Json::array(
      {look.t_s, known(look.free_gib), known(look.server_gib), known(look.pressure_pct)});
}

Json points_json(const std::vector<Look>& looks) {
  Json points = Json::array();
  const std::size_t step = std::max<std::size_t>(1, (looks.size() + kPoints - 1) / kPoints);
  for (std::size_t begin = 0; begin < looks.size(); begin += step) {
    Look worst = looks[begin];
    for (std::size_t i = begin + 1; i < std::min(begin + step, looks.size()); ++i) {
      keep(worst.free_gib, looks[i].free_gib, std::less<>());
      keep(worst.server_gib, looks[i].server_gib, std::greater<>());
      keep(worst.pressure_pct, looks[i].pressure_pct, std::greater<>());
    }
    points.push_back(point_json(worst));
  }
  return points;
}

/// Spans of looks with the same phase. "lower8/rounds/01/profile MEASURING" is a unit and a state.
Json phases_json(const std::vector<Look>& looks) {
  Json phases = Json::array();
  for (std::size_t begin = 0; begin < looks.size();) {
    std::size_t end = begin;
    while (end < looks.size() && looks[end].phase == looks[begin].phase) ++end;
    const std::string& phase = looks[begin].phase;
    const std::size_t space = phase.find(' ');
    phases.push_back({{"unit", phase.substr(0, space)},
                      {"state", space == std::string::npos ? "" : phase.substr(space + 1)},
                      {"from_s", looks[begin].t_s},
                      {"to_s", looks[std::min(end, looks.size() - 1)].t_s}});
    begin = end;
  }
  return phases;
}

}  // namespace

Json telemetry_json(const fs::path& folder) {
  if (!fs::exists(folder / kTelemetry)) return nullptr;
  const std::vector<Look> looks = read_looks(folder / kTelemetry);
  if (looks.empty()) return nullptr;
  Json json;
  json["looks"] = looks.size();
  json["seconds"] = looks.back().t_s - looks.front().t_s;
  json["columns"] = {"t_s", "free_gib", "server_gib", "pressure_pct"};
  json["points"] = points_json(looks);
  json["phases"] = phases_json(looks);
  return json;
}

Json attempts_json(const EvidenceFolder& folder) {
  std::vector<fs::path> places;
  for (const LegEvidence& leg : folder.legs) {
    const fs::path attempts = folder.path / leg.leg / "attempts";
    if (!fs::is_directory(attempts)) continue;
    for (const auto& entry : fs::directory_iterator(attempts)) {
      if (fs::exists(entry.path() / kSealName)) places.push_back(entry.path());
    }
  }
  std::sort(places.begin(), places.end());
  Json json = Json::array();
  for (const fs::path& place : places) {
    const Seal seal = read_seal(place);
    json.push_back({{"kept_in", fs::relative(place, folder.path).generic_string()},
                    {"unit", unit_name(seal.unit)},
                    {"attempt", seal.attempt},
                    {"state", seal.state},
                    {"exit", seal.exit}});
  }
  return json;
}

Json run_json(const EvidenceFolder& baseline, const EvidenceFolder& candidate) {
  Json json;
  for (const auto& [side, folder] :
       {std::pair("baseline", &baseline), std::pair("candidate", &candidate)}) {
    json[side] = {{"telemetry", telemetry_json(folder->path)},
                  {"attempts", attempts_json(*folder)}};
  }
  return json;
}

}  // namespace nvllm::bench
