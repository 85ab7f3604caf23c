#include "kernels/cuda/gated_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/delta_segments.h"
#include "support/device.h"
#include "support/kernel_fixture.h"

namespace nvllm::cuda {
namespace {

using test::HostRows;
using test::ReferenceRows;

struct Rows {
  HostRows qkv, z, b, a;

  Rows(const DeltaShape& s, std::int64_t rows, std::uint64_t seed)
      : qkv(HostRows::random(rows, s.channels(), seed)),
        z(HostRows::random(rows, s.value_heads * s.value_dim, seed + 1)),
        b(HostRows::random(rows, s.value_heads, seed + 2, 4.0f)),
        a(HostRows::random(rows, s.value_heads, seed + 3, 2.0f)) {}
  /// Every 7th token forgets all, and every 5th nothing, whatever the head's rate.
  void forget_and_remember() {
    for (std::int64_t row = 0; row < a.rows; ++row) {
      for (std::int64_t h = 0; h < a.cols; ++h) {
        if (row % 7 == 3) a.view().row(row)[h] = to_bf16(30.0f);
        if (row % 5 == 1) a.view().row(row)[h] = to_bf16(-30.0f);
      }
    }
  }
};

template <class T>
DeviceBuffer on_device(const std::vector<T>& host) {
  DeviceBuffer out(static_cast<std::int64_t>(host.size() * sizeof(T)));
  out.upload(host.data(), out.bytes());
  return out;
}

enum class How { kDecode, kWords, kPrefill };

/// ‖got - want‖ / ‖want‖; infinite for what is no number.
double distance(const std::vector<double>& got, const std::vector<double>& want) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::isnan(difference) || size == 0 ? INFINITY : std::sqrt(difference / size);
}

std::vector<double> doubles(const HostRows& rows) { return ReferenceRows(rows).data; }

/// A layer on the device, and the oracle's idea of its states. Slots hold NaN until a lane has written them.
struct DeltaLayer {
  DeltaShape shape;
  StateFormat format;
  int slots;
  std::vector<float> weights, a_log, dt_bias, gain;
  DeviceBuffer weights_device, a_log_device, dt_bias_device, gain_device, conv, recurrent;
  std::vector<double> conv_state, state;

  DeltaLayer(const DeltaShape& s, StateFormat f, int slot_count, float spread = 0)
      : shape(s), format(f), slots(slot_count), weights(test::random_floats(s.conv_taps * s.channels(), 1)),
        a_log(test::random_floats(s.value_heads, 2)), dt_bias(test::random_floats(s.value_heads, 3)),
        gain(test::random_floats(s.value_dim, 4, 0.3f)), conv(slots * delta_conv_bytes(s)),
        recurrent(slots * delta_recurrent_bytes(s, f)), conv_state(static_cast<std::size_t>(slots * s.conv_elements())),
        state(static_cast<std::size_t>(slots * s.recurrent_elements())) {
    for (float& g : gain) g += 1.0f;
    // With spread 18 from rates of 6e-6, which forget nothing in a chunk, to rates of 400, which forget all in a token.
    for (std::size_t h = 0; h < a_log.size() && spread > 0; ++h) {
      a_log[h] = -12.0f + spread * static_cast<float>(h) / static_cast<float>(a_log.size() - 1);
    }
    weights_device = on_device(weights);
    a_log_device = on_device(a_log);
    dt_bias_device = on_device(dt_bias);
    gain_device = on_device(gain);
    conv.fill(0xff);
    recurrent.fill(0xff);
  }

  /// `segments`: of a prefill.
  HostRows run(const Rows& in, const std::vector<Lane>& lanes, How how, int segments = 1) {
    const DeviceBuffer qkv = on_device(in.qkv.data), z = on_device(in.z.data), b = on_device(in.b.data), a = on_device(in.a.data);
    const DeviceBuffer table = on_device(lanes);
    HostRows out(in.qkv.rows, shape.value_heads * shape.value_dim);
    DeviceBuffer out_device(out.rows * out.cols * 2), core(out.rows * out.cols * 2), mixed(out.rows * shape.channels() * 2);
    out_device.fill(0xff);
    core.fill(0xff);
    mixed.fill(0xff);
    const int heads = static_cast<int>(shape.value_heads), width = static_cast<int>(out.cols), channels = static_cast<int>(shape.channels());
    const DeltaArguments arguments{.shape = shape, .qkv = qkv.as<Bf16>(), .qkv_stride = channels, .z = z.as<Bf16>(), .z_stride = width,
                                   .b = b.as<Bf16>(), .b_stride = heads, .a = a.as<Bf16>(), .a_stride = heads,
                                   .conv_weights = weights_device.as<float>(), .a_log = a_log_device.as<float>(),
                                   .dt_bias = dt_bias_device.as<float>(), .gated_norm = {.gain = gain_device.as<float>()},
                                   .conv_state = conv.as<Bf16>(), .recurrent = recurrent.as<void>(), .format = format,
                                   .slot_count = slots, .step = {.lanes = table.as<Lane>(), .lane_count = static_cast<int>(lanes.size())},
                                   .out = out_device.as<Bf16>(), .out_stride = width};
    if (how == How::kDecode) delta_decode(arguments, nullptr);
    if (how == How::kWords) {
      causal_conv(mixed.as<Bf16>(), channels, arguments, nullptr);
      delta_rule(core.as<Bf16>(), width, mixed.as<Bf16>(), channels, arguments, nullptr);
      gated_norm(out_device.as<Bf16>(), width, core.as<Bf16>(), width, arguments, nullptr);
    }
    if (how == How::kPrefill) {
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        DeviceBuffer scratch(std::max<std::int64_t>(1, delta_prefill_scratch_bytes(shape, lanes[i].token_count, segments)));
        scratch.fill(0xff);
        delta_prefill(arguments, lanes[i], static_cast<int>(i), {scratch.as<void>(), scratch.bytes(), segments}, nullptr);
        out_device.download(out.data.data(), 2);  // waits, before scratch goes
      }
    }
    out_device.download(out.data.data(), out_device.bytes());
    return out;
  }

  /// The oracle in double, but for what the rule is given: after an empty state the answer is (q̂ · k̂) v, and where that
  /// product is small the norm makes much of every bit of q and k. So the convolution and the sigmoid of b round here.
  std::vector<double> reference(const Rows& in, const std::vector<Lane>& lanes) {
    std::vector<Segment> segments;
    for (const Lane& lane : lanes) {
      if (lane.token_count == 0) continue;
      segments.push_back({.first_row = lane.first_row, .token_count = lane.token_count, .start = lane.start, .slot = lane.slot, .blocks = {}});
      if (lane.start > 0) continue;
      std::fill_n(conv_state.begin() + lane.slot * shape.conv_elements(), shape.conv_elements(), 0.0);
    }
    const DeltaContext<ReferenceOps> context{shape, segments, {conv_state.data(), state.data(), slots}};
    ReferenceRows x(in.qkv), mixed(in.qkv.rows, shape.channels()), b(in.b), a(in.a), z(in.z);
    ReferenceRows out(in.qkv.rows, shape.value_heads * shape.value_dim);
    ReferenceOps ops;
    for (const Segment& segment : segments) convolve(mixed.view(), x.view(), segment);
    for (double& gate : b.data) {
      const double beta = round_to_bf16(1.0f / (1.0f + std::exp(-static_cast<float>(gate))));
      gate = std::log(beta / (1.0 - beta));
    }
    std::fill(out.data.begin(), out.data.end(), 0.0);
    ops.delta_rule(out.view(), mixed.view(), b.view(), a.view(), a_log, dt_bias, context);
    ops.gated_norm(out.view(), out.view(), z.view(), shape.value_heads, {.gain = gain, .style = NormStyle::kPlain});
    return out.data;
  }

  std::vector<std::uint16_t> conv_bits() const { return bits(conv); }
  std::vector<std::uint16_t> recurrent_bits() const { return bits(recurrent); }
  /// One slot's recurrent state, and what the oracle has there.
  std::vector<double> state_of(int slot) const {
    const std::int64_t count = shape.recurrent_elements();
    std::vector<double> out;
    if (format == StateFormat::kFloat) {
      std::vector<float> values(static_cast<std::size_t>(count));
      recurrent.download(values.data(), count * 4, slot * count * 4);
      out.assign(values.begin(), values.end());
    } else {
      std::vector<Bf16> values(static_cast<std::size_t>(count));
      recurrent.download(values.data(), count * 2, slot * count * 2);
      for (const Bf16 value : values) out.push_back(to_float(value));
    }
    return out;
  }
  std::vector<double> wanted_state_of(int slot) const {
    const auto begin = state.begin() + slot * shape.recurrent_elements();
    return {begin, begin + shape.recurrent_elements()};
  }

 private:
  void convolve(View<double> out, View<const double> x, const Segment& segment) {
    const std::int64_t past = shape.conv_taps - 1, channels = shape.channels();
    double* const before = conv_state.data() + segment.slot * shape.conv_elements();
    for (std::int64_t c = 0; c < channels; ++c) {
      std::vector<double> inputs;
      for (std::int64_t j = 0; j < past; ++j) inputs.push_back(before[j * channels + c]);
      for (std::int64_t i = 0; i < segment.token_count; ++i) {
        inputs.push_back(x.row(segment.first_row + i)[c]);
        double sum = 0;
        for (std::int64_t j = 0; j <= past; ++j) sum += inputs[static_cast<std::size_t>(i + j)] * weights[static_cast<std::size_t>(j * channels + c)];
        sum = round_to_bf16(static_cast<float>(sum));
        out.row(segment.first_row + i)[c] = round_to_bf16(static_cast<float>(sum / (1 + std::exp(-sum))));
      }
      for (std::int64_t j = 0; j < past; ++j) before[j * channels + c] = inputs[static_cast<std::size_t>(segment.token_count + j)];
    }
  }
  static std::vector<std::uint16_t> bits(const DeviceBuffer& of) {
    std::vector<std::uint16_t> out(static_cast<std::size_t>(of.bytes() / 2));
    of.download(out.data(), of.bytes());
    return out;
  }
};

bool is_poison(const std::vector<std::uint16_t>& bits, std::int64_t begin, std::int64_t count) {
  return std::all_of(bits.begin() + begin, bits.begin() + begin + count, [](std::uint16_t x) { return x == 0xffff; });
}

const std::vector<DeltaShape> kShapes{{.key_heads = 2, .value_heads = 6, .key_dim = 24, .value_dim = 40, .conv_taps = 4},
                                      {.key_heads = 2, .value_heads = 4, .key_dim = 32, .value_dim = 32, .conv_taps = 3},
                                      {.key_heads = 4, .value_heads = 8, .key_dim = 64, .value_dim = 64, .conv_taps = 4},
                                      {.key_heads = 16, .value_heads = 48, .key_dim = 128, .value_dim = 128, .conv_taps = 4}};
constexpr StateFormat kFormats[] = {StateFormat::kFloat, StateFormat::kBf16};

// Four roundings to BF16 that the oracle does not make (the output before the norm, two in it, one of the result), each a
// deviation of 0.29 * 2^-7 of a value at most, come to 0.0045 of a vector's length. A BF16 state is
// rounded once a step; errors of steps add up as squares and shrink with the state, by less than 10 steps' worth here.
double tolerance(StateFormat format) { return format == StateFormat::kFloat ? 0.008 : 0.016; }

class GatedDeltaOnDevice : public test::OnDevice {};

TEST_F(GatedDeltaOnDevice, DecodeFollowsTheRecurrenceForManyStepsAndTouchesNothingElse) {
  for (const DeltaShape& shape : kShapes) {
    for (const StateFormat format : kFormats) {
      DeltaLayer layer(shape, format, 5);
      constexpr int kSteps = 64;
      for (int step = 0; step < kSteps; ++step) {
        // Slots 3 and 4 belong to nobody; a lane begins anew at step 20; two lanes are there for the width alone.
        const std::vector<Lane> lanes{{0, 1, step, 2}, {0, 0, step, 3}, {2, 1, step, 0}, {1, 1, step < 20 ? step : step - 20, 1}, {0, 0, 0, -1}};
        const Rows in(shape, 3, 100 + static_cast<std::uint64_t>(step) * 10);
        const auto got = layer.run(in, lanes, How::kDecode);
        ASSERT_LE(distance(doubles(got), layer.reference(in, lanes)), tolerance(format))
            << "step " << step << ", heads of " << shape.key_dim << " by " << shape.value_dim << ", format " << static_cast<int>(format);
      }
      for (const int slot : {0, 1, 2}) {
        EXPECT_LE(distance(layer.state_of(slot), layer.wanted_state_of(slot)), tolerance(format)) << "slot " << slot;
      }
      const std::int64_t conv = delta_conv_bytes(shape) / 2, recurrent = delta_recurrent_bytes(shape, format) / 2;
      EXPECT_TRUE(is_poison(layer.conv_bits(), 3 * conv, 2 * conv));
      EXPECT_TRUE(is_poison(layer.recurrent_bits(), 3 * recurrent, 2 * recurrent));
    }
  }
}

TEST_F(GatedDeltaOnDevice, ALaneWithoutASlotTouchesNothing) {
  DeltaLayer layer(kShapes[3], StateFormat::kFloat, 2);
  const auto got = layer.run(Rows(kShapes[3], 2, 5), {{0, 1, 4, 2}, {1, 1, 4, -1}}, How::kDecode);
  for (const Bf16 value : got.data) ASSERT_EQ(value.bits, 0xffff);
  EXPECT_TRUE(is_poison(layer.conv_bits(), 0, delta_conv_bytes(kShapes[3])));
}

TEST_F(GatedDeltaOnDevice, WordsGiveWhatDecodeGives) {
  for (const DeltaShape& shape : kShapes) {
    for (const StateFormat format : kFormats) {
      DeltaLayer whole(shape, format, 2), words(shape, format, 2);
      for (int step = 0; step < 6; ++step) {
        const Rows in(shape, 2, 40 + static_cast<std::uint64_t>(step));
        const std::vector<Lane> lanes{{1, 1, step, 0}, {0, 1, step, 1}};
        const auto one = whole.run(in, lanes, How::kDecode), other = words.run(in, lanes, How::kWords);
        EXPECT_EQ(whole.conv_bits(), words.conv_bits());
        if (shape.key_dim == 128) {
          EXPECT_LE(distance(doubles(one), doubles(other)), 0.004);
        } else {
          EXPECT_EQ(one, other);
          EXPECT_EQ(whole.recurrent_bits(), words.recurrent_bits());
        }
      }
    }
  }
}

TEST_F(GatedDeltaOnDevice, NeighboursDoNotChangeBits) {
  const DeltaShape& shape = kShapes[3];
  for (const StateFormat format : kFormats) {
    DeltaLayer alone(shape, format, 4), among(shape, format, 4);
    const std::int64_t width = shape.value_heads * shape.value_dim;
    for (int step = 0; step < 4; ++step) {
      const Rows in(shape, 3, 70 + static_cast<std::uint64_t>(step));
      const auto one = alone.run(in, {{1, 1, step, 2}}, How::kDecode);
      const auto other = among.run(in, {{0, 1, step, 0}, {2, 1, step, 3}, {1, 1, step, 2}}, How::kDecode);
      for (std::int64_t i = width; i < 2 * width; ++i) ASSERT_EQ(one.data[static_cast<std::size_t>(i)], other.data[static_cast<std::size_t>(i)]);
    }
    EXPECT_EQ(alone.state_of(2), among.state_of(2));
  }
}

TEST_F(GatedDeltaOnDevice, ManyTokensFollowTheRecurrenceAndDecodeGoesOn) {
  for (const How how : {How::kWords, How::kPrefill}) {
    for (const DeltaShape& shape : kShapes) {
      for (const StateFormat format : kFormats) {
        for (const float spread : {0.0f, 18.0f}) {
          DeltaLayer layer(shape, format, 4, spread);
          // Whole chunks, ragged ones, chunks of one token, fewer tokens than taps; then the same slots go on.
          const std::vector<std::vector<Lane>> steps{{{0, 130, 0, 2}, {130, 64, 0, 0}, {194, 2, 0, 1}, {0, 0, 0, 3}},
                                                     {{0, 65, 130, 2}, {65, 3, 64, 0}, {68, 63, 2, 1}}};
          const char* const what = how == How::kWords ? "words" : "prefill";
          int at = 0;
          for (const std::vector<Lane>& lanes : steps) {
            Rows in(shape, at == 0 ? 196 : 131, 900 + static_cast<std::uint64_t>(at));
            if (spread > 0) in.forget_and_remember();
            const auto got = layer.run(in, lanes, how);
            ASSERT_LE(distance(doubles(got), layer.reference(in, lanes)), tolerance(StateFormat::kBf16))
                << what << ", call " << at << ", heads of " << shape.key_dim << " by " << shape.value_dim << ", spread " << spread;
            ++at;
          }
          for (int step = 0; step < 3; ++step) {
            const std::vector<Lane> lanes{{0, 1, 195 + step, 2}, {1, 1, 67 + step, 0}, {2, 1, 65 + step, 1}};
            const Rows in(shape, 3, 950 + static_cast<std::uint64_t>(step));
            const auto got = layer.run(in, lanes, How::kDecode);
            ASSERT_LE(distance(doubles(got), layer.reference(in, lanes)), tolerance(StateFormat::kBf16)) << what << ", step " << step;
          }
          for (const int slot : {0, 1, 2}) {
            EXPECT_LE(distance(layer.state_of(slot), layer.wanted_state_of(slot)), tolerance(StateFormat::kBf16)) << what << ", slot " << slot;
          }
          const std::int64_t recurrent = delta_recurrent_bytes(shape, format) / 2;
          EXPECT_TRUE(is_poison(layer.recurrent_bits(), 3 * recurrent, recurrent));
        }
      }
    }
  }
}

TEST_F(GatedDeltaOnDevice, PromptsInSegmentsFollowTheRecurrenceAndDecodeGoesOn) {
  const DeltaShape shape{.key_heads = 2, .value_heads = 4, .key_dim = 128, .value_dim = 128, .conv_taps = 4};
  // Segments of one length, with a shorter last one, with a ragged last chunk; fewer chunks than segments, and a single one.
  constexpr int kLong = 64 * 9 + 17, kEven = 64 * 10;
  const std::vector<std::vector<Lane>> steps{{{0, kLong, 0, 2}, {kLong, 130, 0, 0}, {kLong + 130, 2, 0, 1}, {0, 0, 0, 3}},
                                             {{0, kEven, kLong, 2}, {kEven, 64 * 6 + 1, 130, 0}, {kEven + 64 * 6 + 1, 65, 2, 1}}};
  for (const StateFormat format : kFormats) {
    for (const float spread : {0.0f, 18.0f}) {
      for (const int segments : {1, 2, 3, 5}) {
        DeltaLayer layer(shape, format, 4, spread);
        std::uint64_t seed = 700;
        for (const std::vector<Lane>& lanes : steps) {
          const std::int64_t rows = seed == 700 ? kLong + 132 : kEven + 64 * 6 + 66;
          Rows in(shape, rows, seed++);
          if (spread > 0) in.forget_and_remember();
          const auto got = layer.run(in, lanes, How::kPrefill, segments);
          ASSERT_LE(distance(doubles(got), layer.reference(in, lanes)), tolerance(StateFormat::kBf16))
              << segments << " segments, from " << lanes[0].start << ", spread " << spread << ", format " << static_cast<int>(format);
        }
        const std::vector<Lane> lanes{{0, 1, kLong + kEven, 2}, {1, 1, 130 + 64 * 6 + 1, 0}, {2, 1, 67, 1}};
        const Rows in(shape, 3, seed);
        const auto got = layer.run(in, lanes, How::kDecode);
        ASSERT_LE(distance(doubles(got), layer.reference(in, lanes)), tolerance(StateFormat::kBf16)) << segments << " segments, decode";
        for (const int slot : {0, 1, 2}) {
          EXPECT_LE(distance(layer.state_of(slot), layer.wanted_state_of(slot)), tolerance(StateFormat::kBf16))
              << segments << " segments, slot " << slot << ", spread " << spread << ", format " << static_cast<int>(format);
        }
        const std::int64_t recurrent = delta_recurrent_bytes(shape, format) / 2;
        EXPECT_TRUE(is_poison(layer.recurrent_bits(), 3 * recurrent, recurrent));
      }
    }
  }
}

TEST_F(GatedDeltaOnDevice, PromptsInSegmentsGiveTheSameBitsEachTime) {
  const DeltaShape shape{.key_heads = 16, .value_heads = 16, .key_dim = 128, .value_dim = 128, .conv_taps = 4};
  constexpr int kTokens = 64 * 16;
  const Rows in(shape, kTokens, 800);
  DeltaLayer first(shape, StateFormat::kFloat, 1);
  const auto once = first.run(in, {{0, kTokens, 0, 0}}, How::kPrefill, 4), more = first.run(in, {{0, kTokens, kTokens, 0}}, How::kPrefill, 4);
  for (int round = 0; round < 10; ++round) {
    DeltaLayer again(shape, StateFormat::kFloat, 1);
    ASSERT_EQ(again.run(in, {{0, kTokens, 0, 0}}, How::kPrefill, 4), once) << "round " << round;
    ASSERT_EQ(again.run(in, {{0, kTokens, kTokens, 0}}, How::kPrefill, 4), more) << "round " << round;
    ASSERT_EQ(again.recurrent_bits(), first.recurrent_bits()) << "round " << round;
  }
}

TEST(GatedDeltaScratch, GrowsWithThePrompt) {
  const DeltaShape shape{.key_heads = 2, .value_heads = 4, .key_dim = 128, .value_dim = 128, .conv_taps = 4};
  std::int64_t before = 0;
  for (std::int64_t tokens = 1; tokens < 8192; tokens += 61) {
    const std::int64_t bytes = delta_prefill_scratch_bytes(shape, tokens, delta_segments(shape.value_heads, delta_chunks(tokens), 132));
    EXPECT_GE(bytes, before) << tokens << " tokens";
    before = bytes;
  }
}

}  // namespace
}  // namespace nvllm::cuda
