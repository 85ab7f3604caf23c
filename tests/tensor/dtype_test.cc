#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <limits>

namespace nvllm {
namespace {

TEST(Bf16, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(to_bf16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);  // tie to even
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);  // overflows to infinity
}

TEST(F16, ConvertsNormalsSubnormalsAndSpecials) {
  EXPECT_EQ(f16_to_float(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_float(0xc000), -2.0f);
  EXPECT_EQ(f16_to_float(0x0001), 0x1.0p-24f);
  EXPECT_EQ(f16_to_float(0x7bff), 65504.0f);
  EXPECT_TRUE(std::isinf(f16_to_float(0x7c00)));
}

TEST(E4m3, EveryCodeSurvivesARoundTrip) {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    if ((code & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(e4m3_to_float(byte)));
    } else {
      EXPECT_EQ(float_to_e4m3(e4m3_to_float(byte)), byte) << code;
    }
  }
}

TEST(E4m3, RoundsEveryMidpointToTheEvenCode) {
  for (int code = 0; code < 0x7e; ++code) {
    const float low = e4m3_to_float(static_cast<std::uint8_t>(code));
    const float high = e4m3_to_float(static_cast<std::uint8_t>(code + 1));
    const float middle = (low + high) / 2;  // exact: both have few significant bits
    EXPECT_EQ(float_to_e4m3(middle), code + (code & 1)) << code;
    EXPECT_EQ(float_to_e4m3(std::nextafter(middle, 0.0f)), code);
    EXPECT_EQ(float_to_e4m3(std::nextafter(middle, 1e9f)), code + 1);
  }
}

TEST(E4m3, Saturates) {
  EXPECT_EQ(float_to_e4m3(1e9f), 0x7e);
  EXPECT_EQ(float_to_e4m3(-1e9f), 0xfe);
  EXPECT_EQ(float_to_e4m3(std::numeric_limits<float>::infinity()), 0x7e);
}

TEST(E2m1, FollowsTheDecisionPoints) {
  const struct { float value; int code; } cases[] = {
      {0.25f, 0}, {0.26f, 1}, {0.75f, 2}, {1.25f, 2}, {1.26f, 3}, {1.75f, 4},
      {2.5f, 4}, {3.4f, 5}, {3.5f, 6}, {5.0f, 6}, {5.1f, 7}, {100.0f, 7},
      {-0.1f, 8}, {-6.3f, 15}, {-0.0f, 0}};
  for (const auto& c : cases) EXPECT_EQ(float_to_e2m1(c.value), c.code) << c.value;
}

}  // namespace
}  // namespace nvllm
