// The companions present decide the layout:
//   weight_packed U8, weight_scale, weight_global_scale    NVFP4, compressed-tensors
//   weight U8, weight_scale, weight_scale_2                NVFP4, ModelOpt
//   weight F8_E4M3, weight_scale or weight_scale_inv       FP8
//   weight BF16, F16 or F32 alone                          plain
// Real checkpoints have ignore lists that contradict their tensors, so the config is not asked.

#include "checkpoint/module_layout.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::array<std::string_view, 9> kCompanions = {
    "weight",         "weight_packed",       "weight_scale",
    "weight_scale_2", "weight_global_scale", "weight_scale_inv",
    "input_scale",    "input_global_scale",  "activation_scale"};

/// Collects the tensors of one module and takes them out one by one; what is left over is a fault.
class ModuleFinder {
 public:
  ModuleFinder(const TensorFiles& files, const ModuleWanted& wanted,
               std::vector<std::string>& problems)
      : files_(files), problems_(problems), problems_before_(problems.size()) {
    layout_.module = wanted.module;
    layout_.rows = wanted.rows;
    layout_.cols = wanted.cols;
    for (std::size_t i = 0; i < kCompanions.size(); ++i) {
      found_[i] = files.find(wanted.module + "." + std::string(kCompanions[i]));
    }
  }

  std::optional<ModuleLayout> find() {
    if (peek("weight_packed") != nullptr) {
      compressed_nvfp4();
    } else if (const StoredTensor* weight = peek("weight"); weight == nullptr) {
      problem("weight", "is missing");
    } else {
      by_dtype(weight->info.dtype);
    }
    leftovers();
    if (problems_.size() != problems_before_) return std::nullopt;
    return layout_;
  }

 private:
  std::string name(std::string_view companion) const {
    return layout_.module + "." + std::string(companion);
  }
  void problem(std::string_view companion, const std::string& what) {
    problems_.push_back(fmt::format("tensor '{}' {}", name(companion), what));
  }
  const StoredTensor*& slot(std::string_view companion) {
    for (std::size_t i = 0; i < kCompanions.size(); ++i) {
      if (kCompanions[i] == companion) return found_[i];
    }
    NVLLM_CHECK(false);
    return found_[0];
  }
  const StoredTensor* peek(std::string_view companion) { return slot(companion); }

  /// Takes a companion that must be there.
  const StoredTensor* take(std::string_view companion) {
    const StoredTensor* tensor = slot(companion);
    if (tensor == nullptr) {
      problem(companion, fmt::format("is missing, but the module is {}", layout_name(layout_)));
    }
    slot(companion) = nullptr;
    return tensor;
  }
  const StoredTensor* take(std::string_view companion, DType dtype, std::int64_t rows,
                           std::int64_t cols) {
    const StoredTensor* tensor = take(companion);
    if (tensor == nullptr) return nullptr;
    const std::vector<std::int64_t> wanted = {rows, cols};
    if (tensor->info.dtype != dtype || tensor->info.shape != wanted) {
      problem(companion, fmt::format("is {}, wanted {} {}", describe(tensor->info),
                                     to_string(dtype), describe_shape(wanted)));
    }
    return tensor;
  }
  const StoredTensor* take_scalar(std::string_view companion) {
    const StoredTensor* tensor = take(companion);
    if (tensor != nullptr &&
        (tensor->info.dtype != DType::kF32 || tensor->info.element_count() != 1)) {
      problem(companion, fmt::format("is {}, wanted one F32 number", describe(tensor->info)));
    }
    return tensor;
  }
  void take_unused(std::string_view companion) {
    const StoredTensor* tensor = slot(companion);
    if (tensor == nullptr) return;
    const DType dtype = tensor->info.dtype;
    if (tensor->info.element_count() != 1 || (dtype != DType::kF32 && dtype != DType::kBf16)) {
      problem(companion,
              fmt::format("is {}, wanted one F32 or BF16 number", describe(tensor->info)));
    }
    layout_.unused.push_back(tensor);
    slot(companion) = nullptr;
  }

  void by_dtype(DType dtype) {
    switch (dtype) {
      case DType::kBf16:
        return plain(MatrixFormat::kBf16, dtype);
      case DType::kF16:
        return plain(MatrixFormat::kF16, dtype);
      case DType::kF32:
        return plain(MatrixFormat::kF32, dtype);
      case DType::kU8:
        return modelopt_nvfp4();
      case DType::kF8E4M3:
        return fp8();
      default:
        problem("weight",
                fmt::format("is {}, which is no weight layout nvllm reads (BF16, F16, F32, "
                            "NVFP4, FP8 E4M3)",
                            describe(peek("weight")->info)));
        slot("weight") = nullptr;
    }
  }

  void plain(MatrixFormat format, DType dtype) {
    layout_.format = format;
    layout_.weight = take("weight", dtype, layout_.rows, layout_.cols);
  }

  void nvfp4(std::string_view weight, std::string_view global) {
    layout_.format = MatrixFormat::kNvfp4;
    if (layout_.cols % 16 != 0) {
      problem(weight,
              fmt::format("is NVFP4 with {} columns, wanted a multiple of 16", layout_.cols));
    }
    layout_.weight = take(weight, DType::kU8, layout_.rows, layout_.cols / 2);
    layout_.scales = take("weight_scale", DType::kF8E4M3, layout_.rows, layout_.cols / 16);
    layout_.global_scale = take_scalar(global);
  }
  void modelopt_nvfp4() {
    layout_.global_scale_rule = GlobalScale::kMultiplies;
    nvfp4("weight", "weight_scale_2");
    take_unused("input_scale");
  }
  void compressed_nvfp4() {
    layout_.global_scale_rule = GlobalScale::kDivides;
    nvfp4("weight_packed", "weight_global_scale");
    take_unused("input_global_scale");
  }

  void fp8() {
    layout_.format = MatrixFormat::kFp8;
    layout_.weight = take("weight", DType::kF8E4M3, layout_.rows, layout_.cols);
    const bool inverse = peek("weight_scale_inv") != nullptr;
    const std::string_view companion = inverse ? "weight_scale_inv" : "weight_scale";
    layout_.scales = take(companion);
    take_unused("input_scale");
    take_unused("activation_scale");
    if (layout_.scales == nullptr) return;
    using Shape = std::vector<std::int64_t>;
    const TensorInfo& scales = layout_.scales->info;
    const Shape blocks = {ceil_div(layout_.rows, 128), ceil_div(layout_.cols, 128)};
    if (scales.dtype != DType::kF32 && scales.dtype != DType::kBf16) {
      problem(companion, fmt::format("is {}, wanted F32 or BF16", describe(scales)));
    } else if (scales.shape == blocks && (inverse || scales.element_count() != 1)) {
      layout_.fp8_scales = Fp8Scales::kBlock128;
    } else if (!inverse && scales.element_count() == 1) {
      layout_.fp8_scales = Fp8Scales::kPerTensor;
    } else if (!inverse &&
               (scales.shape == Shape{layout_.rows} || scales.shape == Shape{layout_.rows, 1})) {
      layout_.fp8_scales = Fp8Scales::kPerRow;
    } else {
      problem(companion,
              fmt::format("is {}, wanted {}{}", describe(scales),
                          inverse ? "" : fmt::format("one number, [{}] or ", layout_.rows),
                          describe_shape(blocks)));
    }
  }

  void leftovers() {
    for (std::size_t i = 0; i < kCompanions.size(); ++i) {
      if (found_[i] == nullptr || layout_.weight == nullptr) continue;
      problem(kCompanions[i], fmt::format("is left over: the module is {}", layout_name(layout_)));
    }
  }

  const TensorFiles& files_;
  std::vector<std::string>& problems_;
  std::size_t problems_before_;
  ModuleLayout layout_;
  std::array<const StoredTensor*, kCompanions.size()> found_{};
};

[[noreturn]] void refuse_scale(const TensorFiles& files, const StoredTensor& tensor,
                               std::size_t index, const std::string& seen) {
  throw Error(ErrorKind::kBadFile,
              fmt::format("{}: scale tensor '{}' holds {} at element {}, wanted finite values that "
                          "are not negative: the checkpoint is damaged or badly quantised",
                          files.file_of(tensor), tensor.info.name, seen, index));
}

void check_block_scales(const TensorFiles& files, const StoredTensor& tensor,
                        const std::byte* codes) {
  const auto count = static_cast<std::size_t>(tensor.info.bytes());
  // One pass that vectorises: codes from 0x7f up are NaN or carry the sign bit.
  unsigned worst = 0;
  for (std::size_t i = 0; i < count; ++i)
    worst |= static_cast<unsigned>(codes[i]) >= 0x7f ? 1u : 0u;
  if (worst == 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = static_cast<std::uint8_t>(codes[i]);
    if (code < 0x7f) continue;
    refuse_scale(files, tensor, i,
                 (code & 0x7f) == 0x7f ? "NaN" : fmt::format("{}", e4m3_to_float(code)));
  }
}

float read_global_scale(const TensorFiles& files, const StoredTensor& tensor) {
  const float value = read_floats(files, tensor)[0];
  // Its reciprocal must be a number too: kernels multiply where compressed-tensors divides.
  const bool usable = value > 0.0f && std::isfinite(value) && std::isfinite(1.0f / value);
  if (!usable) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: global scale '{}' is {}, wanted a finite number above 0",
                            files.file_of(tensor), tensor.info.name, value));
  }
  return value;
}

std::vector<float> read_fp8_scales(const TensorFiles& files, const StoredTensor& tensor) {
  std::vector<float> scales = read_floats(files, tensor);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    if (!(scales[i] >= 0.0f) || !std::isfinite(scales[i])) {
      refuse_scale(files, tensor, i, fmt::format("{}", scales[i]));
    }
  }
  return scales;
}

}  // namespace

std::int64_t ModuleLayout::bytes() const {
  std::int64_t total = weight->info.bytes();
  if (scales != nullptr) total += scales->info.bytes();
  if (global_scale != nullptr) total += global_scale->info.bytes();
  return total;
}

std::string layout_name(const ModuleLayout& layout) {
  switch (layout.format) {
    case MatrixFormat::kBf16:
      return "BF16";
    case MatrixFormat::kF16:
      return "F16";
    case MatrixFormat::kF32:
      return "F32";
    case MatrixFormat::kNvfp4:
      return layout.global_scale_rule == GlobalScale::kMultiplies ? "NVFP4 (ModelOpt)"
                                                                  : "NVFP4 (compressed-tensors)";
    case MatrixFormat::kFp8:
      break;
  }
  switch (layout.fp8_scales) {
    case Fp8Scales::kPerTensor:
      return "FP8 (per tensor)";
    case Fp8Scales::kPerRow:
      return "FP8 (per channel)";
    case Fp8Scales::kBlock128:
      return "FP8 (128x128 blocks)";
  }
  return "";
}

std::span<const std::string_view> module_companions() { return kCompanions; }

std::optional<ModuleLayout> find_module(const TensorFiles& files, const ModuleWanted& wanted,
                                        std::vector<std::string>& problems) {
  return ModuleFinder(files, wanted, problems).find();
}

std::vector<float> read_floats(const TensorFiles& files, const StoredTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.info.bytes()));
  files.read(tensor, bytes);
  std::vector<float> values(static_cast<std::size_t>(tensor.info.element_count()));
  if (tensor.info.dtype == DType::kF32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  NVLLM_CHECK(tensor.info.dtype == DType::kBf16 || tensor.info.dtype == DType::kF16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = tensor.info.dtype == DType::kBf16 ? to_float(Bf16{bits}) : f16_to_float(bits);
  }
  return values;
}

MatrixSource read_module(const TensorFiles& files, const ModuleLayout& layout) {
  MatrixSource matrix;
  matrix.name = layout.module;
  matrix.rows = layout.rows;
  matrix.cols = layout.cols;
  matrix.format = layout.format;
  matrix.fp8_scales = layout.fp8_scales;
  matrix.global_scale_rule = layout.global_scale_rule;
  const auto weight_bytes = static_cast<std::size_t>(layout.weight->info.bytes());
  const bool nvfp4 = layout.format == MatrixFormat::kNvfp4;
  // Block scales follow the codes in one allocation, on a boundary of their own.
  const auto scales_at = static_cast<std::size_t>(round_up(layout.weight->info.bytes(), 64));
  const std::size_t scale_bytes = nvfp4 ? static_cast<std::size_t>(layout.scales->info.bytes()) : 0;
  const auto buffer = std::make_shared<Buffer>(Buffer::host(scales_at + scale_bytes));
  auto* bytes = buffer->as<std::byte>();
  files.read(*layout.weight, {bytes, weight_bytes});
  matrix.data = bytes;
  matrix.keep_alive = buffer;
  if (nvfp4) {
    files.read(*layout.scales, {bytes + scales_at, scale_bytes});
    check_block_scales(files, *layout.scales, bytes + scales_at);
    matrix.block_scales = bytes + scales_at;
    matrix.global_scale = read_global_scale(files, *layout.global_scale);
  } else if (layout.format == MatrixFormat::kFp8) {
    matrix.scales = read_fp8_scales(files, *layout.scales);
  }
  return matrix;
}

void check_scales(const TensorFiles& files, const ModuleLayout& layout) {
  if (layout.format == MatrixFormat::kFp8) {
    read_fp8_scales(files, *layout.scales);
  } else if (layout.format == MatrixFormat::kNvfp4) {
    std::vector<std::byte> codes(static_cast<std::size_t>(layout.scales->info.bytes()));
    files.read(*layout.scales, codes);
    check_block_scales(files, *layout.scales, codes.data());
    read_global_scale(files, *layout.global_scale);
  }
}

}  // namespace nvllm::checkpoint
