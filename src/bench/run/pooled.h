#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// One table of several boots of one leg, or of several processes of one boot, kernels by symbol:
/// calls and times added up, quantiles averaged over the calls.
KernelTable pool_boots(const std::vector<KernelTable>& boots);

/// The files of one leg that follow from its sealed units, by name: profile_kernels.csv,
/// profile_metadata.json, gsm8k.json (the first round's), gsm8k_metadata.json, perq.jsonl. What was
/// not measured is left out.
///   Errors: those of the readers.
std::map<std::string, std::string> pooled_leg_files(const std::filesystem::path& leg_folder);

}  // namespace nvllm::bench
