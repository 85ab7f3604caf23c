#pragma once

#include <cstdint>

#include "tensor/buffer.h"
#include "tensor/matrix_source.h"

namespace nvllm::cpu {

/// How a matrix lies in memory for the vector kernels.
enum class PackedFormat { kNvfp4, kFp8, kBf16 };

/// Columns of one NVFP4 packing group: eight blocks of sixteen.
inline constexpr std::int64_t kGroupCols = 128;
/// Rows of one NVFP4 packing tile.
inline constexpr std::int64_t kTileRows = 4;

/// A matrix in the CPU's own form.
///   kNvfp4: codes [tiles, groups, 4 rows, 64 bytes] in the order the target's vectors unpack them,
///           scales E4M3 [tiles, groups, 4 rows, 8 blocks]; rows and columns padded with zeros.
///   kFp8:   codes [rows, padded cols] bytes; scales float [rows, groups].
///   kBf16:  [rows, padded cols], the padding zero.
/// F16 and F32 matrices become BF16 (rounded once), as the reference loads them.
struct PackedMatrix {
  PackedFormat format = PackedFormat::kBf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t padded_cols = 0;
  float global_scale = 1.0f;
  Buffer codes;
  Buffer scales;

  std::int64_t bytes() const { return static_cast<std::int64_t>(codes.bytes() + scales.bytes()); }
};

/// Packs for vectors of `lanes` floats (4, 8 or 16).
PackedMatrix pack_matrix(const MatrixSource& file, std::int64_t lanes);

/// Bytes pack_matrix will occupy, for planning.
std::int64_t packed_bytes(const MatrixSource& file);

/// The column within its group whose code sits at `byte`, `nibble` of a group's 64 bytes.
///
/// The kernel expands 4·lanes bytes at a time: low nibbles, then high; the lower, then the upper
/// eight bytes of every 16-byte part; of each byte pair the even, then the odd byte. That yields
/// 128 / lanes vectors; their lanes, read in order, are positions 0 … 127. Position p is element
/// p / 8 of block p % 8: neighbouring lanes belong to different blocks, so one vector of scales
/// serves the whole group.
std::int64_t nvfp4_group_col(std::int64_t byte, std::int64_t nibble, std::int64_t lanes);

}  // namespace nvllm::cpu
