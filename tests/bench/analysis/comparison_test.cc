#include "bench/analysis/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "bench/analysis/synthetic_folders.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

TEST(Comparison, TwoFoldersAlikePassEveryGateAndConfirm) {
  const Comparison same = compared(folder(4), folder(4));
  EXPECT_EQ(same.exit, ComparisonExit::kPassed);
  EXPECT_EQ(verdict(same), "stays-dead");
  EXPECT_EQ(same.analysis.at("verdict").at("outcome"), "CONFIRMED");
  for (const char* name : {"calls", "kernels", "order", "quality", "legacy", "floor"})
    EXPECT_EQ(gate(same, name), "PASS") << name;
  EXPECT_THAT(same.analysis.at("verdict").at("text").get<std::string>(), HasSubstr("62.5 % cheaper"));  // 400 to 150 us
}

/// Legs "few" and "many" held against each other inside of one folder.
Sweep within_rules(const std::string& hypotheses = "") {
  return parse_sweep(R"toml(schema = "nvllm.sweep/v1"
name = "within"
claim = "the legs are alike"
[legs.few]
[legs.many]
[gates]
alike = { kind = "equivalent", margin = "2%", legs = ["few"], vs = "many", required = true }
[hypotheses]
)toml" + hypotheses + "\n[[verdict]]\nwhen = \"gate(alike)\"\nid = \"alike\"\n[[verdict]]\nwhen = \"true\"\nid = \"open\"\n",
                     "within.toml");
}

/// Both legs the same, but for the gemm of "few", which takes `factor` times as long.
EvidenceFolder like_legs(double factor) {
  EvidenceFolder now = folder(4);
  now.legs[0].profiles = now.legs[1].profiles;
  for (KernelTable& table : now.legs[0].profiles) {
    table.leg = "few";
    for (KernelRow& row : table.rows) {
      if (row.short_name == "some_gemm") row.mean_us *= factor + 0.0002 * static_cast<double>(table.round % 2);
    }
  }
  return now;
}

TEST(Comparison, AGateMayHoldALegAgainstAnotherOfTheSameFolder) {
  const Comparison alike = compared(like_legs(1.005), like_legs(1.005), within_rules());
  EXPECT_EQ(gate(alike, "alike"), "PASS");
  EXPECT_EQ(alike.analysis.at("gates").at("gates").at(0).at("vs"), "many");
  // The baseline folder has no part in it.
  const Comparison slow = compared(like_legs(1), like_legs(1.05), within_rules());
  EXPECT_EQ(gate(slow, "alike"), "FAIL");
  EXPECT_EQ(slow.exit, ComparisonExit::kGateFailed);
  EXPECT_EQ(gate(compared(like_legs(1.05), like_legs(1), within_rules()), "alike"), "PASS");
  EXPECT_EQ(gate(compared(folder(4), folder(4), within_rules()), "alike"), "INCONCLUSIVE")
      << "two fused calls against four: times of other calls are not compared";
}

TEST(Comparison, GeometricMeansOfKernelsAreFactsWhereTheirSourceKeptThem) {
  const std::string rule = "times = { expr = \"geomean_us(few,some_gemm) / geomean_us(few,DecodeKernel) > 0.5\" }";
  EvidenceFolder now = like_legs(1);
  const auto hypothesis = [&] {
    return compared(now, now, within_rules(rule)).analysis.at("verdict").at("hypotheses").at(0);
  };
  EXPECT_EQ(hypothesis().at("state"), "INCONCLUSIVE") << "no logarithms are known";
  for (KernelTable& table : now.legs[0].profiles) {
    for (KernelRow& row : table.rows) {
      row.log_mean = std::log(row.short_name == "some_gemm" ? 60.0 : 100.0) + 0.001 * static_cast<double>(table.round);
    }
  }
  const Json found = hypothesis();
  EXPECT_EQ(found.at("state"), "CONFIRMED");
  EXPECT_NEAR(found.at("comparisons").at(0).at("estimate").at("value").get<double>(), 0.1, 1e-9);
}

TEST(Comparison, CountsQuestionsThatTwoLegsAnsweredWithOtherTokens) {
  const std::string two = "differ = { expr = \"other_tokens(few,many) > 0\" }\n"
                          "same = { expr = \"other_tokens(few,many) == 0\" }";
  using States = std::pair<std::string, std::string>;
  EvidenceFolder now = like_legs(1);
  const auto states = [&] {
    const Json verdict = compared(now, now, within_rules(two)).analysis.at("verdict");
    return States(verdict.at("hypotheses").at(0).at("state"),
                                               verdict.at("hypotheses").at(1).at("state"));
  };
  EXPECT_EQ(states(), States("INCONCLUSIVE", "INCONCLUSIVE")) << "no token ids are known";
  for (LegEvidence& leg : now.legs) {
    for (QuestionResult& q : leg.questions) q.token_ids_sha256 = std::to_string(q.prompt_index);
  }
  EXPECT_EQ(states(), States("REFUTED", "CONFIRMED"));
  now.legs[0].questions[3].token_ids_sha256 = "other";
  EXPECT_EQ(states(), States("CONFIRMED", "REFUTED"));
}

TEST(Comparison, AKernelFivePercentSlowerIsSlowerAndFailsTheGate) {
  const Comparison slow = compared(folder(4), folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 52.5}));
  EXPECT_EQ(outcome(slow, "some_gemm"), "SLOWER");
  EXPECT_EQ(outcome(slow, "DecodeKernel"), "EQUIVALENT");
  EXPECT_EQ(gate(slow, "kernels"), "FAIL");
  EXPECT_EQ(slow.exit, ComparisonExit::kGateFailed);
  EXPECT_EQ(outcome(compared(folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 52.5}), folder(4)), "some_gemm"),
            "FASTER");
}

TEST(Comparison, ARealButSmallShiftIsEquivalentShifted) {
  EvidenceFolder now = folder(4);
  // One per cent, not quite the same in every boot: a difference that rounds can see.
  for (LegEvidence& leg : now.legs) {
    for (KernelTable& table : leg.profiles) {
      for (KernelRow& row : table.rows) row.mean_us *= 1.010 + 0.0002 * static_cast<double>(table.round % 2);
    }
  }
  EXPECT_EQ(outcome(compared(folder(4), now), "some_gemm"), "EQUIVALENT_SHIFTED");
  EXPECT_EQ(gate(compared(folder(4), now), "kernels"), "PASS");
}

TEST(Comparison, TwoRestlessBootsDoNotDecide) {
  EvidenceFolder now = folder(2);
  for (LegEvidence& leg : now.legs) {
    for (KernelRow& row : leg.profiles[0].rows) row.mean_us *= 1.03;
  }
  const Comparison open = compared(folder(2), now);
  EXPECT_EQ(outcome(open, "some_gemm"), "INCONCLUSIVE");
  EXPECT_EQ(gate(open, "kernels"), "INCONCLUSIVE");
}

TEST(Comparison, AKernelWithOtherCallsIsNeverAveraged) {
  EvidenceFolder now = folder(4);
  for (KernelTable& table : now.legs[0].profiles) {
    for (KernelRow& row : table.rows) {
      if (row.short_name == "some_gemm") row.n_calls += 10;
    }
  }
  const Comparison changed = compared(folder(4), now);
  EXPECT_EQ(outcome(changed, "some_gemm"), "COUNT_CHANGED");
  EXPECT_EQ(gate(changed, "calls"), "FAIL");
  EXPECT_EQ(gate(changed, "kernels"), "INCONCLUSIVE");
  EXPECT_EQ(changed.exit, ComparisonExit::kGateFailed);
}

TEST(Comparison, CallsThatTheRequestsDoNotExplainAreIncomplete) {
  EvidenceFolder before = folder(4), now = folder(4);
  for (EvidenceFolder* one : {&before, &now}) {
    for (KernelTable& table : one->legs[0].profiles) {
      for (KernelRow& row : table.rows) {
        if (row.short_name == "some_gemm") row.n_calls += table.round == 1 ? 3 : 0;
      }
    }
  }
  EXPECT_EQ(outcome(compared(folder(1), folder(1),
                             rules("[noise]\nkind = \"borrowed\"\nboot_sigma = \"0.1%\"\nsource = \"s\"")),
                    "some_gemm"),
            "EQUIVALENT");
  before.legs[0].profiles.resize(1);
  now.legs[0].profiles.resize(1);
  EXPECT_EQ(outcome(compared(before, now), "some_gemm"), "INCOMPLETE");
}

TEST(Comparison, KernelsOnOneSideAreNewOrGone) {
  EvidenceFolder now = folder(4);
  for (KernelTable& table : now.legs[0].profiles) {
    for (KernelRow& row : table.rows) {
      if (row.short_name == "some_gemm") row = kernel_row("other_gemm", row.n_calls, row.mean_us);
    }
  }
  const Comparison moved = compared(folder(4), now);
  EXPECT_EQ(outcome(moved, "some_gemm"), "GONE");
  EXPECT_EQ(outcome(moved, "other_gemm"), "NEW");
  EXPECT_EQ(gate(moved, "calls"), "FAIL");
}

TEST(Comparison, OtherNumbersOfRequestsAreTheSameWorkPerRequest) {
  EvidenceFolder now = folder(4);
  for (LegEvidence& leg : now.legs) {
    for (KernelTable& table : leg.profiles) {
      table.requests = table.prefills = 5;
      table.decode_steps = 500;
      for (KernelRow& row : table.rows) {
        row.n_calls /= 2;
        row.total_ms /= 2;
      }
    }
  }
  EXPECT_EQ(gate(compared(folder(4), now), "calls"), "PASS");
}

TEST(Comparison, ACallCountThatTheSweepDoesNotForetellFailsTheGate) {
  EvidenceFolder before = folder(4), now = folder(4);
  for (EvidenceFolder* one : {&before, &now}) {
    for (KernelTable& table : one->legs[1].profiles) table = boot("many", table.round, {}, 3);
  }
  EXPECT_EQ(gate(compared(before, now), "calls"), "FAIL");
}

TEST(Comparison, AFusedKernelThatBecameCheaperRefutesTheHypothesis) {
  const BootTimes cheap{.fused_us = 100, .plain_us = 150, .gemm_us = 50};
  const Comparison reopened = compared(folder(4, cheap), folder(4, cheap));
  EXPECT_EQ(verdict(reopened), "reopens");
  EXPECT_EQ(reopened.analysis.at("verdict").at("hypotheses").at(0).at("state"), "REFUTED");
}

TEST(Comparison, OneBootWithoutLentNoiseLeavesTimesUntested) {
  const Comparison single = compared(folder(1), folder(1));
  EXPECT_EQ(outcome(single, "some_gemm"), "UNTESTED");
  EXPECT_EQ(gate(single, "kernels"), "INCONCLUSIVE");
  EXPECT_EQ(gate(single, "calls"), "PASS");
  EXPECT_EQ(single.exit, ComparisonExit::kInconclusive);
}

TEST(Comparison, LentNoiseMakesEverythingProvisional) {
  const Comparison lent =
      compared(folder(1), folder(1), rules("[noise]\nkind = \"borrowed\"\nboot_sigma = \"0.2%\"\nsource = \"s\""));
  EXPECT_EQ(gate(lent, "kernels"), "PASS (PROVISIONAL)");
  EXPECT_EQ(gate(lent, "order"), "PASS (PROVISIONAL)");
  EXPECT_EQ(lent.analysis.at("verdict").at("outcome"), "PROVISIONAL");
  EXPECT_EQ(lent.exit, ComparisonExit::kPassed);
}

TEST(Comparison, AReversedOrderFails) {
  EvidenceFolder now = folder(4);
  std::swap(now.legs[0].profiles, now.legs[1].profiles);
  EXPECT_EQ(gate(compared(folder(4), now), "order"), "FAIL");
}

TEST(Comparison, IsNotComparableWhereASettingDiffersAndNamesTheFirst) {
  EvidenceFolder now = folder(4);
  now.legs[0].profile_metadata["env"]["FUSE"] = "other";
  const Comparison refused = compared(folder(4), now);
  EXPECT_EQ(refused.exit, ComparisonExit::kNotComparable);
  EXPECT_EQ(refused.analysis.at("comparability").at("first_differing_field"), "few/profile/env.FUSE");
  EXPECT_EQ(refused.analysis.at("verdict").at("outcome"), "NOT_COMPARABLE");
  EXPECT_FALSE(refused.analysis.contains("kernels_ab"));
}

TEST(Comparison, OtherLegsQuestionsAndLengthsAreNotComparableEither) {
  const auto field = [](const EvidenceFolder& now) {
    const Comparison found = compared(folder(4), now);
    EXPECT_EQ(found.exit, ComparisonExit::kNotComparable);
    return found.analysis.at("comparability").at("first_differing_field").get<std::string>();
  };
  EvidenceFolder now = folder(4);
  now.legs.pop_back();
  EXPECT_EQ(field(now), "legs/many");
  now = folder(4);
  now.legs[0].questions[6].gold = "43";
  EXPECT_EQ(field(now), "few/gsm8k/question 7");
  now = folder(4);
  now.legs[0].questions.pop_back();
  EXPECT_EQ(field(now), "few/gsm8k/n");
  now = folder(4);
  now.legs[1].profiles[0].decode_steps = 2000;
  EXPECT_EQ(field(now), "many/profile/workload");
  now = folder(4);
  EvidenceFolder before = folder(4);
  before.legs[0].questions[0].deadline_s = 180;
  now.legs[0].questions[0].deadline_s = 60;
  EXPECT_EQ(compared(before, now).analysis.at("comparability").at("first_differing_field"), "few/gsm8k/deadline_s");
}

TEST(Comparison, OnAnotherHostTimesAreNotComparedButCountsAndAnswersAre) {
  EvidenceFolder before = folder(4), now = folder(4, {.fused_us = 800, .plain_us = 300, .gemm_us = 100});
  before.provenance["gpu"] = {{"name", "small"}, {"driver", "1"}};
  now.provenance["gpu"] = {{"name", "large"}, {"driver", "1"}};
  const Comparison across = compared(before, now);
  EXPECT_EQ(gate(across, "kernels"), "INCONCLUSIVE");
  for (const Json& one : across.analysis.at("gates").at("gates")) {
    if (one.at("name") != "kernels") continue;
    EXPECT_THAT(one.at("because").get<std::string>(), HasSubstr("timing: other host"));
  }
  EXPECT_EQ(gate(across, "calls"), "PASS");
  EXPECT_EQ(gate(across, "quality"), "PASS");
  now.provenance["gpu"] = {{"name", "small"}, {"driver", "2"}};
  EXPECT_EQ(gate(compared(before, now), "kernels"), "FAIL");  // another driver is the same host
}

TEST(Comparison, MuchCensoringLeavesAccuracyOpenWhateverTheCounts) {
  EvidenceFolder now = folder(4);
  for (std::size_t i = 0; i < 10; ++i)
    now.legs[0].questions[i] = answer(static_cast<std::int64_t>(i) + 1, QuestionStatus::kTimeout);
  const Comparison cut = compared(folder(4), now);
  const Json& leg = cut.analysis.at("accuracy").at("legs").at(0);
  EXPECT_EQ(leg.at("outcome"), "INCONCLUSIVE");
  EXPECT_EQ(leg.at("candidate").at("bounds"), Json({0.95, 1.0}));
  EXPECT_EQ(gate(cut, "quality"), "INCONCLUSIVE");
  EXPECT_EQ(gate(cut, "floor"), "PASS");  // 190 right are enough however the ten would have ended
  now.legs[0].questions[10] = answer(11, QuestionStatus::kTimeout);
  EXPECT_EQ(gate(compared(folder(4), now), "floor"), "INCONCLUSIVE");
}

TEST(Comparison, AQuestionPutAgainInAnotherBootIsNoFurtherQuestion) {
  EvidenceFolder before = folder(4), now = folder(4);
  for (EvidenceFolder* one : {&before, &now}) {
    for (std::int64_t i = 1; i <= 200; ++i) {
      QuestionResult again = answer(i, QuestionStatus::kOk);
      again.round = 2;
      one->legs[0].questions.push_back(again);
    }
  }
  EXPECT_EQ(compared(before, now).analysis.at("accuracy").at("legs").at(0).at("candidate").at("total"), 200);
}

TEST(Comparison, LegsThatTheSweepDoesNotKnowAreLeftOutAndToldOf) {
  EvidenceFolder now = folder(4);
  now.legs.push_back(now.legs[0]);
  now.legs[2].leg = "extra";
  const Comparison wider = compared(folder(4), now);
  EXPECT_EQ(wider.exit, ComparisonExit::kPassed);
  EXPECT_EQ(wider.analysis.at("comparability").at("changed").at(0).at("field"), "legs/extra (not in the sweep)");
}

TEST(Comparison, ManyLostAnswersFailTheQualityGate) {
  EvidenceFolder now = folder(4);
  for (std::size_t i = 0; i < 40; ++i)
    now.legs[0].questions[i] = answer(static_cast<std::int64_t>(i) + 1, QuestionStatus::kWrong);
  const Comparison worse = compared(folder(4), now);
  EXPECT_EQ(gate(worse, "quality"), "FAIL");
  EXPECT_EQ(gate(worse, "legacy"), "FAIL");
  EXPECT_EQ(gate(worse, "floor"), "FAIL");
  EXPECT_EQ(worse.analysis.at("accuracy").at("legs").at(0).at("lost").size(), 40u);
}

TEST(Comparison, AHypothesisAboutAnUnknownLegIsWrongUsage) {
  Sweep sweep = rules();
  sweep.hypotheses[0].rule = parse_rule("mean_us(fwe,DecodeKernel) > 0 us");
  try {
    compared(folder(4), folder(4), sweep);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("synthetic.toml:17:"), HasSubstr("mean_us(LEG,KERNEL)")));
  }
}

TEST(Comparison, AMissingKernelMakesTheHypothesisUnknownNotFalse) {
  Sweep sweep = rules();
  sweep.hypotheses[0].rule = parse_rule("mean_us(few,NoSuchKernel) > 0 us");
  EXPECT_EQ(verdict(compared(folder(4), folder(4), sweep)), "open");
}

}  // namespace
}  // namespace nvllm::bench
