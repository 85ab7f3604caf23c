// Words that treat every element alone: embedding copy, add, SwiGLU, gates.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/parts.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

void AddRow(Bf16* to, const Bf16* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes()) {
    store_bf16(hn::Add(load_bf16(to + i, count - i), load_bf16(x + i, count - i)), to + i, count - i);
  }
}

void SwigluRow(Bf16* out, const Bf16* gate, const Bf16* up, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes()) {
    const auto activated = round_bf16(silu(load_bf16(gate + i, count - i)));
    store_bf16(hn::Mul(activated, load_bf16(up + i, count - i)), out + i, count - i);
  }
}

void GateRow(Bf16* out, const Bf16* gate, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes()) {
    const auto open = round_bf16(sigmoid(load_bf16(gate + i, count - i)));
    store_bf16(hn::Mul(load_bf16(out + i, count - i), open), out + i, count - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <algorithm>

#include "base/check.h"

namespace nvllm::cpu {

HWY_EXPORT(AddRow);
HWY_EXPORT(SwigluRow);
HWY_EXPORT(GateRow);

void embed_part(Rows out, const PackedMatrix& table, std::span<const std::int32_t> ids, Share& share) {
  NVLLM_CHECK(table.format == PackedFormat::kBf16 || table.format == PackedFormat::kBf16Dot);
  const Share::Range rows = share.part(out.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    const std::int32_t id = ids[static_cast<std::size_t>(t)];
    NVLLM_CHECK(id >= 0 && id < table.rows);
    std::copy_n(table.codes.as<Bf16>() + id * table.padded_cols, table.cols, out.row(t));
  }
}

void add_part(Rows residual, ConstRows x, Share::Range cols) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    HWY_DYNAMIC_DISPATCH(AddRow)(residual.row(t) + cols.begin, x.row(t) + cols.begin, cols.end - cols.begin);
  }
}

void swiglu_part(Rows out, ConstRows gate, ConstRows up, Share::Range cols) {
  for (std::int64_t t = 0; t < out.rows; ++t) {
    HWY_DYNAMIC_DISPATCH(SwigluRow)
    (out.row(t) + cols.begin, gate.row(t) + cols.begin, up.row(t) + cols.begin, cols.end - cols.begin);
  }
}

void split_gate_part(Rows query, Rows gate, ConstRows both, std::int64_t heads, Share& share) {
  const std::int64_t dim = query.cols / heads;
  const Share::Range units = share.part(both.rows * heads);
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const std::int64_t t = unit / heads, h = unit % heads;
    std::copy_n(both.row(t) + 2 * h * dim, dim, query.row(t) + h * dim);
    std::copy_n(both.row(t) + (2 * h + 1) * dim, dim, gate.row(t) + h * dim);
  }
}

void output_gate_part(Rows out, ConstRows gate, Share& share) {
  const Share::Range rows = share.part(out.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    HWY_DYNAMIC_DISPATCH(GateRow)(out.row(t), gate.row(t), out.cols);
  }
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
