#include "bench/store/seal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using Outcome = SealCheck::Outcome;

class UnitSeal : public testing::Test {
 protected:
  void SetUp() override {
    folder_.put("perq.jsonl", "{}\n");
    folder_.put("serve.log.gz", "raw");
    Seal seal;
    seal.unit = unit_;
    seal.unit_hash = "abc";
    seal.state = "SEALED";
    seal.attempt = 2;
    write_seal(folder_.path(), seal, std::array<std::string, 2>{"serve.log.gz", "perq.jsonl"});
  }
  SealCheck check(RawFiles raw = RawFiles::kMustBePresent) { return check_seal(folder_.path(), unit_, "abc", raw); }

  const Unit unit_{"lower8", "gsm8k", 1};
  test::TempFolder folder_;
};

TEST_F(UnitSeal, NamesFilesWithSizeAndDigest) {
  const Seal seal = read_seal(folder_.path());
  ASSERT_EQ(seal.files.size(), 2u);
  EXPECT_EQ(seal.files[0].name, "perq.jsonl");
  EXPECT_EQ(seal.files[0].bytes, 3);
  EXPECT_EQ(seal.files[0].sha256, sha256_hex(std::string_view("{}\n")));
  EXPECT_TRUE(seal.files[0].in_git);
  EXPECT_FALSE(seal.files[1].in_git);
  EXPECT_EQ(seal.unit, unit_);
  EXPECT_EQ(seal.attempt, 2);
}

TEST_F(UnitSeal, HoldsForTheSameConfigurationAndBytes) {
  EXPECT_EQ(check().outcome, Outcome::kValid);
  EXPECT_EQ(check().attempt, 2);
}

TEST_F(UnitSeal, DoesNotSurviveAnotherConfiguration) {
  const SealCheck seen = check_seal(folder_.path(), unit_, "abd", RawFiles::kMustBePresent);
  EXPECT_EQ(seen.outcome, Outcome::kInvalid);
  EXPECT_THAT(seen.reason, HasSubstr("unit_hash abc, today's is abd"));
}

TEST_F(UnitSeal, DoesNotHoldForAnotherUnit) {
  EXPECT_EQ(check_seal(folder_.path(), {"lower8", "gsm8k", 2}, "abc", RawFiles::kMustBePresent).outcome,
            Outcome::kInvalid);
}

TEST_F(UnitSeal, DoesNotSurviveAChangedOrMissingFile) {
  folder_.put("perq.jsonl", "[]\n");
  EXPECT_THAT(check().reason, HasSubstr("perq.jsonl has 3 bytes"));
  std::filesystem::remove(folder_.path() / "perq.jsonl");
  EXPECT_THAT(check(RawFiles::kMayBeAbsent).reason, HasSubstr("perq.jsonl is missing"));
}

TEST_F(UnitSeal, LetsRawFilesBeAbsentWhereThatIsAsked) {
  std::filesystem::remove(folder_.path() / "serve.log.gz");
  EXPECT_EQ(check(RawFiles::kMustBePresent).outcome, Outcome::kInvalid);
  EXPECT_EQ(check(RawFiles::kMayBeAbsent).outcome, Outcome::kValid);
}

TEST_F(UnitSeal, IsInvalidWhereItIsDamagedOrClimbs) {
  const std::string good = test::text_of(folder_.path() / kSealName);
  folder_.put(kSealName, good.substr(0, good.size() / 2));
  EXPECT_EQ(check().outcome, Outcome::kInvalid);
  folder_.put(kSealName, "");
  EXPECT_EQ(check().outcome, Outcome::kInvalid) << "an empty marker proves nothing";
  std::string climbing = good;
  climbing.replace(climbing.find("\"perq.jsonl\""), 12, "\"../x.jsonl\"");
  folder_.put(kSealName, climbing);
  EXPECT_THAT(check().reason, HasSubstr("outside"));
  std::filesystem::remove(folder_.path() / kSealName);
  EXPECT_EQ(check().outcome, Outcome::kAbsent);
}

TEST_F(UnitSeal, OfAFailedUnitIsNoProofOfResults) {
  Seal seal = read_seal(folder_.path());
  seal.state = "ABORTED";
  write_seal(folder_.path(), seal, std::array<std::string, 1>{"perq.jsonl"});
  EXPECT_THAT(check().reason, HasSubstr("ended as ABORTED"));
}

}  // namespace
}  // namespace nvllm::bench
