#pragma once

// The product of each packed format: how it wants x, and how it multiplies. One file each.

#include <cstdint>

#include "kernels/cpu/matmul_sink.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/parts.h"

namespace nvllm::cpu {

/// Tokens whose expanded activations are kept in cache while weights stream past.
inline constexpr std::int64_t kTokenBlock = 24;

// expand_FORMAT: this worker's part of bringing x [tokens, cols] into the format's own form.
//   Shapes: `expanded` has 4 bytes for each of tokens * padded_cols and is aligned to 64.
// multiply_FORMAT: rows [rows.begin, rows.end) of y = x · Wᵀ into `sink`; x is what expand_FORMAT made.
//   Shapes: rows.begin is a multiple of kTileRows; rows.end may pass the last row.
//   The sum of an output is added up in one order, whatever the number of tokens.

void expand_nvfp4(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share);
void multiply_nvfp4(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink);

void expand_bf16(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share);
void multiply_bf16(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink);

void expand_fp8(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share);
void multiply_fp8(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink);

/// For kNvfp4Dot, kFp8Dot and kBf16Dot.
void expand_dot(std::byte* expanded, ConstRows x, PackedFormat format, std::int64_t padded_cols, Share& share);
void multiply_dot(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink);

}  // namespace nvllm::cpu
