#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "support/device.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

constexpr int kBlockTokens = 16;

/// A model's attention in the ways that kernels tell apart.
struct Shape {
  int heads, kv_heads, head_dim, rotary_dims;
  KvFormat format;
  bool gate, norm, rope;
};

/// One sequence of a step: `count` new rows after `start` cached ones. Count 0: only padding.
struct Sequence {
  int start, count;
  std::uint64_t seed;
};

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// A step's inputs, the oracle's answer, and the device's. The caches hold NaN but for the sequences' own positions.
class Step {
 public:
  Step(const Shape& shape, std::vector<Sequence> sequences) : shape_(shape), sequences_(std::move(sequences)) {
    for (const Sequence& s : sequences_) {
      rows_ += s.count;
      blocks_per_lane_ = std::max(blocks_per_lane_, (s.start + s.count + kBlockTokens - 1) / kBlockTokens);
    }
    blocks_per_lane_ = std::max(blocks_per_lane_, 1);
    const int lanes = static_cast<int>(sequences_.size());
    block_count_ = lanes * blocks_per_lane_ + 3;
    blocks_.resize(at(lanes * blocks_per_lane_));
    for (std::size_t i = 0; i < blocks_.size(); ++i) {  // scattered; the rest of every table is out of range
      blocks_[i] = static_cast<std::int32_t>((i * 7919 + 1) % blocks_.size() + 2);
    }
    fill();
  }

  /// Heads as the device's kernels see them after norm and rope.
  std::vector<double> prepared(const std::vector<Bf16>& rows, int heads, int stride, int head_stride, const std::vector<float>& gain) const {
    std::vector<double> out;
    for (int r = 0; r < rows_; ++r) {
      for (int h = 0; h < heads; ++h) {
        std::vector<double> head(at(shape_.head_dim));
        for (int d = 0; d < shape_.head_dim; ++d) head[at(d)] = to_float(rows[at(static_cast<std::int64_t>(r) * stride + h * head_stride + d)]);
        if (!gain.empty()) normalise(head, gain);
        if (shape_.rope) turn(head, r);
        out.insert(out.end(), head.begin(), head.end());
      }
    }
    return out;
  }

  double kept(double value, float scale) const {
    if (shape_.format == KvFormat::kBf16) return value;
    return static_cast<double>(e4m3_to_float(float_to_e4m3(static_cast<float>(value) / scale))) * scale;
  }

  /// The oracle's answer, [rows, heads * head_dim]; rounded only where every backend rounds what others read.
  std::vector<double> want() const {
    const int dim = shape_.head_dim, heads = shape_.heads, kv_heads = shape_.kv_heads;
    std::vector<double> query = prepared(query_, heads, query_stride(), head_stride(), q_gain_);
    std::vector<double> key(at(static_cast<std::int64_t>(rows_) * kv_heads * dim));
    std::vector<double> value(at(static_cast<std::int64_t>(rows_) * kv_heads * dim));
    for (std::size_t i = 0; i < value.size(); ++i) {
      value[i] = kept(to_float(value_[i]), kValueScale);
    }
    // Attention is held to the keys that the device keeps, and those to the oracle's by check_cache: a key that rounds
    // the other way moves a score by more than attention itself may.
    for (std::size_t lane = 0, r = 0; lane < sequences_.size(); ++lane) {
      for (int i = 0; i < sequences_[lane].count; ++i, ++r) {
        for (int h = 0; h < kv_heads; ++h) {
          for (int d = 0; d < dim; ++d) {
            key[(r * at(kv_heads) + at(h)) * at(dim) + at(d)] = decoded(keys_after_, place(lane, sequences_[lane].start + i, h) + at(d), kKeyScale);
          }
        }
      }
    }
    std::vector<double> keys = keys_, values = values_;
    for (const auto& [lane, index, id] : lost_) {
      for (int h = 0; h < kv_heads; ++h) {
        const std::size_t from = place(lane, index * kBlockTokens, h);
        std::fill_n(keys.begin() + static_cast<std::ptrdiff_t>(from), kBlockTokens * dim, 0.0);
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(from), kBlockTokens * dim, 0.0);
      }
    }
    std::vector<Segment> segments;
    int row = 0;
    for (std::size_t lane = 0; lane < sequences_.size(); ++lane) {
      const Sequence& s = sequences_[lane];
      segments.push_back({.first_row = row, .token_count = s.count, .start = s.start,
                          .blocks = std::span(blocks_).subspan(lane * at(blocks_per_lane_), at(blocks_per_lane_))});
      row += s.count;
    }
    AttentionContext<ReferenceOps> context{
        .shape = {heads, kv_heads, dim, shape_.rotary_dims}, .segments = segments,
        .cache = {keys.data(), values.data(), block_count_, kBlockTokens, kv_heads, dim}, .rotary = {}};
    std::vector<double> out(at(static_cast<std::int64_t>(rows_) * heads * dim));
    ReferenceOps ops;
    ops.write_kv(context, View<const double>(key.data(), rows_, kv_heads * dim), View<const double>(value.data(), rows_, kv_heads * dim));
    ops.paged_attention(View<double>(out.data(), rows_, heads * dim), View<const double>(query.data(), rows_, heads * dim), context);
    if (!shape_.gate) return out;
    std::vector<double> gate(out.size());
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t i = 0; i < heads * dim; ++i) {
        gate[at(r * heads * dim + i)] = to_float(query_[at(r * query_stride() + i / dim * 2 * dim + dim + i % dim)]);
      }
    }
    ops.output_gate(View<double>(out.data(), rows_, heads * dim), View<const double>(gate.data(), rows_, heads * dim));
    return out;
  }

  int chunk_tokens = 0;  ///< StepTable::chunk_tokens
  AttentionForm form = AttentionForm::kRuns;  ///< of decode

  /// The device's table gets a block that the cache does not have, in the place of one that holds cached positions alone;
  /// the oracle sees zeros there.
  void lose_block(std::size_t lane, int index, std::int32_t id) { lost_.push_back({lane, index, id}); }

  /// The device's answer. Padding lanes have count 0; `split` cuts every prefill into pieces of so many rows, 0 asks for decode.
  std::vector<Bf16> got(int split = 0) {
    const int dim = shape_.head_dim, out_cols = shape_.heads * dim;
    const auto device = [](const auto& host) {
      DeviceBuffer buffer(static_cast<std::int64_t>(std::max<std::size_t>(host.size(), 1) * sizeof(host[0])));
      if (!host.empty()) buffer.upload(host.data(), static_cast<std::int64_t>(host.size() * sizeof(host[0])));
      return buffer;
    };
    const std::vector<std::uint8_t> keys_coded = coded(keys_, kKeyScale), values_coded = coded(values_, kValueScale);
    std::vector<std::int32_t> known_blocks = blocks_;
    for (const auto& [lane, index, id] : lost_) known_blocks[lane * at(blocks_per_lane_) + at(index)] = id;
    const DeviceBuffer query = device(query_), key = device(key_), value = device(value_), q_gain = device(q_gain_), k_gain = device(k_gain_),
                       cosine = device(cosine_), sine = device(sine_), blocks = device(known_blocks);
    DeviceBuffer keys = device(keys_coded), values = device(values_coded);
    std::vector<Lane> lanes;
    int row = 0;
    for (const Sequence& s : sequences_) {
      lanes.push_back({.first_row = s.count > 0 ? row : 0, .token_count = s.count, .start = s.start, .slot = -1});
      row += s.count;
    }
    const DeviceBuffer lanes_device = device(lanes), chunk_device = device(std::vector<int>{chunk_tokens});
    DeviceBuffer out(std::max<std::int64_t>(rows_, 1) * out_cols * 2 + 64);
    out.fill(0xff);
    AttentionArguments a;
    a.geometry = {shape_.heads, shape_.kv_heads, dim, shape_.rotary_dims, kBlockTokens};
    a.query = query.as<Bf16>();
    a.query_stride = query_stride();
    a.key = key.as<Bf16>();
    a.value = value.as<Bf16>();
    a.key_stride = a.value_stride = shape_.kv_heads * dim;
    a.has_gate = shape_.gate;
    if (shape_.norm) {
      a.q_norm = {.gain = q_gain.as<float>(), .epsilon = 1e-6f, .zero_centred = zero_centred()};
      a.k_norm = {.gain = k_gain.as<float>(), .epsilon = 1e-6f, .zero_centred = zero_centred()};
    }
    if (shape_.rope) {
      a.cosine = cosine.as<float>();
      a.sine = sine.as<float>();
    }
    a.keys = keys.as<void>();
    a.values = values.as<void>();
    a.format = shape_.format;
    a.block_count = block_count_;
    if (shape_.format == KvFormat::kFp8) {
      a.key_scale = kKeyScale;
      a.value_scale = kValueScale;
    }
    a.step = {lanes_device.as<Lane>(), blocks.as<std::int32_t>(), blocks_per_lane_, static_cast<int>(lanes.size()), chunk_device.as<int>()};
    a.out = out.as<Bf16>();
    a.out_stride = out_cols;
    if (split == 0) {
      const AttentionWorkspace workspace(a.geometry, a.step.lane_count);
      attention_decode(a, form, workspace, nullptr);
    } else {
      for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
        for (int done = 0; done < lanes[lane].token_count; done += split) {
          Lane part = lanes[lane];
          part.first_row += done;
          part.start += done;
          part.token_count = std::min(split, part.token_count - done);
          attention_prefill(a, part, static_cast<int>(lane), nullptr);
        }
      }
    }
    keys_after_.resize(keys_coded.size());
    values_after_.resize(values_coded.size());
    keys.download(keys_after_.data(), static_cast<std::int64_t>(keys_coded.size()));
    values.download(values_after_.data(), static_cast<std::int64_t>(values_coded.size()));
    std::vector<Bf16> result(at(static_cast<std::int64_t>(rows_) * out_cols));
    if (rows_ > 0) out.download(result.data(), static_cast<std::int64_t>(result.size()) * 2);
    std::vector<std::uint8_t> beyond(64);
    out.download(beyond.data(), 64, std::max<std::int64_t>(rows_, 1) * out_cols * 2);
    EXPECT_TRUE(std::all_of(beyond.begin(), beyond.end(), [](std::uint8_t byte) { return byte == 0xff; })) << "wrote beyond its rows";
    check_cache(keys_coded, values_coded);
    return result;
  }

  /// Everything that no new row owns is as it was, and every new row's key and value are what the oracle keeps.
  void check_cache(const std::vector<std::uint8_t>& keys_before, const std::vector<std::uint8_t>& values_before) const {
    const std::size_t bytes = shape_.format == KvFormat::kFp8 ? 1 : 2;
    std::vector<bool> fresh(keys_before.size() / bytes);
    const std::vector<double> key = prepared(key_, shape_.kv_heads, shape_.kv_heads * shape_.head_dim, shape_.head_dim, k_gain_);
    int row = 0;
    for (std::size_t lane = 0; lane < sequences_.size(); ++lane) {
      for (int i = 0; i < sequences_[lane].count; ++i, ++row) {
        for (int h = 0; h < shape_.kv_heads; ++h) {
          for (int d = 0; d < shape_.head_dim; ++d) {
            const std::size_t to = place(lane, sequences_[lane].start + i, h) + at(d);
            const std::size_t from = at((static_cast<std::int64_t>(row) * shape_.kv_heads + h) * shape_.head_dim + d);
            fresh[to] = true;
            const double want_key = kept(key[from], kKeyScale), want_value = kept(to_float(value_[from]), kValueScale);
            // A norm in float may round the other way: one step of either format.
            ASSERT_NEAR(decoded(keys_after_, to, kKeyScale), want_key, std::abs(want_key) * (bytes == 1 ? 0.126 : 0.0079) + 1e-3);
            ASSERT_EQ(decoded(values_after_, to, kValueScale), want_value);
          }
        }
      }
    }
    for (std::size_t i = 0; i < keys_before.size(); ++i) {
      if (fresh[i / bytes]) continue;
      ASSERT_EQ(keys_after_[i], keys_before[i]) << i;
      ASSERT_EQ(values_after_[i], values_before[i]) << i;
    }
  }

  void expect_close(const std::vector<Bf16>& got) const {
    const std::vector<double> expected = want();
    ASSERT_EQ(got.size(), expected.size());
    // Half a step of BF16 for what is attended, for the gate and for their product: 2^-9 each. Queries and keys may
    // have rounded the other way, which moves scores by some 2^-8 / sqrt(head_dim).
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_LE(std::abs(to_float(got[i]) - expected[i]), 0.007 * std::abs(expected[i]) + 0.0015)
          << i << ": " << to_float(got[i]) << " for " << expected[i] << ", row " << i / at(shape_.heads * shape_.head_dim);
    }
  }

  [[nodiscard]] int out_cols() const { return shape_.heads * shape_.head_dim; }
  [[nodiscard]] int block_count() const { return block_count_; }

 private:
  static constexpr float kKeyScale = 0.0123f, kValueScale = 0.0071f;

  bool zero_centred() const { return shape_.head_dim != 128; }
  int head_stride() const { return shape_.head_dim * (shape_.gate ? 2 : 1); }
  int query_stride() const { return shape_.heads * head_stride(); }

  std::size_t place(std::size_t lane, int position, int head) const {
    const std::int64_t block = blocks_[lane * at(blocks_per_lane_) + at(position / kBlockTokens)];
    return at(((block * shape_.kv_heads + head) * kBlockTokens + position % kBlockTokens) * shape_.head_dim);
  }

  void fill() {
    const int dim = shape_.head_dim, half = shape_.rotary_dims / 2;
    const std::size_t elements = at(static_cast<std::int64_t>(block_count_) * shape_.kv_heads * kBlockTokens * dim);
    keys_.assign(elements, std::nan(""));
    values_ = keys_;
    if (shape_.norm) {
      q_gain_ = test::random_floats(dim, 21, 0.5f);
      k_gain_ = test::random_floats(dim, 22, 0.5f);
      if (!zero_centred()) {
        for (float& g : q_gain_) g += 1.2f;
        for (float& g : k_gain_) g += 1.2f;
      }
    }
    const auto append = [](std::vector<Bf16>& to, std::int64_t count, std::uint64_t seed, float scale) {
      const std::vector<Bf16> more = test::random_rows(count, seed, scale);
      to.insert(to.end(), more.begin(), more.end());
    };
    for (std::size_t lane = 0; lane < sequences_.size(); ++lane) {
      const Sequence& s = sequences_[lane];
      append(query_, static_cast<std::int64_t>(s.count) * query_stride(), s.seed, 2.0f);
      append(key_, static_cast<std::int64_t>(s.count) * shape_.kv_heads * dim, s.seed + 1, 1.5f);
      append(value_, static_cast<std::int64_t>(s.count) * shape_.kv_heads * dim, s.seed + 2, 1.0f);
      for (int i = 0; i < s.count; ++i) {
        for (int j = 0; j < half; ++j) {
          const double angle = (s.start + i) * std::pow(10000.0, -static_cast<double>(j) / half);
          cosine_.push_back(static_cast<float>(std::cos(angle)));
          sine_.push_back(static_cast<float>(std::sin(angle)));
        }
      }
      test::Random random(s.seed + 3);
      for (int position = 0; position < (s.count > 0 ? s.start : 0); ++position) {
        for (int h = 0; h < shape_.kv_heads; ++h) {
          for (int d = 0; d < dim; ++d) {
            keys_[place(lane, position, h) + at(d)] = kept(round_to_bf16(1.5f * random.next()), kKeyScale);
            values_[place(lane, position, h) + at(d)] = kept(round_to_bf16(random.next()), kValueScale);
          }
        }
      }
    }
  }

  void normalise(std::vector<double>& head, const std::vector<float>& gain) const {
    const double squares = std::inner_product(head.begin(), head.end(), head.begin(), 0.0);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(head.size()) + 1e-6);
    for (std::size_t d = 0; d < head.size(); ++d) {
      const double unit = head[d] * scale;
      head[d] = zero_centred() ? round_to_bf16(static_cast<float>(unit * (1.0 + gain[d])))
                               : round_to_bf16(gain[d] * round_to_bf16(static_cast<float>(unit)));
    }
  }

  void turn(std::vector<double>& head, int row) const {
    const std::size_t half = at(shape_.rotary_dims / 2);
    for (std::size_t j = 0; j < half; ++j) {
      const float c = cosine_[at(row) * half + j], s = sine_[at(row) * half + j];
      const auto low = static_cast<float>(head[j]), high = static_cast<float>(head[half + j]);
      head[j] = round_to_bf16(round_to_bf16(low * c) - round_to_bf16(high * s));
      head[half + j] = round_to_bf16(round_to_bf16(high * c) + round_to_bf16(low * s));
    }
  }

  std::vector<std::uint8_t> coded(const std::vector<double>& cache, float scale) const {
    std::vector<std::uint8_t> out;
    for (const double value : cache) {
      if (shape_.format == KvFormat::kFp8) {
        out.push_back(float_to_e4m3(static_cast<float>(value / scale)));
      } else {
        const Bf16 code = to_bf16(static_cast<float>(value));
        out.push_back(static_cast<std::uint8_t>(code.bits & 255));
        out.push_back(static_cast<std::uint8_t>(code.bits >> 8));
      }
    }
    return out;
  }

  double decoded(const std::vector<std::uint8_t>& cache, std::size_t index, float scale) const {
    if (shape_.format == KvFormat::kFp8) return static_cast<double>(e4m3_to_float(cache[index])) * scale;
    return to_float(Bf16{static_cast<std::uint16_t>(cache[2 * index] | cache[2 * index + 1] << 8)});
  }

  Shape shape_;
  std::vector<Sequence> sequences_;
  int rows_ = 0, blocks_per_lane_ = 0, block_count_ = 0;
  struct Lost {
    std::size_t lane;
    int index;
    std::int32_t id;
  };
  std::vector<Lost> lost_;
  std::vector<std::int32_t> blocks_;
  std::vector<Bf16> query_, key_, value_;
  std::vector<float> q_gain_, k_gain_, cosine_, sine_;
  std::vector<double> keys_, values_;
  std::vector<std::uint8_t> keys_after_, values_after_;
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {24, 4, 256, 64, KvFormat::kFp8, true, true, true},   {24, 4, 256, 64, KvFormat::kBf16, true, true, true},
      {8, 1, 128, 128, KvFormat::kFp8, false, true, true},  {3, 3, 128, 32, KvFormat::kBf16, true, false, true},
      {6, 2, 64, 64, KvFormat::kFp8, false, false, false},  {6, 2, 64, 16, KvFormat::kBf16, true, true, true},
      {20, 2, 128, 64, KvFormat::kFp8, true, true, false},  {16, 2, 256, 256, KvFormat::kBf16, false, false, true},
      {2, 2, 256, 64, KvFormat::kFp8, false, true, true},
  };
  return all;
}

const char* name_of(AttentionForm form) { return form == AttentionForm::kRuns ? "runs" : "tiles"; }

/// Of decode attention, in both forms.
class AttentionOnDevice : public test::OnDevice, public testing::WithParamInterface<AttentionForm> {
 protected:
  [[nodiscard]] static Step step_of(const Shape& shape, std::vector<Sequence> sequences) {
    Step step(shape, std::move(sequences));
    step.form = GetParam();
    return step;
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, AttentionOnDevice, testing::Values(AttentionForm::kTiles, AttentionForm::kRuns),
                         [](const auto& of) { return std::string(name_of(of.param)); });
class AttentionOfPromptsOnDevice : public test::OnDevice {};

/// One sequence for each of these lengths of cache, with padding before and after.
std::vector<Sequence> sequences_of(const std::vector<int>& starts) {
  std::vector<Sequence> sequences{{9, 0, 1}};
  for (const int start : starts) sequences.push_back({start, 1, static_cast<std::uint64_t>(start * 10 + 100)});
  sequences.push_back({0, 0, 1});
  return sequences;
}

TEST_P(AttentionOnDevice, AgreesWithTheOracleForSequencesOfEveryLength) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE("heads " + std::to_string(shape.heads) + " of " + std::to_string(shape.head_dim));
    for (const std::vector<int>& starts : {std::vector<int>{0, 1, 14, 15, 16, 17}, {126, 127, 128, 129}, {254, 255, 256, 257}, {1000}, {4300}}) {
      Step step = step_of(shape, sequences_of(starts));
      step.expect_close(step.got());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionOnDevice, AgreesWithTheOracleWhicheverWarpHasTheNewPosition) {
  // In one item: a run's first, last and middle position of every warp (up to 16) and of their next turn. The lengths
  // leave the last runs of some warps part filled, and others none.
  std::vector<int> starts;
  for (int run = 0; run < 26; ++run) starts.push_back(run * 16 + (run % 3 == 0 ? 0 : run % 3 == 1 ? 15 : 5 + run % 8));
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE("heads " + std::to_string(shape.heads) + " of " + std::to_string(shape.head_dim));
    Step step = step_of(shape, sequences_of(starts));
    step.chunk_tokens = 1 << 20;
    step.expect_close(step.got());
    if (HasFatalFailure()) return;
  }
}

TEST_P(AttentionOnDevice, AgreesWithTheOracleForItemsOfEveryLength) {
  for (const Shape& shape : {shapes()[0], shapes()[1], shapes()[6]}) {
    Step step = step_of(shape, {{9, 0, 1}, {700, 1, 1}, {3, 1, 2}, {4300, 1, 4}, {0, 1, 5}, {511, 1, 6}});
    for (const int chunk_tokens : {1, 16, 144, 192, 208, 256, 512, 1280, 100'000}) {
      step.chunk_tokens = chunk_tokens;
      SCOPED_TRACE("items of " + std::to_string(chunk_tokens));
      step.expect_close(step.got());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionOnDevice, TakesMoreItemsThanThereAreMultiprocessors) {
  for (const Shape& shape : {shapes()[0], shapes()[1]}) {
    std::vector<int> starts(48);
    for (std::size_t i = 0; i < starts.size(); ++i) starts[i] = static_cast<int>(100 + 29 * i);
    Step step = step_of(shape, sequences_of(starts));
    for (const int chunk_tokens : {0, 512}) {
      step.chunk_tokens = chunk_tokens;
      step.expect_close(step.got());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionOnDevice, BlocksOutsideTheCacheAreTakenForZeros) {
  for (const Shape& shape : {shapes()[0], shapes()[1], shapes()[4]}) {
    Step step = step_of(shape, sequences_of({40, 500, 700}));
    step.lose_block(1, 1, -1);
    step.lose_block(2, 0, step.block_count());
    step.lose_block(2, 14, std::numeric_limits<std::int32_t>::max());
    step.lose_block(3, 40, std::numeric_limits<std::int32_t>::min());
    for (const int chunk_tokens : {0, 100'000}) {
      step.chunk_tokens = chunk_tokens;
      step.expect_close(step.got());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionOnDevice, ASequencesBitsDoNotDependOnItsNeighbours) {
  for (const Shape& shape : {shapes()[0], shapes()[1], shapes()[6]}) {
    const std::vector<Sequence> all{{700, 1, 1}, {3, 1, 2}, {0, 0, 3}, {1500, 1, 4}, {0, 1, 5}, {128, 1, 6}};
    Step together = step_of(shape, all);
    const auto bits = together.got();
    ASSERT_EQ(together.got(), bits);
    std::size_t row = 0;
    for (const Sequence& s : all) {
      if (s.count == 0) continue;
      Step alone = step_of(shape, {s});
      const auto own = alone.got();
      const auto from = bits.begin() + static_cast<std::ptrdiff_t>(row++ * at(alone.out_cols()));
      ASSERT_TRUE(std::equal(own.begin(), own.end(), from)) << "start " << s.start;
    }
  }
}

TEST_P(AttentionOnDevice, PaddingAloneTouchesNothing) {
  Step step = step_of(shapes()[0], {{5, 0, 1}, {0, 0, 2}});
  EXPECT_TRUE(step.got().empty());
}

TEST_F(AttentionOfPromptsOnDevice, PrefillAgreesWithTheOracleHoweverItIsCut) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE("heads " + std::to_string(shape.heads) + " of " + std::to_string(shape.head_dim));
    Step step(shape, {{0, 150, 10}, {37, 70, 20}, {0, 0, 1}, {130, 1, 30}});
    for (const int split : {1000, 64, 47}) {
      SCOPED_TRACE("cut at " + std::to_string(split));
      step.expect_close(step.got(split));
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace nvllm::cuda
