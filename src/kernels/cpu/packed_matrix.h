#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cpu/simd_target.h"
#include "tensor/buffer.h"
#include "tensor/matrix_source.h"

namespace nvllm::cpu {

/// How a matrix lies in memory for the vector kernels. Those that end in Dot are for processors with
/// a BF16 dot instruction.
enum class PackedFormat { kNvfp4, kFp8, kBf16, kNvfp4Dot, kFp8Dot, kBf16Dot };

/// Columns of one NVFP4 packing group: eight blocks of sixteen.
inline constexpr std::int64_t kGroupCols = 128;
/// Rows of one NVFP4 packing tile.
inline constexpr std::int64_t kTileRows = 4;

/// A matrix in the CPU's own form.
///   kNvfp4: codes [tiles, groups, 4 rows, 64 bytes] in the order the target's vectors unpack them,
///           scales E4M3 [tiles, groups, 4 rows, 8 blocks]; rows and columns padded with zeros.
///   kNvfp4Dot: the same, the codes of a group in the order of nvfp4_dot_col.
///   kFp8, kFp8Dot: codes [rows, padded cols] bytes; scales float [rows, groups].
///   kBf16, kBf16Dot: [rows, padded cols], the padding zero.
/// F16 and F32 matrices become BF16 (rounded once), as the reference loads them.
struct PackedMatrix {
  PackedFormat format = PackedFormat::kBf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t padded_cols = 0;
  float global_scale = 1.0f;
  Buffer codes;
  Buffer scales;
  /// Owns the codes where they are the source's own bytes; null otherwise.
  std::shared_ptr<const void> source;

  std::int64_t bytes() const { return static_cast<std::int64_t>(codes.bytes() + scales.bytes()); }
};

/// Packs for the kernels of `target`. A BF16 matrix that needs no padding is taken over as it is, so that
/// the largest matrix of a small model, its embedding, is never in memory twice.
PackedMatrix pack_matrix(const MatrixSource& file, const SimdTarget& target);

/// Bytes pack_matrix will occupy, for planning.
std::int64_t packed_bytes(const MatrixSource& file);

/// One group of 128 activations as the NVFP4 kernels read them: block b, element e, is
/// values[e / 2][b][e % 2] * scales[b] * 512.
struct alignas(64) Nvfp4Group {
  std::int16_t values[kGroupCols];
  float scales[16];  ///< eight, twice: a vector of sixteen lanes meets every block twice
};

static_assert(sizeof(Nvfp4Group) <= 4 * kGroupCols, "x must fit where floats would");

/// The column within its group whose code sits at `byte`, `nibble` of a group's 64 bytes.
///
/// The kernel expands 4·lanes bytes at a time into four vectors of 2·lanes words: the even, then the
/// odd bytes' low nibbles, then the same of the high ones. Read in order, two words at a time, they
/// are positions 0 … 63, and position q holds elements 2·(q / 8) and 2·(q / 8) + 1 of block q % 8:
/// neighbouring 32-bit lanes belong to different blocks, so one vector of scales serves the group.
std::int64_t nvfp4_group_col(std::int64_t byte, std::int64_t nibble, std::int64_t lanes);

/// The same for kNvfp4Dot: as 16-bit words, the four nibbles of word i belong to columns i, 32 + i,
/// 64 + i and 96 + i, so that a vector of weights comes out in the order of x.
constexpr std::int64_t nvfp4_dot_col(std::int64_t byte, std::int64_t nibble) {
  return 64 * (byte % 2) + 32 * nibble + byte / 2;
}

}  // namespace nvllm::cpu
