#include "bench/records/kernel_table.h"

#include <gtest/gtest.h>

#include "bench/records/kernel_name.h"

namespace nvllm::bench {
namespace {

KernelRow row(const std::string& name, double total) {
  KernelRow made;
  made.name = name;
  made.short_name = short_kernel_name(name);
  made.total_ms = total;
  return made;
}

TEST(KernelTable, SortsByTotalThenByName) {
  KernelTable table;
  table.rows = {row("b", 1), row("a", 1), row("c", 5)};
  sort_by_total(table);
  EXPECT_EQ(table.rows[0].name, "c");
  EXPECT_EQ(table.rows[1].name, "a");
  fill_shares(table);
  EXPECT_DOUBLE_EQ(table.rows[0].share.value(), 5.0 / 7.0);
  EXPECT_DOUBLE_EQ(total_ms(table), 7.0);
}

TEST(KernelTable, TellsLaunchShapesApart) {
  KernelRow one = row("gemv", 1), other = one;
  EXPECT_EQ(kernel_key(one), kernel_key(other));
  one.grid = Dim3{4, 1, 1};
  other.grid = Dim3{8, 1, 1};
  EXPECT_NE(kernel_key(one), kernel_key(other));
  other.grid = one.grid;
  other.shared_bytes = 1024;
  EXPECT_NE(kernel_key(one), kernel_key(other));
}

TEST(KernelTable, FindsByShortNameOrItsBeginning) {
  KernelTable table;
  table.rows = {row("DecodeKernel", 3), row("Decode", 1), row("x", 1)};
  EXPECT_EQ(find_kernels(table, "DecodeKernel").size(), 1u);
  EXPECT_EQ(find_kernels(table, "Decode").size(), 1u);
  EXPECT_EQ(find_kernels(table, "Decode*").size(), 2u);
  EXPECT_TRUE(find_kernels(table, "y*").empty());
}

}  // namespace
}  // namespace nvllm::bench
