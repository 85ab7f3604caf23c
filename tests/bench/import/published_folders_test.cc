// The two published folders of the three-leg sweep, held against the facts found in them by hand.
// They are read by path and skipped where absent.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "bench/import/legacy_3leg.h"
#include "bench/records/call_law.h"
#include "bench/records/per_token.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;

class PublishedFolders : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("NVLLM_SHARED");
    const std::filesystem::path root =
        (shared != nullptr ? std::filesystem::path(shared) : std::filesystem::path(NVLLM_SOURCE_DIR) / "../shared") /
        "data/phaseE-tax";
    if (!std::filesystem::exists(root)) GTEST_SKIP() << "no published folders below " << root << " (set NVLLM_SHARED)";
    old_ = import_legacy_3leg(root / "2026-05-02-phaseE-tax-3leg");
    new_ = import_legacy_3leg(root / "2026-05-15-phaseE-tax-3leg-post-ssm");
  }

  static const KernelTable& profile(const EvidenceFolder& folder, const char* leg) {
    return find_leg(folder, leg)->profiles.at(0);
  }

  EvidenceFolder old_, new_;
};

constexpr std::array<const char*, 3> kLegs = {"lower8", "phaseE-off", "all-beta"};

TEST_F(PublishedFolders, HoldThreeLegsInTheOrderTheyRanAndNoContradiction) {
  for (const EvidenceFolder* folder : {&old_, &new_}) {
    ASSERT_EQ(folder->legs.size(), 3u);
    for (std::size_t i = 0; i < kLegs.size(); ++i) EXPECT_EQ(folder->legs[i].leg, kLegs[i]);
    EXPECT_THAT(folder->notes, ElementsAre());
  }
  EXPECT_EQ(find_leg(new_, "lower8")->profile_metadata.at("git_commit"), "67619835b");
}

/// The join of two tables by name, as the re-analysis counted it.
struct Inventory {
  std::int64_t shared = 0, same_count = 0, only_old = 0, only_new = 0, up = 0, down = 0, beyond = 0;
  double beyond_share = 0;  ///< of the old table's time
};

Inventory join(const KernelTable& old_table, const KernelTable& new_table) {
  std::map<std::string, const KernelRow*> by_key;
  for (const KernelRow& row : new_table.rows) by_key[kernel_key(row)] = &row;
  Inventory found;
  for (const KernelRow& row : old_table.rows) {
    const auto match = by_key.find(kernel_key(row));
    if (match == by_key.end()) continue;
    ++found.shared;
    if (match->second->n_calls != row.n_calls) continue;
    ++found.same_count;
    const double ratio = match->second->mean_us / row.mean_us;
    found.up += ratio > 1;
    found.down += ratio < 1;
    if (std::abs(ratio - 1) <= 0.02) continue;
    ++found.beyond;
    found.beyond_share += row.share.value();
  }
  found.only_old = static_cast<std::int64_t>(old_table.rows.size()) - found.shared;
  found.only_new = static_cast<std::int64_t>(new_table.rows.size()) - found.shared;
  return found;
}

TEST_F(PublishedFolders, KernelInventoriesAreThoseFoundByHand) {
  struct Fact {
    const char* leg;
    std::size_t old_rows, new_rows;
    std::int64_t shared, same, only_old, only_new;
    double old_ms, new_ms, change_pct;
    std::int64_t up, down, beyond;
    double beyond_pct;
  };
  // Totals are printed to 0.1 ms, changes and shares to 0.001 points: half of that is the tolerance.
  for (const Fact& fact : {Fact{"lower8", 81, 84, 75, 73, 6, 9, 1084775.8, 1091686.1, 0.637, 54, 17, 21, 0.038},
                           Fact{"phaseE-off", 78, 79, 74, 74, 4, 5, 1919403.7, 1939592.8, 1.052, 59, 13, 21, 0.018},
                           Fact{"all-beta", 81, 83, 77, 75, 4, 6, 482173.1, 485942.8, 0.782, 52, 22, 20, 0.032}}) {
    SCOPED_TRACE(fact.leg);
    const KernelTable &before = profile(old_, fact.leg), &after = profile(new_, fact.leg);
    EXPECT_EQ(before.rows.size(), fact.old_rows);
    EXPECT_EQ(after.rows.size(), fact.new_rows);
    const Inventory found = join(before, after);
    EXPECT_EQ(found.shared, fact.shared);
    EXPECT_EQ(found.same_count, fact.same);
    EXPECT_EQ(found.only_old, fact.only_old);
    EXPECT_EQ(found.only_new, fact.only_new);
    EXPECT_NEAR(total_ms(before), fact.old_ms, 0.0501);
    EXPECT_NEAR(total_ms(after), fact.new_ms, 0.0501);
    EXPECT_NEAR((total_ms(after) / total_ms(before) - 1) * 100, fact.change_pct, 0.000501);
    EXPECT_EQ(found.up, fact.up);
    EXPECT_EQ(found.down, fact.down);
    EXPECT_EQ(found.beyond, fact.beyond);
    EXPECT_NEAR(found.beyond_share * 100, fact.beyond_pct, 0.000501);
  }
}

TEST_F(PublishedFolders, NamedKernelsTakeThePublishedTimePerToken) {
  const std::array<std::string_view, 2> beta = {"DecodeKernel", "PhaseE_Beta_Kernel"};
  const std::array<std::string_view, 2> off = {"DecodeKernel", "Phase_D_MLP_Kernel"};
  EXPECT_NEAR(named_ms_per_step(profile(new_, "lower8"), beta).value(), 322.4, 0.0501);
  EXPECT_NEAR(named_ms_per_step(profile(new_, "all-beta"), beta).value(), 371.5, 0.0501);
  EXPECT_NEAR(named_ms_per_step(profile(new_, "phaseE-off"), off).value(), 662.7, 0.0501);
}

TEST_F(PublishedFolders, KernelsAndWallTimeCloseTheBudget) {
  struct Fact {
    const char* leg;
    double kernels_ms, wall_ms, coverage_pct;
    std::int64_t answers;
  };
  for (const Fact& fact : {Fact{"lower8", 428.1, 437.0, 98.0, 49}, Fact{"all-beta", 476.4, 483.9, 98.4, 49},
                           Fact{"phaseE-off", 760.6, 766.6, 99.2, 4}}) {
    SCOPED_TRACE(fact.leg);
    const double kernels = kernels_ms_per_step(profile(new_, fact.leg)).value();
    const WallSlope wall = wall_ms_per_token(find_leg(new_, fact.leg)->questions).value();
    EXPECT_NEAR(kernels, fact.kernels_ms, 0.0501);
    EXPECT_NEAR(wall.ms_per_token, fact.wall_ms, 0.0501);
    EXPECT_EQ(wall.answers, fact.answers);
    EXPECT_NEAR(kernels / wall.ms_per_token * 100, fact.coverage_pct, 0.0501);
  }
  EXPECT_FALSE(wall_ms_per_token(find_leg(old_, "lower8")->questions).has_value()) << "the first folder has no tokens";
}

TEST_F(PublishedFolders, EveryCallCountDividesByTheRequests) {
  const std::map<std::string, std::int64_t> requests = {{"lower8", 10}, {"phaseE-off", 10}, {"all-beta", 4}};
  std::int64_t rows = 0;
  for (const EvidenceFolder* folder : {&old_, &new_}) {
    for (const auto& [leg, count] : requests) {
      const KernelTable& table = profile(*folder, leg.c_str());
      EXPECT_EQ(table.requests, count);
      EXPECT_EQ(table.decode_steps, count * 255);
      const LawReport report = guess_call_laws(table);
      EXPECT_EQ(report.residual_rows, 0);
      rows += static_cast<std::int64_t>(report.rows.size());
    }
  }
  EXPECT_EQ(rows, 486);
}

TEST_F(PublishedFolders, CallsPerStepAreThoseOfTheLayers) {
  const LawReport report = guess_call_laws(profile(new_, "lower8"));
  const std::array<std::pair<const char*, CallLaw>, 6> facts = {
      {{"DecodeKernel", {14, 0}},
       {"PhaseE_Beta_Kernel", {2, 0}},
       {"gemvx::kernel", {145, 1}},
       {"nvfp4_gemm", {140, 128}},
       {"fused_recurrent_gated_delta_rule_packed_decode_kernel", {48, 0}},
       {"vllm::reshape_and_cache_flash_kernel", {16, 16}}}};
  for (const auto& [name, law] : facts) {
    // The most expensive row of that name: two more NVFP4 products run in prefill only.
    const auto row = std::find_if(report.rows.begin(), report.rows.end(),
                                  [name = name](const LawRow& one) { return one.short_name.starts_with(name); });
    ASSERT_NE(row, report.rows.end()) << name;
    EXPECT_EQ(row->law, law) << name << " " << row->law.a << " " << row->law.b;
    EXPECT_EQ(row->proof, LawProof::kNotProven);
  }
}

TEST_F(PublishedFolders, LegsOfTenAndOfFourRequestsAgreePerRequest) {
  const auto agree = [](const EvidenceFolder& folder) {
    std::map<std::string, std::int64_t> per_request;
    for (const KernelRow& row : profile(folder, "lower8").rows) per_request[kernel_key(row)] = row.n_calls / 10;
    std::pair<int, int> same_of_shared;
    for (const KernelRow& row : profile(folder, "all-beta").rows) {
      const auto match = per_request.find(kernel_key(row));
      if (match == per_request.end()) continue;
      ++same_of_shared.second;
      same_of_shared.first += match->second == row.n_calls / 4;
    }
    return same_of_shared;
  };
  EXPECT_EQ(agree(old_), std::pair(67, 75));
  EXPECT_EQ(agree(new_), std::pair(71, 80));
}

TEST_F(PublishedFolders, ShortNamesTellAllKernelsApart) {
  for (const EvidenceFolder* folder : {&old_, &new_}) {
    for (const LegEvidence& leg : folder->legs) {
      std::set<std::string> names, keys;
      for (const KernelRow& row : leg.profiles[0].rows) {
        EXPECT_LE(row.short_name.size(), 60u);
        names.insert(row.short_name);
        keys.insert(kernel_key(row));
      }
      EXPECT_EQ(names.size(), leg.profiles[0].rows.size());
      EXPECT_EQ(keys.size(), leg.profiles[0].rows.size());
    }
  }
}

TEST_F(PublishedFolders, KernelTablesAreWrittenBackByteForByte) {
  for (const EvidenceFolder* folder : {&old_, &new_}) {
    for (const char* leg : kLegs) {
      EXPECT_EQ(format_profile_kernels(profile(*folder, leg)),
                test::text_of(folder->path / leg / "profile_kernels.csv"));
    }
  }
}

/// Question numbers from 1, as the summary names them.
struct Paired {
  std::vector<std::int64_t> lost, gained;
  std::int64_t both_finished = 0, same_tail = 0;
};

Paired pair_up(const LegEvidence* before, const LegEvidence* after) {
  Paired found;
  for (std::size_t i = 0; i < before->questions.size(); ++i) {
    const QuestionResult &one = before->questions[i], &other = after->questions.at(i);
    EXPECT_EQ(one.prompt_index, other.prompt_index);
    EXPECT_EQ(one.question, other.question);
    if (one.correct && !other.correct) found.lost.push_back(one.prompt_index);
    if (!one.correct && other.correct) found.gained.push_back(one.prompt_index);
    found.both_finished += finished(one) && finished(other);
    found.same_tail += one.output_tail == other.output_tail;
  }
  return found;
}

TEST_F(PublishedFolders, PairedAnswersAreThoseFoundByHand) {
  const Paired lower8 = pair_up(find_leg(old_, "lower8"), find_leg(new_, "lower8"));
  EXPECT_THAT(lower8.lost, ElementsAre(8, 24));
  EXPECT_THAT(lower8.gained, ElementsAre(11));
  EXPECT_EQ(lower8.both_finished, 48);
  EXPECT_EQ(lower8.same_tail, 8);

  const Paired beta = pair_up(find_leg(old_, "all-beta"), find_leg(new_, "all-beta"));
  EXPECT_THAT(beta.lost, ElementsAre(8));
  EXPECT_THAT(beta.gained, ElementsAre(11));
  EXPECT_EQ(beta.both_finished, 48);
  EXPECT_EQ(beta.same_tail, 5);

  const Paired legs = pair_up(find_leg(new_, "lower8"), find_leg(new_, "all-beta"));
  EXPECT_THAT(legs.lost, ElementsAre());
  EXPECT_THAT(legs.gained, ElementsAre(24));
  EXPECT_EQ(legs.both_finished, 49);
  EXPECT_EQ(legs.same_tail, 12);

  const Paired off = pair_up(find_leg(old_, "phaseE-off"), find_leg(new_, "phaseE-off"));
  EXPECT_EQ(off.lost.size(), 2u);
  EXPECT_EQ(off.gained.size(), 4u);
  EXPECT_EQ(off.both_finished, 0);
}

TEST_F(PublishedFolders, TimeoutsAreCensoredNotWrong) {
  const auto timeouts = [](const EvidenceFolder& folder, const char* leg) {
    std::vector<std::int64_t> found;
    for (const QuestionResult& question : find_leg(folder, leg)->questions) {
      if (question.status != QuestionStatus::kTimeout) continue;
      EXPECT_TRUE(question.censored);
      EXPECT_DOUBLE_EQ(question.deadline_s, 180);
      found.push_back(question.prompt_index);
    }
    return found;
  };
  EXPECT_THAT(timeouts(old_, "lower8"), ElementsAre(11, 45));
  EXPECT_THAT(timeouts(new_, "lower8"), ElementsAre(45));
  EXPECT_THAT(timeouts(new_, "all-beta"), ElementsAre(45));
  EXPECT_EQ(timeouts(old_, "phaseE-off").size(), 48u);
  EXPECT_EQ(timeouts(new_, "phaseE-off").size(), 46u);
}

TEST_F(PublishedFolders, TheLeastMemoryWasTwentySevenGibibytes) {
  const auto least = [](const EvidenceFolder& folder) {
    return folder.provenance.at("mem_watchdog").at("available_gib_min").get<double>();
  };
  EXPECT_DOUBLE_EQ(std::min(least(old_), least(new_)), 27);
}

}  // namespace
}  // namespace nvllm::bench
