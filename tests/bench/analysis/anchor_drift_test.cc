#include "bench/analysis/anchor_drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/analysis/synthetic_folders.h"
#include "bench/report/report.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Sweep with_anchors(const std::string& list) { return rules("[profile]\nanchors = " + list + "\n"); }

const Json& first_leg(const Comparison& comparison) {
  return comparison.analysis.at("kernels_ab").at("legs").at(0);
}

TEST(AnchorDrift, WhatTheAnchorsGainedIsTakenOffEveryKernel) {
  // All kernels 1 % slower: the machine, by the word of the anchor.
  const EvidenceFolder now = folder(4, {.fused_us = 404, .plain_us = 151.5, .gemm_us = 50.5});
  const Comparison comparison = compared(folder(4), now, with_anchors("[\"some_*\"]"));
  const Json& leg = first_leg(comparison);
  EXPECT_NEAR(leg.at("common_drift").at("pct").get<double>(), 1, 1e-9);
  EXPECT_EQ(leg.at("common_drift").at("alarm"), true);
  EXPECT_EQ(leg.at("common_drift").at("kernels"), Json::array({"some_gemm"}));
  for (const Json& kernel : leg.at("kernels")) {
    EXPECT_NEAR(kernel.at("test").at("delta_pct").get<double>(), 1, 1e-9);
    EXPECT_NEAR(kernel.at("test").at("drift_adjusted_pct").get<double>(), 0, 1e-9);
  }
  const std::string summary = render_report(comparison.analysis, "summary");
  EXPECT_THAT(
      summary,
      HasSubstr(
          "- **few**, now over before: +1.00 % in common (some_gemm), **ALARM: above 0.5 %**"));
  EXPECT_THAT(summary, HasSubstr("| drift-adjusted | outcome |"));
}

TEST(AnchorDrift, HalfAPerCentIsNoAlarmYet) {
  EXPECT_FALSE(is_alarming({.log_ratio = 0.00498, .kernels = {}}));
  EXPECT_TRUE(is_alarming({.log_ratio = 0.00499, .kernels = {}}));  // exp(0.00499) - 1 = 0.5003 %
  EXPECT_TRUE(is_alarming({.log_ratio = -0.0051, .kernels = {}}));
}

TEST(AnchorDrift, LegsOfOneFolderAreHeldAgainstTheFirst) {
  EvidenceFolder now = folder(4);
  for (KernelTable& table : now.legs[1].profiles) {
    for (KernelRow& row : table.rows) row.mean_us *= 0.98;
    for (KernelRow& row : table.rows) row.total_ms *= 0.98;
  }
  const Comparison comparison =
      compared(folder(4), now, with_anchors("[\"some_gemm\", \"DecodeKernel\"]"));
  const Json& pairs = comparison.analysis.at("kernels_ab").at("drift_between_legs");
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].at("leg"), "many");
  EXPECT_EQ(pairs[0].at("over"), "few");
  EXPECT_NEAR(pairs[0].at("pct").get<double>(), -2, 1e-9);
}

TEST(AnchorDrift, WithoutAnchorsNothingIsSaid) {
  const Comparison comparison = compared(folder(4), folder(4));
  EXPECT_TRUE(first_leg(comparison).at("common_drift").is_null());
  EXPECT_TRUE(comparison.analysis.at("kernels_ab").at("drift_between_legs").empty());
  EXPECT_THAT(render_report(comparison.analysis, "summary"), Not(HasSubstr("rift")));
}

TEST(AnchorDrift, AStarEndsABeginning) {
  EXPECT_TRUE(is_anchor({"a", "gemv*"}, "gemvx::kernel"));
  EXPECT_FALSE(is_anchor({"a", "gemv"}, "gemvx::kernel"));
  EXPECT_FALSE(is_anchor({}, "gemvx::kernel"));
}

}  // namespace
}  // namespace nvllm::bench
