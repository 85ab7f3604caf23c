#pragma once

#include "checkpoint/checkpoint.h"

namespace nvllm::checkpoint {

/// What a source of weights must answer: a folder of files, or a generator.
class Checkpoint::Impl {
 public:
  virtual ~Impl() = default;
  virtual const ModelConfig& config() const = 0;
  virtual const std::string& folder() const = 0;
  virtual MatrixSource matrix(const std::string& module) const = 0;
  virtual MatrixFormat format(const std::string& module) const = 0;
  virtual std::vector<float> vector(const std::string& tensor) const = 0;
  virtual bool has(const std::string& name) const = 0;
  virtual std::int64_t weight_bytes() const = 0;
};

}  // namespace nvllm::checkpoint
