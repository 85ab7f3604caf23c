#pragma once

// A BF16, F16 or F32 checkpoint to NVFP4, module by module.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/model_config.h"
#include "checkpoint/safetensors_writer.h"

namespace nvllm::checkpoint {

/// How NVFP4 tensors are named and which way their global scale goes.
enum class Nvfp4Layout { kModelOpt, kCompressedTensors };

/// "modelopt" or "compressed-tensors".
///   Errors: Error(kUsage) naming both for anything else.
Nvfp4Layout parse_nvfp4_layout(std::string_view name);

/// What becomes of the output head: it stays as it is, or is NVFP4 like the layers. A head that was tied
/// to the embedding then gets a matrix of its own, and the embedding stays.
enum class HeadFormat { kKept, kNvfp4 };

/// What to quantise, and where to.
struct QuantiseOptions {
  std::string model;          ///< the folder of the source
  std::filesystem::path out;  ///< a new or empty folder
  Nvfp4Layout layout = Nvfp4Layout::kModelOpt;
  HeadFormat head = HeadFormat::kKept;
  std::vector<std::string> keep;  ///< globs over module names that stay as they are
  std::int64_t shard_bytes_max = kShardBytesMax;
  Progress progress;  ///< may be empty
};

/// What was done.
struct QuantiseReport {
  std::int64_t quantised_count = 0;
  std::vector<std::string> kept;  ///< modules left in their format
  std::int64_t bytes_before = 0;
  std::int64_t bytes_after = 0;
};

/// Writes the NVFP4 form of a checkpoint: every linear module of the layers and of the draft-token
/// head, except in_proj_a and in_proj_b, and the output head if asked for; embedding, convolutions and
/// norms stay as they are. Modules that read the same input share a global scale. Tokenizer files, template and
/// generation_config.json are copied; config.json is written last.
///   Errors: Error(kUsage) if `out` is not empty or a keep glob matches nothing;
///   Error(kUnsupported)
///           if the source is quantised already; errors of Checkpoint::open.
QuantiseReport quantise(const QuantiseOptions& options);

/// Whether quantise() makes a module NVFP4 when nothing is said about it.
bool is_quantised_by_default(const ModelConfig& config, const std::string& module);

/// Order of the tensors in an NVFP4 module's item.
inline constexpr std::size_t kCodesTensor = 0, kScalesTensor = 1, kGlobalTensor = 2;

/// The tensors of one NVFP4 module, named as `layout` has them; `write` is left to the caller.
OutputItem nvfp4_item(const std::string& module, std::int64_t rows, std::int64_t cols,
                      Nvfp4Layout layout);

/// The quantization_config object for config.json.
Json quantization_config(Nvfp4Layout layout, const std::vector<std::string>& ignored_modules);
/// The content of ModelOpt's hf_quant_config.json.
Json modelopt_quant_config(const std::vector<std::string>& ignored_modules);

/// A multiplying global scale in the form the layout stores.
float stored_global_scale(float multiplying, Nvfp4Layout layout);

}  // namespace nvllm::checkpoint
