#include "bench/analysis/call_laws.h"

#include <gtest/gtest.h>

#include "bench/analysis/synthetic_folders.h"
#include "bench/analysis/written_folder.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

/// A boot of two bursts on disk: ten requests of 100 and of 40 decode steps; a kernel runs twice a
/// step and thrice a request.
void put_boot(const std::filesystem::path& root, std::int64_t round) {
  const auto unit = root / fmt::format("few/rounds/{:02}/profile", round);
  const auto table = [](std::int64_t steps) {
    KernelTable made;
    made.leg = "few";
    made.rows = {kernel_row("DecodeKernel", 10 * (2 * steps + 3), 5)};
    fill_shares(made);
    return made;
  };
  put_file(unit / "kernels.csv", format_kernels(table(100), nullptr));
  put_file(unit / "kernels_short.csv", format_kernels(table(40), nullptr));
  put_file(unit / "profile_metadata.json",
           readable_json(Json{{"workload", {{"requests", 10}, {"max_tokens", 101}}},
                              {"second_workload", {{"requests", 10}, {"max_tokens", 41}}}}));
}

EvidenceFolder on_disk(const std::filesystem::path& root) {
  EvidenceFolder made;
  made.path = root;
  made.provenance = Json::object();
  made.legs.push_back({.leg = "few",
                       .profiles = {},
                       .questions = {},
                       .profile_metadata = {},
                       .eval_metadata = {},
                       .eval_summary = {}});
  for (const std::int64_t round : {1, 2}) made.legs[0].profiles.push_back(boot("few", round, {}));
  return made;
}

TEST(CallLaws, TwoBurstsProveTheSplit) {
  const test::TempFolder temp;
  for (const std::int64_t round : {1, 2}) put_boot(temp.path(), round);
  const EvidenceFolder made = on_disk(temp.path());
  const std::vector<LegLaw> boots = laws_of(made, made.legs[0]);
  ASSERT_EQ(boots.size(), 2u);
  EXPECT_EQ(boots[0].at("DecodeKernel"),
            (KernelLaw{.proof = LawProof::kProven, .law = {2, 3}, .calls = 2030}));
}

TEST(CallLaws, OneBurstOnlySuggestsIt) {
  const EvidenceFolder made = folder(1);
  const std::vector<LegLaw> boots = laws_of(made, made.legs[0]);
  ASSERT_EQ(boots.size(), 1u);
  EXPECT_EQ(boots[0].at("DecodeKernel"),
            (KernelLaw{.proof = LawProof::kNotProven, .law = {14, 0}, .calls = 14000}));
}

TEST(CallLaws, ALegWithoutItsWorkloadHasNone) {
  EvidenceFolder made = folder(1);
  made.legs[0].profiles[0].requests = 0;
  EXPECT_TRUE(laws_of(made, made.legs[0]).empty());
}

TEST(CallLaws, AKernelThatCameIsAChange) {
  EvidenceFolder now = folder(2);
  for (KernelTable& table : now.legs[0].profiles)
    table.rows.push_back(kernel_row("newcomer", 1000, 3));
  const Json json = call_law_json(rules(), folder(2), now);
  const Json& kernels = json.at("legs").at(0).at("kernels");
  std::int64_t changed = 0;
  for (const Json& kernel : kernels) {
    changed += kernel.at("changed").get<bool>();
    if (kernel.at("short_name") != "newcomer") continue;
    EXPECT_EQ(kernel.at("baseline").at("proof"), "absent");
    EXPECT_EQ(kernel.at("candidate").at("a"), 1);
  }
  EXPECT_EQ(changed, 1);
  EXPECT_EQ(kernels.at(0).at("short_name"), "DecodeKernel");
  EXPECT_EQ(kernels.at(0).at("foretold"), 14);
}

}  // namespace
}  // namespace nvllm::bench
