#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/records/kernel_table.h"
#include "bench/records/question.h"

namespace nvllm::bench {

/// One table of several boots of one leg, kernels by symbol: calls and times added up, quantiles averaged over
/// the calls.
KernelTable pool_boots(const std::vector<KernelTable>& boots);

/// gsm8k.json: the reference's summary of one boot's answers, with what was cut off and the bounds it leaves.
Json gsm8k_summary(const std::vector<QuestionResult>& results, const Json& metadata);

/// The files of one leg that follow from its sealed units, by name: profile_kernels.csv, profile_metadata.json,
/// gsm8k.json, gsm8k_metadata.json, perq.jsonl. What was not measured is left out.
///   Errors: those of the readers.
std::map<std::string, std::string> pooled_leg_files(const std::filesystem::path& leg_folder);

}  // namespace nvllm::bench
