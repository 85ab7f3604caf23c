#pragma once

// Small random checkpoints of each family, in a folder of their own. Weights are those of
// `nvllm make-model`, with its tokenizer of single bytes.

#include <string>
#include <string_view>

#include "base/json.h"
#include "checkpoint/synthetic.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace nvllm::testing {

using TinyFormat = checkpoint::SyntheticFormat;

/// A checkpoint on disk that lasts as long as this object.
class TinyCheckpoint {
 public:
  /// A known shape: "tiny-hybrid" (3 DeltaNet layers and 1 of full attention, head ratio 3, with a
  /// draft-token head), "tiny-qwen3", "tiny-llama".
  explicit TinyCheckpoint(std::string_view shape, TinyFormat format = TinyFormat::kBf16,
                          std::uint64_t seed = 1);
  /// Any geometry, as a config.json document.
  static TinyCheckpoint of_config(const Json& config, TinyFormat format = TinyFormat::kBf16,
                                  std::uint64_t seed = 1);

  std::string folder() const { return (folder_.path() / "model").string(); }
  std::filesystem::path file(const std::string& name) const {
    return folder_.path() / "model" / name;
  }

  /// The tensors, to be changed and written back with save_tensors.
  SafetensorsBuilder tensors() const;
  void save_tensors(const SafetensorsBuilder& tensors) const;
  Json config() const;
  void save_config(const Json& config) const;

 private:
  TinyCheckpoint() = default;
  void make(const Json& config, TinyFormat format, std::uint64_t seed);

  TempFolder folder_;
};

}  // namespace nvllm::testing
