// A header is believed only after it has been held against the file: lengths by subtraction from
// the real size, integers as unsigned 64-bit (never through a double), products with overflow
// checks, and ranges that tile the data exactly.

#include "checkpoint/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "checkpoint/json_events.h"

namespace nvllm::checkpoint {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

namespace {

constexpr std::size_t kTensorsMax = 1'000'000;
constexpr std::size_t kRankMax = 8;
constexpr std::int64_t kDimensionMax = std::int64_t{1} << 40;

/// A tensor as its header claims it to be; offsets count from the end of the header.
struct Claim {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

/// Collects the claims of a header, refusing everything the format does not have.
class HeaderEvents final : public JsonEvents {
 public:
  explicit HeaderEvents(std::string_view file_name) : JsonEvents(file_name) {}
  std::vector<Claim> take() { return std::move(claims_); }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kOutside:
        place_ = Place::kTop;
        break;
      case Place::kTop:
        place_ = in_metadata_ ? Place::kMetadata : Place::kTensor;
        break;
      default:
        unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      const Claim& claim = claims_.back();
      if (field_ != Field::kNone) unexpected("end of the object");
      if (!claim.has_dtype) refuse(where_tensor() + "has no dtype");
      if (!claim.has_shape) refuse(where_tensor() + "has no shape");
      if (!claim.has_offsets) refuse(where_tensor() + "has no data_offsets");
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool key(std::string& name) override {
    if (place_ == Place::kMetadata) {
      if (!metadata_keys_.insert(name).second)
        refuse(fmt::format("__metadata__ has '{}' twice", name));
      return true;
    }
    if (place_ == Place::kTensor) return field_key(name);
    if (!names_.insert(name).second) refuse(fmt::format("tensor '{}' appears twice", name));
    in_metadata_ = name == "__metadata__";
    if (in_metadata_) return true;
    if (claims_.size() == kTensorsMax) refuse(fmt::format("more than {} tensors", kTensorsMax));
    if (name.empty()) refuse("a tensor has an empty name");
    claims_.emplace_back().name = name;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kTensor || field_ != Field::kDtype) unexpected("'" + value + "'");
    claims_.back().dtype = value;
    field_ = Field::kNone;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || (field_ != Field::kShape && field_ != Field::kOffsets)) {
      unexpected("an array");
    }
    place_ = Place::kArray;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::kArray) unexpected(std::to_string(value));
    Claim& claim = claims_.back();
    auto& numbers = field_ == Field::kShape ? claim.shape : claim.offsets;
    if (numbers.size() == kRankMax)
      refuse(where_tensor() + fmt::format("has more than {} {}", kRankMax,
                                          field_ == Field::kShape ? "dimensions" : "data_offsets"));
    numbers.push_back(value);
    return true;
  }

  bool end_array() override {
    const Claim& claim = claims_.back();
    if (field_ == Field::kOffsets && claim.offsets.size() != 2) {
      refuse(where_tensor() + fmt::format("has {} data_offsets, not 2", claim.offsets.size()));
    }
    place_ = Place::kTensor;
    field_ = Field::kNone;
    return true;
  }

 protected:
  std::string where() const override {
    if (place_ == Place::kOutside) return ", a header is one JSON object";
    if (place_ == Place::kMetadata) return " in __metadata__, which holds strings only";
    if (in_metadata_) return ", __metadata__ is an object of strings";
    if (claims_.empty()) return "";
    const std::string& name = claims_.back().name;
    switch (place_ == Place::kTop ? Field::kNone : field_) {
      case Field::kDtype:
        return fmt::format(" as dtype of tensor '{}'", name);
      case Field::kShape:
        return fmt::format(" in the shape of tensor '{}'", name);
      case Field::kOffsets:
        return fmt::format(" in data_offsets of tensor '{}'", name);
      case Field::kNone:
        break;
    }
    return fmt::format(" in tensor '{}'", name);
  }

 private:
  enum class Place { kOutside, kTop, kTensor, kArray, kMetadata };
  enum class Field { kNone, kDtype, kShape, kOffsets };

  std::string where_tensor() const { return fmt::format("tensor '{}' ", claims_.back().name); }

  bool field_key(const std::string& name) {
    Claim& claim = claims_.back();
    bool* seen = nullptr;
    if (name == "dtype") {
      field_ = Field::kDtype;
      seen = &claim.has_dtype;
    } else if (name == "shape") {
      field_ = Field::kShape;
      seen = &claim.has_shape;
    } else if (name == "data_offsets") {
      field_ = Field::kOffsets;
      seen = &claim.has_offsets;
    } else {
      refuse(where_tensor() + fmt::format("has an unknown field '{}'", name));
    }
    if (*seen) refuse(where_tensor() + fmt::format("gives {} twice", name));
    *seen = true;
    return true;
  }

  Place place_ = Place::kOutside;
  Field field_ = Field::kNone;
  bool in_metadata_ = false;
  std::unordered_set<std::string> names_, metadata_keys_;
  std::vector<Claim> claims_;
};

/// Holds one claim against the number of data bytes; offsets in the result count from the file's
/// start.
TensorInfo check_claim(const Claim& claim, std::uint64_t data_bytes, std::int64_t data_start,
                       std::string_view file_name) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: tensor '{}' {}", file_name, claim.name, why));
  };
  const std::optional<DType> dtype = parse_dtype(claim.dtype);
  if (!dtype) refuse(fmt::format("has dtype '{}', which nvllm does not know", claim.dtype));
  const std::uint64_t begin = claim.offsets[0], end = claim.offsets[1];
  if (begin > end) refuse(fmt::format("begins at {} after its end at {}", begin, end));
  if (end > data_bytes) {
    refuse(
        fmt::format("ends at byte {} of the data, which has {} bytes: the file is cut short or "
                    "the offset is wrong",
                    end, data_bytes));
  }
  TensorInfo info{claim.name, *dtype, {}, 0, 0};
  auto expected = static_cast<std::uint64_t>(dtype_bytes(*dtype));
  bool overflow = false;
  for (const std::uint64_t dimension : claim.shape) {
    if (dimension > static_cast<std::uint64_t>(kDimensionMax)) {
      refuse(fmt::format("has a dimension of {}, more than {}", dimension, kDimensionMax));
    }
    overflow |= __builtin_mul_overflow(expected, dimension, &expected);
    info.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  if (overflow || expected != end - begin) {
    refuse(fmt::format("is {} {}, {} bytes, but its data_offsets [{}, {}] span {}", claim.dtype,
                       describe_shape(info.shape),
                       overflow ? "more than 2^64" : std::to_string(expected), begin, end,
                       end - begin));
  }
  info.begin = data_start + static_cast<std::int64_t>(begin);
  info.end = data_start + static_cast<std::int64_t>(end);
  return info;
}

void check_cover(const std::vector<TensorInfo>& tensors, std::int64_t data_start,
                 std::int64_t file_bytes, std::string_view file_name) {
  std::int64_t cursor = data_start;
  const TensorInfo* before = nullptr;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin < cursor) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: tensors '{}' and '{}' overlap by {} bytes", file_name,
                              before->name, tensor.name, cursor - tensor.begin));
    }
    if (tensor.begin > cursor) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: {} bytes before tensor '{}' belong to no tensor", file_name,
                              tensor.begin - cursor, tensor.name));
    }
    cursor = tensor.end;
    before = &tensor;
  }
  if (cursor != file_bytes) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: {} bytes at the end belong to no tensor",
                                                 file_name, file_bytes - cursor));
  }
}

}  // namespace

std::string describe_shape(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string describe(const TensorInfo& tensor) {
  return fmt::format("{} {}", to_string(tensor.dtype), describe_shape(tensor.shape));
}

std::int64_t safetensors_header_bytes(std::span<const std::byte, 8> first, std::int64_t file_bytes,
                                      std::string_view file_name) {
  if (file_bytes < 8) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: {} bytes, too short for a safetensors file",
                                                 file_name, file_bytes));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), sizeof length);
  if (length > static_cast<std::uint64_t>(file_bytes - 8)) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: claims a header of {} bytes, but only {} follow: the file is cut "
                            "short or is not safetensors",
                            file_name, length, file_bytes - 8));
  }
  if (length > static_cast<std::uint64_t>(kHeaderBytesMax)) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: claims a header of {} bytes, more than {}",
                                                 file_name, length, kHeaderBytesMax));
  }
  return static_cast<std::int64_t>(length);
}

std::vector<TensorInfo> parse_safetensors_header(std::string_view header, std::int64_t file_bytes,
                                                 std::string_view file_name) {
  if (header.empty() || header.front() != '{') {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: the header does not begin with '{{'", file_name));
  }
  HeaderEvents events(file_name);
  parse_json_events(header, events);
  const std::int64_t data_start = 8 + static_cast<std::int64_t>(header.size());
  const auto data_bytes = static_cast<std::uint64_t>(file_bytes - data_start);
  std::vector<TensorInfo> tensors;
  for (const Claim& claim : events.take()) {
    tensors.push_back(check_claim(claim, data_bytes, data_start, file_name));
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_cover(tensors, data_start, file_bytes, file_name);
  return tensors;
}

std::vector<TensorInfo> parse_safetensors(std::span<const std::byte> file,
                                          std::string_view file_name) {
  const auto file_bytes = static_cast<std::int64_t>(file.size());
  std::array<std::byte, 8> first{};
  std::copy_n(file.begin(), std::min<std::size_t>(8, file.size()), first.begin());
  const std::int64_t length = safetensors_header_bytes(first, file_bytes, file_name);
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + 8,
                                static_cast<std::size_t>(length));
  return parse_safetensors_header(header, file_bytes, file_name);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path.string()) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: cannot be opened: {}", path_, std::strerror(errno)));
  }
  try {
    struct stat info {};
    if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: not a regular file", path_));
    }
    const auto file_bytes = static_cast<std::int64_t>(info.st_size);
    std::array<std::byte, 8> first{};
    if (file_bytes >= 8) read_exactly(0, first, "header length");
    const std::int64_t length = safetensors_header_bytes(first, file_bytes, path_);
    std::string header(static_cast<std::size_t>(length), '\0');
    read_exactly(8, std::as_writable_bytes(std::span(header)), "header");
    tensors_ = parse_safetensors_header(header, file_bytes, path_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  if (fd_ >= 0) ::close(fd_);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      tensors_(std::move(other.tensors_)) {}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(tensors_, other.tensors_);
  return *this;
}

void SafetensorsFile::read(const TensorInfo& tensor, std::int64_t offset,
                           std::span<std::byte> out) const {
  read_exactly(tensor.begin + offset, out, tensor.name);
}

void SafetensorsFile::read_exactly(std::int64_t offset, std::span<std::byte> out,
                                   std::string_view what) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_, out.data() + done, out.size() - done,
                                static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(
          ErrorKind::kBadFile,
          fmt::format("{}: {}: reading stopped {} bytes early: {}", path_, what, out.size() - done,
                      got == 0 ? "the file has become shorter" : std::strerror(errno)));
    }
    done += static_cast<std::size_t>(got);
  }
}

}  // namespace nvllm::checkpoint
