#include "bench/rules/quantity.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

TEST(Quantity, ConvertsBetweenUnitsOfOneKind) {
  const Quantity time{.value = 24.15, .unit = unit("ms")};
  EXPECT_DOUBLE_EQ(time.base(), 24150);
  EXPECT_DOUBLE_EQ(in_unit(time.base(), unit("us")).value, 24150);
}

TEST(Quantity, IsNeverPrintedWithoutItsUnit) {
  EXPECT_EQ(format_quantity({.value = 24.1534, .unit = unit("ms")}), "24.15 ms");
  EXPECT_EQ(format_quantity({.value = 58.5, .unit = unit("%")}), "58.5 %");
  EXPECT_EQ(format_quantity({.value = 3, .unit = unit("")}), "3");
}

TEST(Quantity, KeepsEveryWholeDigit) {
  EXPECT_EQ(format_number(24325.395), "24325");
  EXPECT_EQ(format_number(-1450000), "-1450000");
}

TEST(QuantityUnit, KnowsItsNamesAndNoOthers) {
  for (const char* symbol :
       {"us", "ms", "s", "%", "pt", "tokens", "token", "", "ms/token", "tokens/s"}) {
    EXPECT_TRUE(find_unit(symbol).has_value()) << symbol;
  }
  for (const char* symbol : {"min", "MS", "ms/s", "us/", "/token"})
    EXPECT_FALSE(find_unit(symbol).has_value()) << symbol;
}

TEST(QuantityUnit, ProductsFindTheirName) {
  EXPECT_EQ(unit_of({.time = 1}, 1e3).symbol, "ms");
  EXPECT_EQ(unit_of({.time = 1, .tokens = -1}, 1e3).symbol, "ms/token");
  const QuantityUnit odd = unit_of({.time = 2, .tokens = -1}, 1e6);
  EXPECT_EQ(odd.symbol, "us^2 token^-1");
  EXPECT_EQ(odd.scale, 1);
}

}  // namespace
}  // namespace nvllm::bench
