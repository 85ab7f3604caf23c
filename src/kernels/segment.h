#pragma once

#include <cstdint>
#include <span>

namespace nvllm {

/// One sequence's share of a step: `token_count` consecutive rows of the step's activations.
///   Invariant: its slot's contents are meaningful iff start > 0. A kernel given start == 0 must
///   take zeros by selection and never read the slot.
struct Segment {
  std::int64_t first_row = 0;
  std::int64_t token_count = 0;
  std::int64_t start = 0;  ///< position of the first row = tokens already in KV blocks and slot
  std::int32_t slot = -1;  ///< recurrent-state slot; -1 for models without one
  std::uint64_t slot_epoch = 0;  ///< which tenancy of the slot this is; checked by runners
  std::span<const std::int32_t> blocks;  ///< KV block table, in order of position
};

/// The paged keys and values of one attention layer.
///   Layout: keys and values [blocks, kv_heads, block_tokens, head_dim], row-major.
template <class T>
struct KvCache {
  T* keys = nullptr;
  T* values = nullptr;
  std::int64_t block_count = 0;
  std::int64_t block_tokens = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  float key_scale = 1, value_scale = 1;  ///< of elements of one byte: times these they are the numbers

  /// Elements from the start of `keys` (or `values`) to one head's vector at one position.
  std::int64_t offset(std::span<const std::int32_t> blocks, std::int64_t position, std::int64_t head) const {
    const std::int64_t block = blocks[static_cast<std::size_t>(position / block_tokens)];
    return ((block * kv_heads + head) * block_tokens + position % block_tokens) * head_dim;
  }
};

/// The recurrent state of one Gated DeltaNet layer, by slot.
///   Layout: conv [slots, taps - 1, channels], oldest row first; recurrent
///   [slots, value_heads, key_dim, value_dim].
template <class Conv, class Recurrent>
struct DeltaState {
  Conv* conv = nullptr;
  Recurrent* recurrent = nullptr;
  std::int64_t slot_count = 0;
};

/// The head geometry of a Gated DeltaNet layer.
struct DeltaShape {
  std::int64_t key_heads = 0;
  std::int64_t value_heads = 0;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t conv_taps = 0;

  constexpr std::int64_t channels() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
  constexpr std::int64_t recurrent_elements() const { return value_heads * key_dim * value_dim; }
  constexpr std::int64_t conv_elements() const { return (conv_taps - 1) * channels(); }
};

/// The head geometry of a full-attention layer.
struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t rotary_dims = 0;
};

}  // namespace nvllm
