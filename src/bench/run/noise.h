#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// The scatter between boots that a folder's rounds show.
struct NoiseFloor {
  double boot_sigma = 0;  ///< sd of one boot's log time per decode step, over all legs
  std::int64_t boots = 0, legs = 0;
  double df = 0;                          ///< boots less legs
  std::map<std::string, double> classes;  ///< the same by kernel class
  std::map<std::string, double> kernels;  ///< by short kernel name: of the mean time of its calls
  /// By short kernel name: of the geometric mean time of its calls over that of all calls. Neither
  /// what slows down a boot as a whole nor a few interrupted calls are in it.
  std::map<std::string, double> relative;
  std::map<std::string, double> unit_s;  ///< mean seconds that a unit of a phase took
};

/// Measures the scatter of every leg's rounds around the leg's own mean.
///   Errors: Error(kUsage) if no leg was profiled in two boots; those of open_evidence.
NoiseFloor measure_noise(const std::filesystem::path& folder);

/// noise.json: the floor, whose machine it is, and which folder it comes from.
Json noise_json(const NoiseFloor& noise, const std::filesystem::path& folder);

/// Reads noise.json.
///   Errors: Error(kNotFound), Error(kBadFile) naming the field.
NoiseFloor read_noise_floor(const std::filesystem::path& path);

}  // namespace nvllm::bench
