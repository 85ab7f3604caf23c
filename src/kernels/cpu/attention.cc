// Rope, the KV write and paged attention. One row and head is one unit of work, summed in order of
// positions by one worker: the result cannot depend on the batch, the chunking or the block table.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parts.h"
#include "kernels/cpu/vector-inl.h"

#ifndef NVLLM_KERNELS_CPU_HEAD_TASK_
#define NVLLM_KERNELS_CPU_HEAD_TASK_
namespace nvllm::cpu {

/// Borrowed inputs of one row and head.
struct HeadTask {
  const Bf16* query;
  Bf16* out;
  std::int64_t kv_head;
  std::int64_t length;  ///< positions to attend to, the row's own included
  const KvCache<Bf16>* cache;
  std::span<const std::int32_t> blocks;
  float* scores;
};

}  // namespace nvllm::cpu
#endif  // once for all targets

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

void RopeHead(Bf16* head, const float* cosine, const float* sine, std::int64_t half) {
  for (std::int64_t j = 0; j < half; j += lanes()) {
    const std::int64_t left = half - j;
    const auto c = load_float(cosine + j, left), s = load_float(sine + j, left);
    const auto low = load_bf16(head + j, left), high = load_bf16(head + half + j, left);
    const auto turned_low = hn::Sub(round_bf16(hn::Mul(low, c)), round_bf16(hn::Mul(high, s)));
    const auto turned_high = hn::Add(round_bf16(hn::Mul(high, c)), round_bf16(hn::Mul(low, s)));
    store_bf16(turned_low, head + j, left);
    store_bf16(turned_high, head + half + j, left);
  }
}

HWY_INLINE float dot(const Bf16* a, const Bf16* b, std::int64_t count) {
  const FloatTag d;
  const std::int64_t n = lanes();
  FloatVec even = hn::Zero(d), odd = even;
  for (std::int64_t i = 0; i < count; i += 2 * n) {
    even = hn::MulAdd(load_bf16(a + i, count - i), load_bf16(b + i, count - i), even);
    if (i + n < count) {
      odd = hn::MulAdd(load_bf16(a + i + n, count - i - n), load_bf16(b + i + n, count - i - n), odd);
    }
  }
  return sum_lanes(hn::Add(even, odd));
}

/// Turns scores into weights that sum to one (but for rounding).
HWY_INLINE void softmax(float* scores, std::int64_t length) {
  const FloatTag d;
  float largest = -std::numeric_limits<float>::infinity();
  for (std::int64_t p = 0; p < length; ++p) largest = std::max(largest, scores[p]);
  const auto shift = hn::Set(d, largest);
  FloatVec sums = hn::Zero(d);
  std::int64_t p = 0;
  for (; p + lanes() <= length; p += lanes()) {
    const auto weight = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + p), shift));
    hn::StoreU(weight, d, scores + p);
    sums = hn::Add(sums, weight);
  }
  float sum = sum_lanes(sums);
  for (; p < length; ++p) {  // one lane at a time: the tail's zeros must not count as exp(0)
    scores[p] = hn::GetLane(hn::Exp(d, hn::Set(d, scores[p] - largest)));
    sum += scores[p];
  }
  const auto scale = hn::Set(d, 1.0f / sum);
  for (p = 0; p < length; p += lanes()) {
    store_float(hn::Mul(load_float(scores + p, length - p), scale), scores + p, length - p);
  }
}

/// out = sum over positions of weight * value, four vectors of columns at a time.
HWY_INLINE void mix_values(const HeadTask& task, std::int64_t dim) {
  const FloatTag d;
  const std::int64_t n = lanes(), block_tokens = task.cache->block_tokens;
  for (std::int64_t col = 0; col < dim; col += 4 * n) {
    FloatVec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (std::int64_t p = 0; p < task.length;) {
      const Bf16* value = task.cache->values + task.cache->offset(task.blocks, p, task.kv_head) + col;
      const std::int64_t end = std::min(task.length, (p / block_tokens + 1) * block_tokens);
      for (; p < end; ++p, value += dim) {
        const auto weight = hn::Set(d, task.scores[p]);
        s0 = hn::MulAdd(weight, load_bf16(value, dim - col), s0);
        s1 = hn::MulAdd(weight, load_bf16(value + n, dim - col - n), s1);
        s2 = hn::MulAdd(weight, load_bf16(value + 2 * n, dim - col - 2 * n), s2);
        s3 = hn::MulAdd(weight, load_bf16(value + 3 * n, dim - col - 3 * n), s3);
      }
    }
    store_bf16(s0, task.out + col, dim - col);
    store_bf16(s1, task.out + col + n, dim - col - n);
    store_bf16(s2, task.out + col + 2 * n, dim - col - 2 * n);
    store_bf16(s3, task.out + col + 3 * n, dim - col - 3 * n);
  }
}

void AttendHead(const HeadTask& task, std::int64_t dim) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  const std::int64_t block_tokens = task.cache->block_tokens;
  for (std::int64_t p = 0; p < task.length;) {
    const Bf16* key = task.cache->keys + task.cache->offset(task.blocks, p, task.kv_head);
    const std::int64_t end = std::min(task.length, (p / block_tokens + 1) * block_tokens);
    for (; p < end; ++p, key += dim) task.scores[p] = dot(task.query, key, dim) * scale;
  }
  softmax(task.scores, task.length);
  mix_values(task, dim);
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(RopeHead);
HWY_EXPORT(AttendHead);

namespace {

/// Calls `use(segment, row, position)` for every row of the step that lies in `rows`.
template <class Use>
void for_rows(std::span<const Segment> segments, Share::Range rows, Use&& use) {
  for (const Segment& segment : segments) {
    const std::int64_t begin = std::max(rows.begin, segment.first_row);
    const std::int64_t end = std::min(rows.end, segment.first_row + segment.token_count);
    for (std::int64_t row = begin; row < end; ++row) {
      use(segment, row, segment.start + row - segment.first_row);
    }
  }
}

}  // namespace

void rope_part(Rows x, std::int64_t heads, std::int64_t rotary_dims, const RotaryTable<float>& rotary, Share& share) {
  const std::int64_t dim = x.cols / heads;
  const Share::Range units = share.part(x.rows * heads);
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const std::int64_t t = unit / heads;
    HWY_DYNAMIC_DISPATCH(RopeHead)
    (x.row(t) + unit % heads * dim, rotary.cosine.row(t), rotary.sine.row(t), rotary_dims / 2);
  }
}

void write_kv_part(const KvCache<Bf16>& cache, std::span<const Segment> segments, ConstRows keys,
                   ConstRows values, Share& share) {
  for_rows(segments, share.part(keys.rows), [&](const Segment& segment, std::int64_t row, std::int64_t position) {
    for (std::int64_t h = 0; h < cache.kv_heads; ++h) {
      const std::int64_t to = cache.offset(segment.blocks, position, h);
      std::copy_n(keys.row(row) + h * cache.head_dim, cache.head_dim, cache.keys + to);
      std::copy_n(values.row(row) + h * cache.head_dim, cache.head_dim, cache.values + to);
    }
  });
}

void attention_part(Rows out, ConstRows query, const AttentionShape& shape, const KvCache<Bf16>& cache,
                    std::span<const Segment> segments, float* scores, Share& share) {
  const std::int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  const Share::Range units = share.part(out.rows * shape.heads);
  // Units are (row, head); a worker's first and last row may be only partly its own.
  const Share::Range rows{units.begin / shape.heads, (units.end + shape.heads - 1) / shape.heads};
  for_rows(segments, rows, [&](const Segment& segment, std::int64_t row, std::int64_t position) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const std::int64_t unit = row * shape.heads + h;
      if (unit < units.begin || unit >= units.end) continue;
      HWY_DYNAMIC_DISPATCH(AttendHead)
      (HeadTask{.query = query.row(row) + h * dim, .out = out.row(row) + h * dim, .kv_head = h / group,
                .length = position + 1, .cache = &cache, .blocks = segment.blocks, .scores = scores},
       dim);
    }
  });
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
