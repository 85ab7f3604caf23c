#pragma once

#include <filesystem>

#include "bench/records/load.h"

namespace nvllm::bench {

/// Reads the file of `vllm bench serve --save-result` (or --save-detailed, for the single requests).
///   Errors: Error(kNotFound); Error(kBadFile) naming the file and the field, also where the lists of
///           the requests are of different lengths.
///   Source: vllm/benchmarks/serve.py of vllm-project/vllm.
LoadResult import_vllm_bench(const std::filesystem::path& path);

}  // namespace nvllm::bench
