#pragma once

// In which of the known layouts a linear module lies in its files, decided from the tensors that
// are there; what the config claims is never trusted.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_files.h"
#include "tensor/matrix_source.h"

namespace nvllm::checkpoint {

/// The tensors of one linear module. Pointers borrow from the TensorFiles it was found in.
struct ModuleLayout {
  std::string module;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  MatrixFormat format = MatrixFormat::kBf16;
  GlobalScale global_scale_rule = GlobalScale::kMultiplies;
  Fp8Scales fp8_scales = Fp8Scales::kPerTensor;
  const StoredTensor* weight = nullptr;
  const StoredTensor* scales = nullptr;        ///< NVFP4 block scales or FP8 scales
  const StoredTensor* global_scale = nullptr;  ///< NVFP4 only
  std::vector<const StoredTensor*> unused;     ///< activation scales: consumed, not needed

  std::int64_t bytes() const;
};

/// "BF16", "NVFP4 (ModelOpt)", "FP8 (128x128 blocks)", ...
std::string layout_name(const ModuleLayout& layout);

/// The names a module's tensors can have, after the dot.
std::span<const std::string_view> module_companions();

/// What was asked for: a module and its matrix's shape.
struct ModuleWanted {
  std::string module;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// Finds the layout of a module.
///   Returns: nothing if it has a fault; then `problems` has grown by at least one sentence.
std::optional<ModuleLayout> find_module(const TensorFiles& files, const ModuleWanted& wanted,
                                        std::vector<std::string>& problems);

/// A BF16, F16 or F32 tensor as floats.
///   Errors: Error(kBadFile) if the file has become shorter.
std::vector<float> read_floats(const TensorFiles& files, const StoredTensor& tensor);

/// Reads a module's bytes into memory of its own and checks the scales.
///   Errors: Error(kBadFile) naming the scale tensor if a scale is NaN, infinite or negative.
MatrixSource read_module(const TensorFiles& files, const ModuleLayout& layout);

/// Reads and checks a module's scales alone.
///   Errors: as read_module.
void check_scales(const TensorFiles& files, const ModuleLayout& layout);

}  // namespace nvllm::checkpoint
