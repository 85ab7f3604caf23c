#pragma once

// Words that treat every element or every row alone. Rows of views may lie apart; all memory is the device's.

#include <cstdint>

#include "kernels/cuda/dense_matrix.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/step_table.h"
#include "kernels/ops.h"
#include "tensor/dtype.h"
#include "tensor/view.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Rows here are what a step's rows are, [rows], in device memory.
///
/// out[t] = row rows[t].id of a BF16 table; ids outside it give row 0.
void embed(View<Bf16> out, const DenseView& table, const StepRow* rows, CUstream_st* stream);
/// The bits are those of a product's own norm (MatvecCall::norm) on the same device.
void rms_norm(View<Bf16> out, View<const Bf16> x, const DeviceNorm& norm, const DeviceFacts& device, CUstream_st* stream);
void head_norm(View<Bf16> x, std::int64_t heads, const DeviceNorm& norm, CUstream_st* stream);
/// Of add and swiglu, columns and strides are multiples of 8, and rows aligned to 16 bytes.
void add(View<Bf16> residual, View<const Bf16> x, CUstream_st* stream);
void add_bias(View<Bf16> x, const float* bias, CUstream_st* stream);
void add_bias(View<float> x, const float* bias, CUstream_st* stream);
void swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up, CUstream_st* stream);
void split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads, CUstream_st* stream);
void output_gate(View<Bf16> out, View<const Bf16> gate, CUstream_st* stream);
/// Cosines and sines of the rows' positions; `half_turns` a position is in device memory, [cosine.cols].
void rotary_angles(View<float> cosine, View<float> sine, const double* half_turns, double magnitude, const StepRow* rows, CUstream_st* stream);
void rope(View<Bf16> x, std::int64_t heads, RotaryTable<float> rotary, CUstream_st* stream);
/// out[i] = x[rows[i].wanted]. Must not alias.
void gather_rows(View<Bf16> out, View<const Bf16> x, const StepRow* rows, CUstream_st* stream);

/// A cache as write_kv needs it.
struct KvTarget {
  void* keys = nullptr;
  void* values = nullptr;
  KvFormat format = KvFormat::kBf16;
  std::int64_t block_count = 0, block_tokens = 0, kv_heads = 0, head_dim = 0;
  float key_scale = 1, value_scale = 1;
};
void write_kv(const KvTarget& cache, View<const Bf16> keys, View<const Bf16> values, const StepTable& step, const StepRow* rows,
              CUstream_st* stream);

}  // namespace nvllm::cuda
