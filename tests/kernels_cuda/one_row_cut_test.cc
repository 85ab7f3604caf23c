#include "kernels/cuda/one_row_cut.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace nvllm::cuda {
namespace {

struct Matrix {
  int row_tiles, col_tiles;
};

// Fewer row tiles than multiprocessors, as many, some more, and the shapes of a 27B model.
constexpr Matrix kMatrices[] = {{1, 1}, {1, 136}, {2, 3}, {5, 40}, {131, 2}, {132, 1}, {133, 1}, {147, 3}, {160, 136}, {160, 48}, {512, 40}, {1088, 40}, {7760, 40}};
constexpr int kMultiprocessors[] = {1, 48, 132};

TEST(OneRowCut, DealsOutEveryTileOnce) {
  for (const auto [rows, cols] : kMatrices) {
    for (const int multiprocessors : kMultiprocessors) {
      const OneRowCut cut(rows, cols, multiprocessors);
      std::set<std::pair<int, int>> seen;
      int run = 0;
      for (int cta = 0; cta < cut.ctas; ++cta) {
        for (int tile = 0; tile < cut.owned * cols; ++tile) seen.emplace(cta * cut.owned + tile / cols, tile % cols);
        const int end = run + cut.share + (cta < cut.longer ? 1 : 0);
        for (; run < end; ++run) seen.emplace(cut.ctas * cut.owned + run / cols, run % cols);
      }
      EXPECT_EQ(seen.size(), static_cast<std::size_t>(rows) * cols) << rows << " x " << cols << " on " << multiprocessors;
      EXPECT_EQ(cut.ctas * cut.owned * cols + run, rows * cols);
      EXPECT_LT(seen.rbegin()->first, rows);
    }
  }
}

TEST(OneRowCut, GivesEveryCtaWorkAndNoneMuchMore) {
  for (const auto [rows, cols] : kMatrices) {
    for (const int multiprocessors : kMultiprocessors) {
      const OneRowCut cut(rows, cols, multiprocessors);
      EXPECT_LE(cut.ctas, multiprocessors);
      EXPECT_GE(cut.owned * cols + cut.share, 1);
      EXPECT_LT(cut.longer, cut.ctas);  // so that shares differ by one tile at most
    }
  }
}

TEST(OneRowCut, LetsAtMostOneRowTileBeginInARun) {
  for (const auto [rows, cols] : kMatrices) {
    for (const int multiprocessors : kMultiprocessors) {
      const OneRowCut cut(rows, cols, multiprocessors);
      EXPECT_LE(cut.share + (cut.longer > 0 ? 1 : 0), cols) << rows << " x " << cols << " on " << multiprocessors;
    }
  }
}

}  // namespace
}  // namespace nvllm::cuda
