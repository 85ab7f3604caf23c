#include "kernels/cpu/packed_matrix.h"

#include <array>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "tensor/dtype.h"

namespace nvllm::cpu {

namespace {

constexpr std::uintptr_t kAlignment = 64;
constexpr std::int64_t kBf16Step = 32;  // covers an even and an odd vector of any target

struct Layout {
  PackedFormat format;
  std::int64_t padded_cols;
  std::int64_t code_bytes;
  std::int64_t scale_bytes;
};

Layout layout_of(const MatrixSource& file, const SimdTarget& target) {
  const std::int64_t groups = ceil_div(file.cols, kGroupCols);
  switch (file.format) {
    case MatrixFormat::kNvfp4: {
      const std::int64_t padded_rows = round_up(file.rows, kTileRows);
      return {target.bf16_dot ? PackedFormat::kNvfp4Dot : PackedFormat::kNvfp4, groups * kGroupCols, padded_rows * groups * 64, padded_rows * groups * 8};
    }
    case MatrixFormat::kFp8:
      return {target.bf16_dot ? PackedFormat::kFp8Dot : PackedFormat::kFp8, groups * kGroupCols, file.rows * groups * kGroupCols, file.rows * groups * 4};
    default: break;
  }
  const std::int64_t padded = round_up(file.cols, kBf16Step);
  return {target.bf16_dot ? PackedFormat::kBf16Dot : PackedFormat::kBf16, padded, file.rows * padded * 2, 0};
}

void pack_nvfp4(const MatrixSource& file, std::int64_t lanes, PackedMatrix& out) {
  std::array<std::uint8_t, 128> col_of{};  // [byte * 2 + nibble]
  for (std::int64_t i = 0; i < 128; ++i) {
    const std::int64_t col =
        out.format == PackedFormat::kNvfp4Dot ? nvfp4_dot_col(i / 2, i % 2) : nvfp4_group_col(i / 2, i % 2, lanes);
    col_of[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(col);
  }
  const std::int64_t groups = out.padded_cols / kGroupCols;
  const std::int64_t row_bytes = file.cols / 2, row_blocks = file.cols / 16;
  auto* codes = out.codes.as<std::uint8_t>();
  auto* scales = out.scales.as<std::uint8_t>();
  std::array<std::uint8_t, 64> source{};
  for (std::int64_t row = 0; row < file.rows; ++row) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t have = std::min<std::int64_t>(64, row_bytes - g * 64);
      source.fill(0);
      std::memcpy(source.data(), file.data + row * row_bytes + g * 64, static_cast<std::size_t>(have));
      const std::int64_t cell = (row / kTileRows * groups + g) * kTileRows + row % kTileRows;
      for (std::int64_t byte = 0; byte < 64; ++byte) {
        const auto nibble_at = [&](std::int64_t nibble) {
          const std::uint8_t col = col_of[static_cast<std::size_t>(byte * 2 + nibble)];
          return static_cast<std::uint8_t>((source[col / 2] >> (col % 2 * 4)) & 15);
        };
        codes[cell * 64 + byte] = static_cast<std::uint8_t>(nibble_at(0) | nibble_at(1) << 4);
      }
      const std::int64_t blocks = std::min<std::int64_t>(8, row_blocks - g * 8);
      std::memcpy(scales + cell * 8, file.block_scales + row * row_blocks + g * 8,
                  static_cast<std::size_t>(blocks));
    }
  }
  out.global_scale = file.global_scale_rule == GlobalScale::kMultiplies ? file.global_scale
                                                                        : 1.0f / file.global_scale;
}

void pack_fp8(const MatrixSource& file, PackedMatrix& out) {
  const std::int64_t groups = out.padded_cols / kGroupCols;
  for (std::int64_t row = 0; row < file.rows; ++row) {
    std::memcpy(out.codes.as<std::byte>() + row * out.padded_cols, file.data + row * file.cols,
                static_cast<std::size_t>(file.cols));
    for (std::int64_t g = 0; g < groups; ++g) {
      std::size_t index = 0;
      if (file.fp8_scales == Fp8Scales::kPerRow) index = static_cast<std::size_t>(row);
      if (file.fp8_scales == Fp8Scales::kBlock128) index = static_cast<std::size_t>(row / 128 * groups + g);
      out.scales.as<float>()[row * groups + g] = file.scales[index];
    }
  }
}

void pack_bf16(const MatrixSource& file, PackedMatrix& out) {
  auto* to = out.codes.as<Bf16>();
  std::vector<float> values(static_cast<std::size_t>(file.cols));
  for (std::int64_t row = 0; row < file.rows; ++row) {
    if (file.format == MatrixFormat::kBf16) {
      std::memcpy(to + row * out.padded_cols, file.data + row * file.cols * 2,
                  static_cast<std::size_t>(file.cols * 2));
      continue;
    }
    dequantise_row(file, row, values);
    for (std::int64_t col = 0; col < file.cols; ++col) {
      to[row * out.padded_cols + col] = to_bf16(values[static_cast<std::size_t>(col)]);
    }
  }
}

/// Whether the source's bytes are what the kernels read, at an address they may read from.
bool may_take_over(const MatrixSource& file, const Layout& layout) {
  return file.format == MatrixFormat::kBf16 && layout.padded_cols == file.cols && file.keep_alive != nullptr &&
         reinterpret_cast<std::uintptr_t>(file.data) % kAlignment == 0;
}

PackedMatrix taken_over(const MatrixSource& file, const Layout& layout) {
  // Kernels never write to codes, and `source` frees them.
  void* bytes = const_cast<std::byte*>(file.data);
  return {.format = layout.format, .rows = file.rows, .cols = file.cols, .padded_cols = layout.padded_cols,
          .global_scale = 1.0f,
          .codes = Buffer(bytes, static_cast<std::size_t>(layout.code_bytes), [](void*, std::size_t) {}),
          .scales = {}, .source = file.keep_alive};
}

}  // namespace

std::int64_t nvfp4_group_col(std::int64_t byte, std::int64_t nibble, std::int64_t lanes) {
  const std::int64_t chunk = byte / (4 * lanes), in_chunk = byte % (4 * lanes);
  const std::int64_t vector = chunk * 4 + nibble * 2 + in_chunk % 2;
  const std::int64_t position = vector * lanes + in_chunk / 4;
  return position % 8 * 16 + position / 8 * 2 + in_chunk % 4 / 2;
}

PackedMatrix pack_matrix(const MatrixSource& file, const SimdTarget& target) {
  const Layout layout = layout_of(file, target);
  if (may_take_over(file, layout)) return taken_over(file, layout);
  PackedMatrix out{.format = layout.format, .rows = file.rows, .cols = file.cols,
                   .padded_cols = layout.padded_cols, .global_scale = 1.0f,
                   .codes = Buffer::host(static_cast<std::size_t>(layout.code_bytes)),
                   .scales = Buffer::host(static_cast<std::size_t>(layout.scale_bytes)), .source = nullptr};
  switch (layout.format) {
    case PackedFormat::kNvfp4:
    case PackedFormat::kNvfp4Dot: pack_nvfp4(file, target.lanes, out); break;
    case PackedFormat::kFp8:
    case PackedFormat::kFp8Dot: pack_fp8(file, out); break;
    case PackedFormat::kBf16:
    case PackedFormat::kBf16Dot: pack_bf16(file, out); break;
  }
  return out;
}

std::int64_t packed_bytes(const MatrixSource& file) {
  const Layout layout = layout_of(file, simd_target());
  return layout.code_bytes + layout.scale_bytes;
}

}  // namespace nvllm::cpu
