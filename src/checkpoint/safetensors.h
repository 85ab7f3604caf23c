#pragma once

// The safetensors container: what a header may say, and reading a tensor's bytes.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace nvllm::checkpoint {

/// One tensor of a file. Its bytes lie at [begin, end), counted from the start of the file.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kBf16;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t bytes() const { return end - begin; }
  std::int64_t element_count() const { return bytes() / dtype_bytes(dtype); }
};

/// "BF16 [1024, 384]", for messages.
std::string describe(const TensorInfo& tensor);
/// "[1024, 384]".
std::string describe_shape(std::span<const std::int64_t> shape);

/// The longest header that is read, as in the reference reader.
inline constexpr std::int64_t kHeaderBytesMax = 100'000'000;

/// Checks the first eight bytes of a file against its real size.
///   Returns: the header's length in bytes.
///   Errors: Error(kBadFile) naming the file, the length seen and the bytes there are.
std::int64_t safetensors_header_bytes(std::span<const std::byte, 8> first, std::int64_t file_bytes,
                                      std::string_view file_name);

/// Parses a header and checks it against the file's size: known dtypes, shapes that agree with the
/// offsets, ranges that cover the data without gap or overlap, no name twice.
///   Returns: the tensors in the order of their bytes.
///   Errors: Error(kBadFile) naming the file, the tensor, what was seen and what was wanted.
std::vector<TensorInfo> parse_safetensors_header(std::string_view header, std::int64_t file_bytes,
                                                 std::string_view file_name);

/// Both checks above on a file that lies in memory whole.
std::vector<TensorInfo> parse_safetensors(std::span<const std::byte> file,
                                          std::string_view file_name);

/// An open safetensors file. Tensors are read, not mapped: a file that is cut short while the
/// process runs then ends in an error instead of a signal, and pages read once do not stay
/// resident.
class SafetensorsFile {
 public:
  /// Errors: Error(kNotFound) if it cannot be opened, Error(kBadFile) as parse_safetensors_header.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&& other) noexcept;

  const std::string& path() const { return path_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Reads out.size() bytes of a tensor of this file, from `offset` within it. Thread-safe.
  ///   Errors: Error(kBadFile) naming file and tensor if the file has become shorter.
  void read(const TensorInfo& tensor, std::int64_t offset, std::span<std::byte> out) const;

 private:
  void read_exactly(std::int64_t offset, std::span<std::byte> out, std::string_view what) const;

  std::string path_;
  int fd_ = -1;
  std::vector<TensorInfo> tensors_;
};

}  // namespace nvllm::checkpoint
