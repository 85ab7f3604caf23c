#include "bench/stats/clusters.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace nvllm::bench {
namespace {

using Clusters = std::vector<std::vector<double>>;

TEST(Clusters, OfOneSampleEachAreThePlainSummary) {
  const Clusters clusters = {{1.0}, {2.0}, {4.0}, {-1.0}};
  const PairedSummary clustered = summarise_clusters(clusters);
  const PairedSummary plain = summarise(std::array<double, 4>{1, 2, 4, -1});
  EXPECT_DOUBLE_EQ(clustered.mean, plain.mean);
  EXPECT_DOUBLE_EQ(clustered.standard_error, plain.standard_error);
  EXPECT_DOUBLE_EQ(clustered.sd, plain.sd);
  EXPECT_EQ(clustered.df, plain.df);
}

TEST(Clusters, AskingTheSameQuestionAgainAddsNothing) {
  const PairedSummary once = summarise_clusters(Clusters{{1}, {0}, {-1}, {1}});
  const PairedSummary thrice =
      summarise_clusters(Clusters{{1, 1, 1}, {0, 0, 0}, {-1, -1, -1}, {1, 1, 1}});
  EXPECT_DOUBLE_EQ(thrice.standard_error, once.standard_error);
  EXPECT_DOUBLE_EQ(thrice.mean, once.mean);
}

TEST(Clusters, WeighSamplesNotClusters) {
  const PairedSummary summary = summarise_clusters(Clusters{{1, 1, 1}, {0}});
  EXPECT_DOUBLE_EQ(summary.mean, 0.75);
  // Residuals 3/4 and -3/4: sqrt(2 (9/16 + 9/16)) / 4
  EXPECT_DOUBLE_EQ(summary.standard_error, 0.375);
}

TEST(ClustersDeath, RefuseAnEmptyOne) {
  EXPECT_DEATH(summarise_clusters(Clusters{{1}, {}}), "empty");
}

TEST(WeightedMedian, StopsWhereHalfOfTheWeightIsReached) {
  EXPECT_EQ(weighted_median(std::array<double, 3>{3, 1, 2}, std::array<double, 3>{1, 1, 1}), 2);
  EXPECT_EQ(weighted_median(std::array<double, 3>{3, 1, 2}, std::array<double, 3>{5, 1, 1}), 3);
  EXPECT_EQ(weighted_median(std::array<double, 4>{4, 1, 3, 2}, std::array<double, 4>{1, 1, 1, 1}),
            2.5);
  EXPECT_EQ(weighted_median(std::array<double, 3>{9, 1, 2}, std::array<double, 3>{0, 1, 1}), 1.5);
}

}  // namespace
}  // namespace nvllm::bench
