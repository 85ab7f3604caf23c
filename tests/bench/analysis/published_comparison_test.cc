// The two published folders of the three-leg sweep, compared by the rules that this repository ships
// for them. Every figure here was found by hand before the code was written. Skipped where absent.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "bench/analysis/comparison.h"
#include "bench/analysis/open_folder.h"
#include "bench/report/report.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PublishedComparison : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("NVLLM_SHARED");
    const std::filesystem::path source = NVLLM_SOURCE_DIR;
    root_ = (shared != nullptr ? std::filesystem::path(shared) : source / "../shared") / "data/phaseE-tax";
    if (!std::filesystem::exists(root_))
      GTEST_SKIP() << "no published folders below " << root_ << " (set NVLLM_SHARED)";
    sweep_ = read_sweep(source / "sweeps/phaseE-tax.toml");
    result_ = compare();
  }

  Comparison compare() const {
    return compare_folders(sweep_, open_evidence(root_ / "2026-05-02-phaseE-tax-3leg"),
                           open_evidence(root_ / "2026-05-15-phaseE-tax-3leg-post-ssm"), "nvllm test");
  }

  const Json& leg(const char* file, const std::string& name) const {
    for (const Json& one : result_.analysis.at(file).at("legs")) {
      if (one.at("leg") == name) return one;
    }
    throw std::runtime_error("no leg " + name);
  }

  const Json& kernel(const std::string& leg_name, const std::string& short_name) const {
    for (const Json& one : leg("kernels_ab", leg_name).at("kernels")) {
      if (one.at("short_name") == short_name) return one;
    }
    throw std::runtime_error("no kernel " + short_name);
  }

  std::string gate(const std::string& name) const {
    for (const Json& one : result_.analysis.at("gates").at("gates")) {
      if (one.at("name") == name) return one.at("outcome");
    }
    return "absent";
  }

  std::filesystem::path root_;
  Sweep sweep_;
  Comparison result_;
};

TEST_F(PublishedComparison, SaysThatPhaseFourStaysDeadProvisionallyAndPostHoc) {
  const Json& verdict = result_.analysis.at("verdict");
  EXPECT_EQ(verdict.at("id"), "phase4-stays-dead");
  EXPECT_EQ(verdict.at("outcome"), "PROVISIONAL");
  EXPECT_EQ(verdict.at("post_hoc"), true);
  EXPECT_THAT(verdict.at("text").get<std::string>(), HasSubstr("58.5 % cheaper (from lower8; 58.7 % from all-beta)"));
  const Json& flip = verdict.at("hypotheses").at(0).at("comparisons").at(0).at("flips").at(0);
  EXPECT_EQ(flip.at("fact"), "mean_ms(lower8,PhaseE_Beta_Kernel)");
  EXPECT_NEAR(flip.at("change_percent").get<double>(), -58.5, 0.0501);
}

TEST_F(PublishedComparison, MaterialKernelsHaveIdenticalCallsAndFourCarryTheTime) {
  struct Fact {
    const char* leg;
    double old_ms, new_ms;
  };
  for (const Fact& fact : {Fact{"lower8", 1084775.8, 1091686.1}, Fact{"phaseE-off", 1919403.7, 1939592.8},
                           Fact{"all-beta", 482173.1, 485942.8}}) {
    SCOPED_TRACE(fact.leg);
    const Json& found = leg("kernels_ab", fact.leg);
    EXPECT_NEAR(found.at("baseline_ms").get<double>(), fact.old_ms, 0.0501);
    EXPECT_NEAR(found.at("candidate_ms").get<double>(), fact.new_ms, 0.0501);
    EXPECT_EQ(found.at("rows_for_99_pct"), 4);
    for (const Json& row : found.at("kernels")) {
      if (row.at("material") != true) continue;
      EXPECT_EQ(row.at("baseline").at("calls"), row.at("candidate").at("calls")) << row.at("short_name");
    }
  }
  EXPECT_EQ(gate("calls"), "PASS");
}

TEST_F(PublishedComparison, KernelChangesAreThoseFoundByHandAndOnlyProvisionallyEquivalent) {
  struct Fact {
    const char *leg, *kernel;
    double percent;
    std::int64_t calls;
  };
  for (const Fact& fact :
       {Fact{"lower8", "DecodeKernel", 0.23, 35700}, Fact{"phaseE-off", "DecodeKernel", 1.34, 40800},
        Fact{"all-beta", "DecodeKernel", 0.17, 12240}, Fact{"lower8", "PhaseE_Beta_Kernel", 1.66, 5100},
        Fact{"all-beta", "PhaseE_Beta_Kernel", 1.55, 4080}, Fact{"phaseE-off", "Phase_D_MLP_Kernel", 0.91, 40800}}) {
    SCOPED_TRACE(std::string(fact.leg) + " " + fact.kernel);
    const Json& row = kernel(fact.leg, fact.kernel);
    EXPECT_NEAR(row.at("test").at("delta_pct").get<double>(), fact.percent, 0.00501);
    EXPECT_EQ(row.at("test").at("se_source"), "borrowed");
    EXPECT_EQ(row.at("candidate").at("calls"), fact.calls);
    EXPECT_THAT(row.at("outcome").get<std::string>(), testing::StartsWith("EQUIVALENT"));
  }
  EXPECT_EQ(gate("kernels"), "PASS (PROVISIONAL)");
}

TEST_F(PublishedComparison, TimePerTokenClosesTheBudgetAndKeepsTheOrder) {
  struct Fact {
    const char* leg;
    double named_ms, coverage_pct;
    std::int64_t answers;
  };
  for (const Fact& fact :
       {Fact{"lower8", 322.4, 98.0, 49}, Fact{"phaseE-off", 662.7, 99.2, 4}, Fact{"all-beta", 371.5, 98.4, 49}}) {
    SCOPED_TRACE(fact.leg);
    const Json& found = leg("aggregate", fact.leg).at("candidate");
    EXPECT_NEAR(found.at("named_ms").get<double>(), fact.named_ms, 0.0501);
    EXPECT_NEAR(found.at("coverage").get<double>() * 100, fact.coverage_pct, 0.0501);
    EXPECT_EQ(found.at("wall_answers"), fact.answers);
  }
  EXPECT_EQ(gate("order"), "PASS (PROVISIONAL)");
  EXPECT_EQ(gate("budget"), "PASS (PROVISIONAL)");
}

TEST_F(PublishedComparison, AnswersAreComparedQuestionByQuestion) {
  const Json& lower8 = leg("accuracy", "lower8");
  EXPECT_EQ(lower8.at("lost"), Json({8, 24}));
  EXPECT_EQ(lower8.at("gained"), Json::array({11}));
  EXPECT_EQ(lower8.at("timed_out_both"), Json::array({45}));
  EXPECT_EQ(lower8.at("baseline").at("right"), 47);
  EXPECT_EQ(lower8.at("candidate").at("right"), 46);
  const Json& off = leg("accuracy", "phaseE-off");
  EXPECT_EQ(off.at("baseline").at("censored"), 48);
  EXPECT_EQ(off.at("candidate").at("censored"), 46);
  EXPECT_EQ(off.at("candidate").at("total"), 50);
  EXPECT_EQ(off.at("outcome"), "INCONCLUSIVE");
  EXPECT_EQ(off.at("candidate").at("bounds"), Json({0.08, 1.0}));
  EXPECT_EQ(gate("quality"), "INCONCLUSIVE");
  EXPECT_EQ(gate("legacy"), "PASS");
}

TEST_F(PublishedComparison, FinishesWithAFailedShipGateAndSaysSoInItsExitCode) {
  EXPECT_EQ(gate("ship"), "FAIL");
  EXPECT_EQ(gate("floor"), "FAIL");
  EXPECT_EQ(result_.exit, ComparisonExit::kGateFailed);
}

TEST_F(PublishedComparison, ThePrReportTellsTheWholeExperiment) {
  const std::string pr = render_report(result_.analysis, "pr");
  for (const char* part :
       {"| lower8 | DecodeKernel | 35,700 | 35,700 | 17088.5 | 17128.2 | +0.23 % |",
        "| lower8 | PhaseE_Beta_Kernel | 5,100 | 5,100 |", "| phaseE-off | Phase_D_MLP_Kernel | 40,800 | 40,800 |",
        "| phaseE-off | DecodeKernel | 40,800 | 40,800 |", "| all-beta | DecodeKernel | 12,240 | 12,240 |",
        "| all-beta | PhaseE_Beta_Kernel | 4,080 | 4,080 |",
        "| lower8 | now | 322.4 | 428.1 | 437.0 (49 answers) | 98.0 % |", "| lower8 | 47 to 46 of 50 |",
        "| phaseE-off | 2 to 4 of 50 |", "| all-beta | 47 to 47 of 50 |",
        "questions 8 and 24 lost, question 11 gained; question 45 timed out in both folders",
        "6 of 6 material kernels within 2 %", "band +-2", "46 of 50 right, wanted 47",
        "- [ ] gate ship (required): FAIL", "- [x] gate order (required): PASS (PROVISIONAL)",
        "| git_commit | 10aa78757 | 67619835b |", "`*.pt.trace.json.gz`"}) {
    EXPECT_THAT(pr, HasSubstr(part));
  }
  EXPECT_EQ(pr.find(" nan"), std::string::npos);
}

TEST_F(PublishedComparison, TheHtmlReportIsSmallAndLoadsNothing) {
  const std::string html = render_report(result_.analysis, "html");
  EXPECT_LT(html.size(), std::size_t{2} << 20);
  for (const char* word : {"http:", "https:", "src=", "<script", "@import", "url("}) {
    EXPECT_EQ(html.find(word), std::string::npos) << word;
  }
  const auto count = [&](const char* part) {
    std::size_t found = 0;
    for (std::size_t at = html.find(part); at != std::string::npos; at = html.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("href="), count("href=\"#"));  // links lead to places in the report itself
  EXPECT_EQ(count("<a href=\"#q"), 150u);         // three legs of fifty questions
  std::size_t changed = 0;
  for (const Json& one : result_.analysis.at("accuracy").at("legs")) changed += one.at("transitions").size();
  EXPECT_EQ(changed, 11u);
  EXPECT_EQ(count("class=\"q flip"), changed + 1);  // and the one of the legend
}

TEST_F(PublishedComparison, TwiceGivesTheSameBytes) {
  const Comparison again = compare();
  EXPECT_EQ(again.files, result_.files);
  EXPECT_EQ(again.files.size(), 11u);
  EXPECT_EQ(render_reports(again.analysis), render_reports(result_.analysis));
}

}  // namespace
}  // namespace nvllm::bench
