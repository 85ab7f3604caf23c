#pragma once

// Makes safetensors files by hand, also ones that no writer would make.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::testing {

/// A whole file from the text of its header and its data, with the header's true length in front.
std::string safetensors_container(std::string_view header, std::string_view data);

/// Tensors by name, with their bytes; each may be changed or removed before the file is written.
class SafetensorsBuilder {
 public:
  struct Tensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };

  /// Reads all tensors of a file.
  static SafetensorsBuilder from_file(const std::filesystem::path& path);

  /// Adds or replaces a tensor.
  void set(const std::string& name, Tensor tensor) { tensors_[name] = std::move(tensor); }
  Tensor& at(const std::string& name) { return tensors_.at(name); }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  void remove(const std::string& name) { tensors_.erase(name); }
  void rename(const std::string& from, const std::string& to);
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  std::string file() const;
  void write(const std::filesystem::path& path) const;

 private:
  std::map<std::string, Tensor> tensors_;
};

/// Floats as the bytes of F32 or BF16 (rounded) tensors.
std::string f32_bytes(const std::vector<float>& values);
std::string bf16_bytes(const std::vector<float>& values);

/// Writes a text file.
void write_text(const std::filesystem::path& path, std::string_view text);
/// Reads a whole file.
std::string read_text(const std::filesystem::path& path);

}  // namespace nvllm::testing
