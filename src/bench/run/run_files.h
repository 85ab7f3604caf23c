#pragma once

// The files of an evidence folder that say what is run, where and by which rules.

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "bench/run/settings.h"
#include "bench/store/evidence_writer.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// The fields that every unit's metadata share and that its hash rests on: tool, binary, model, and
/// the library that is injected.
///   Errors: Error(kUsage) if there is no such library.
Json run_identity(const RunSettings& settings, const std::string& program, const std::string& tool);

/// What a leg has in place of the run's identity: the digest of the program that its command names.
/// Empty where that is the run's own, or nobody starts one.
///   Errors: Error(kUsage) if there is no such program.
Json leg_identity(const RunSettings& settings, const SweepLeg& leg, const std::string& program);

/// Writes sweep.toml, sweep.lock.json and, unless it is there already, prereg.json: rules are
/// registered once, before the first measurement.
void write_rules(EvidenceWriter& writer, std::string_view sweep_text, const Sweep& sweep,
                 const Json& identity, std::span<const PlannedUnit> units, const std::string& tool);

/// What provenance.json says beside what the folder itself knows.
struct ProvenanceFacts {
  Json host, identity;
  std::string argv;
  Json baseline;  ///< null until it is looked for
};

/// Writes provenance.json: the machine, the commit, begin and end of the run, how every attempt
/// ended. The begin of an earlier part of the same run stays.
void write_provenance(EvidenceWriter& writer, const ProvenanceFacts& facts);

/// Packs telemetry.csv into telemetry.csv.gz.
void pack_telemetry(EvidenceWriter& writer);

/// A text without this machine's paths (the current folder becomes ".", the home folder "~"), and
/// without line ends behind it.
std::string without_paths(std::string text);

}  // namespace nvllm::bench
