#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_config.h"
#include "tensor/matrix_source.h"

namespace nvllm::checkpoint {

/// How the two DeltaNet parameters that checkpoints may store in F32 are read.
enum class GdnParameters {
  kCastToBf16,  ///< as Hugging Face transformers loads them, for equal logits
  kAsStored,
};

/// Where the weights of a model come from: a folder of files, or random numbers of a real geometry.
/// Opening reads headers only and checks that every tensor is consumed or refused by name;
/// matrices are handed out one at a time, so that a backend can pack one and let the pages go.
class Checkpoint {
 public:
  /// Opens a folder, or "synthetic:NAME" (known_shape) with random weights of a fixed seed: NVFP4
  /// where quantise() makes it so, else BF16; "synthetic:NAME:bf16" is BF16 throughout.
  ///   Errors: Error(kNotFound), Error(kBadFile), Error(kUnsupported), with the file and tensor.
  static Checkpoint open(const std::string& model, GdnParameters gdn = GdnParameters::kCastToBf16);

  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const ModelConfig& config() const;
  /// The folder, or empty for synthetic weights (which have no tokenizer).
  const std::string& folder() const;
  /// A linear module or the embedding, by its module name (no ".weight"). Each call reads the bytes
  /// anew into memory of the result's own; dropping the result frees them. Thread-safe.
  ///   Errors: Error(kNotFound) for another name; Error(kBadFile) naming the tensor if a scale is
  ///           NaN, infinite or negative, or the file has become shorter.
  MatrixSource matrix(const std::string& module) const;
  /// How a module is stored; reads nothing.  Errors: Error(kNotFound) for another name.
  MatrixFormat format(const std::string& module) const;
  /// A vector or small tensor as floats, row-major, by its whole tensor name.
  ///   Errors: Error(kNotFound) for another name, Error(kBadFile) if the file has become shorter.
  std::vector<float> vector(const std::string& tensor) const;
  /// Whether a tensor or module of that name is present.
  bool has(const std::string& name) const;
  /// Bytes of all matrices and vectors that the forward uses, as stored; draft-token head excluded.
  std::int64_t weight_bytes() const;

  class Impl;

 private:
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvllm::checkpoint
