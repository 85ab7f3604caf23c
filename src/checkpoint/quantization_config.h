#pragma once

// What a checkpoint says of its own quantisation. Layouts are decided from the tensors; this only
// refuses what nvllm would read wrongly.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/inventory.h"

namespace nvllm::checkpoint {

/// The facts that matter here.
struct QuantizationFacts {
  std::string where;      ///< file, and the object in it
  std::string algorithm;  ///< ModelOpt's quant_algo; empty if it does not say
  /// By module, where a ModelOpt checkpoint mixes algorithms.
  std::map<std::string, std::string, std::less<>> module_algorithms;
};

/// Reads quantization_config from config.json, its text_config, or else ModelOpt's
/// hf_quant_config.json beside it; no facts if there is none of them.
///   Errors: Error(kUnsupported) naming field and scheme if its tensors look like ones nvllm reads
///           but mean something else; Error(kBadFile) if it is malformed.
QuantizationFacts read_quantization(const std::filesystem::path& folder, const Json& config);

/// The same for documents in memory; `modelopt` may be null.
QuantizationFacts parse_quantization(const Json& config, std::string_view config_name,
                                     const Json* modelopt, std::string_view modelopt_name);

/// Names every ModelOpt NVFP4 module whose activations were quantised (W4A4) and whose scale for
/// them is absent: the export is incomplete.
void check_input_scales(const QuantizationFacts& facts, const Inventory& inventory,
                        std::vector<std::string>& problems);

}  // namespace nvllm::checkpoint
