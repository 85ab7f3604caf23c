#pragma once

// Random weights of a real geometry, made when asked for: no two modules are in memory at once.

#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {

/// The number format of the linear modules that `quantise` would quantise; the rest is BF16. With
/// kNvfp4WithHead the output head is NVFP4 too, and a matrix of its own where the geometry ties it.
enum class SyntheticFormat { kBf16, kNvfp4, kNvfp4WithHead };

/// "bf16", "nvfp4" or "nvfp4-head".
///   Errors: Error(kUsage) naming the three for anything else.
SyntheticFormat parse_synthetic_format(std::string_view name);

/// The seed of "synthetic:NAME".
inline constexpr std::uint64_t kSyntheticSeed = 1;

/// Weights drawn from a counter-based generator: a value depends on seed, tensor name and position
/// alone. Matrices have variance 1 / columns and norms are near their neutral value, so that
/// activations stay finite at any depth.
class SyntheticCheckpoint final : public Checkpoint::Impl {
 public:
  SyntheticCheckpoint(ModelConfig config, std::uint64_t seed, SyntheticFormat format,
                      GdnParameters gdn);

  /// Opens NAME or NAME:FORMAT (nvfp4 if not said), the part of a model name after "synthetic:".
  ///   Errors: Error(kUsage) listing the known names or formats.
  static std::unique_ptr<SyntheticCheckpoint> open(std::string_view name, GdnParameters gdn);

  const ModelConfig& config() const override { return config_; }
  const std::string& folder() const override { return folder_; }
  MatrixSource matrix(const std::string& module) const override;
  MatrixFormat format(const std::string& module) const override;
  std::vector<float> vector(const std::string& tensor) const override;
  bool has(const std::string& name) const override { return specs_.contains(name); }
  std::int64_t weight_bytes() const override;

  /// Whether a module is NVFP4 here.
  bool is_nvfp4(const WeightSpec& spec) const;
  /// Whether a real checkpoint of this family stores the vector in F32.
  static bool is_f32(std::string_view tensor);

 private:
  const WeightSpec& spec(const std::string& name, WeightSpec::Role role) const;

  ModelConfig config_;
  std::uint64_t seed_;
  SyntheticFormat format_;
  GdnParameters gdn_;
  std::string folder_;  // empty
  std::map<std::string, WeightSpec, std::less<>> specs_;
};

}  // namespace nvllm::checkpoint
