#include "bench/analysis/deviations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/analysis/synthetic_folders.h"

namespace nvllm::bench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

EvidenceFolder spotless() {
  EvidenceFolder clean = folder(4);
  clean.provenance["gpu"] = {{"name", "some"}};
  return clean;
}

TEST(Deviations, AFolderWithSeveralBootsAndAFullRecordHasNone) {
  EXPECT_THAT(find_deviations(rules(), spotless()), ElementsAre());
}

TEST(Deviations, ABuildScoredInAnotherModeThanTimedIsTold) {
  EvidenceFolder bent = spotless();
  bent.legs[0].profile_metadata["cudagraph_mode"] = "FULL";
  bent.legs[0].eval_metadata = {{"cudagraph_mode", "PIECEWISE"}};
  EXPECT_THAT(find_deviations(rules(), bent),
              ElementsAre(HasSubstr("few: timed with cudagraph_mode \"FULL\", scored with \"PIECEWISE\"")));
}

TEST(Deviations, UnequalBurstsOneBootAndShortCommitsAreTold) {
  EvidenceFolder bent = folder(1);
  bent.legs[1].profiles[0].requests = 4;
  bent.legs[1].profile_metadata["git_commit"] = "10aa78757";
  const auto found = find_deviations(rules(), bent);
  EXPECT_THAT(found, Contains(HasSubstr("in requests: few 10, many 4")));
  EXPECT_THAT(found, Contains(HasSubstr("2 of 2 legs were profiled in one boot")));
  EXPECT_THAT(found, Contains(HasSubstr("commit 10aa78757 is abbreviated")));
  EXPECT_THAT(found, Contains(HasSubstr("neither the graphics processor nor its driver")));
}

}  // namespace
}  // namespace nvllm::bench
