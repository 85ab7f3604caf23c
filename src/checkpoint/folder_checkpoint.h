#pragma once

#include <filesystem>

#include "base/json.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/inventory.h"
#include "checkpoint/quantization_config.h"
#include "checkpoint/tensor_files.h"

namespace nvllm::checkpoint {

/// Reads a folder's config.json.
///   Errors: Error(kNotFound) if there is none, Error(kBadFile) if it is not acceptable JSON.
Json read_config_json(const std::filesystem::path& folder);

/// A checkpoint in a folder of files.
class FolderCheckpoint final : public Checkpoint::Impl {
 public:
  /// Errors: as Checkpoint::open.
  FolderCheckpoint(const std::filesystem::path& folder, GdnParameters gdn);

  const ModelConfig& config() const override { return config_; }
  const std::string& folder() const override { return files_.folder(); }
  MatrixSource matrix(const std::string& module) const override;
  MatrixFormat format(const std::string& module) const override;
  std::vector<float> vector(const std::string& tensor) const override;
  bool has(const std::string& name) const override;
  std::int64_t weight_bytes() const override;

  const Json& json() const { return json_; }  ///< config.json as it stands
  const TensorFiles& files() const { return files_; }
  const Inventory& inventory() const { return inventory_; }

 private:
  /// Errors: Error(kNotFound) for a name that is no module.
  const ModuleLayout& module(const std::string& name) const;
  /// Whether transformers would have rounded this tensor to BF16 while loading.
  bool is_cast(std::string_view tensor) const;

  Json json_;
  TensorFiles files_;
  QuantizationFacts quantization_;
  ModelConfig config_;
  Inventory inventory_;
  GdnParameters gdn_;
};

}  // namespace nvllm::checkpoint
