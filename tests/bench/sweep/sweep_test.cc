#include "bench/sweep/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

/// The smallest sweep file, with `more` after its first four lines.
std::string small(const std::string& more) {
  return "schema = \"nvllm.sweep/v1\"\nname = \"s\"\nclaim = \"c\"\n[legs.a]\n" + more +
         "\n[[verdict]]\nwhen = \"true\"\nid = \"open\"\n";
}

std::string error_of(const std::string& text) {
  try {
    parse_sweep(text, "x.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown for " << text;
  return {};
}

TEST(Sweep, TheShippedFilesRead) {
  for (const char* name : {"phaseE-tax.toml", "three-leg.toml"}) {
    const Sweep sweep = read_sweep(std::filesystem::path(NVLLM_SOURCE_DIR) / "sweeps" / name);
    ASSERT_EQ(sweep.legs.size(), 3u) << name;
    EXPECT_EQ(sweep.legs[0].name, "lower8");  // the order written, not that of names
    EXPECT_EQ(sweep.legs[2].name, "all-beta");
    EXPECT_GE(sweep.verdict.size(), 3u);
  }
}

TEST(Sweep, FilesForThePlantedFaultsSayWhatIsPlanted) {
  const auto sweep_of = [](const char* name) {
    return read_sweep(std::filesystem::path(NVLLM_SOURCE_DIR) / "sweeps" / name);
  };
  const Sweep planted = sweep_of("planted.toml"), aa = sweep_of("aa.toml"), post = sweep_of("post-ssm.toml");
  EXPECT_EQ(planted.legs[1].env.at("NVLLM_FAULTS"), "slow:DecodeKernel:0.03");
  EXPECT_EQ(planted.hypotheses[0].effect, 0.03);
  ASSERT_EQ(aa.hypotheses.size(), 1u);
  EXPECT_EQ(aa.hypotheses[0].alpha, 0.05);
  EXPECT_EQ(aa.legs[0].arguments, aa.legs[1].arguments);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(post.legs[i].env.empty());
    EXPECT_EQ(post.legs[i + 3].name, post.legs[i].name + "-stale");
    EXPECT_EQ(post.legs[i + 3].arguments, post.legs[i].arguments);
    EXPECT_EQ(post.legs[i + 3].env.at("NVLLM_FAULTS"), "stale-state");
    EXPECT_TRUE(post.legs[i + 3].repeats_may_differ);
  }
}

TEST(Sweep, AnEquivalenceGateMayCompareWithALegOfTheSameFolder) {
  const auto gate = [](const std::string& vs) {
    return small("[legs.b]\n[gates]\nk = { kind = \"equivalent\", margin = \"2%\", vs = \"" + vs + "\" }");
  };
  EXPECT_EQ(parse_sweep(gate("b"), "x.toml").gates[0].vs_leg, "b");
  EXPECT_EQ(parse_sweep(gate("baseline"), "x.toml").gates[0].vs_leg, "");
  EXPECT_THAT(error_of(gate("c")), HasSubstr("names leg 'c', which the sweep does not have"));
}

TEST(Sweep, BorrowedNoiseIsLabelledWithItsSource) {
  const Sweep sweep = read_sweep(std::filesystem::path(NVLLM_SOURCE_DIR) / "sweeps/phaseE-tax.toml");
  ASSERT_TRUE(sweep.noise.has_value());
  EXPECT_DOUBLE_EQ(sweep.noise->boot_sigma, 0.00109);
  EXPECT_THAT(sweep.noise->source, HasSubstr("is not in it"));
  EXPECT_THAT(error_of(small("[noise]\nkind = \"measured\"\nboot_sigma = \"1%\"\nsource = \"s\"")),
              HasSubstr("'noise.kind' is not \"borrowed\""));
  EXPECT_THAT(error_of(small("[noise]\nkind = \"borrowed\"\nboot_sigma = \"1%\"")),
              HasSubstr("'noise.source' is missing"));
}

TEST(Sweep, ComplaintsNameFileAndLineAndWhatWasWanted) {
  EXPECT_THAT(error_of(small("colour = 1")), HasSubstr("x.toml:5:1: unknown key 'legs.a.colour', wanted one of:"));
  EXPECT_THAT(error_of(small("[gsm8k]\nn = \"fifty\"")),
              HasSubstr("x.toml:6:1: 'gsm8k.n' is a text, wanted a whole number"));
  EXPECT_THAT(error_of(small("[gsm8k]\nn = 0")), HasSubstr("x.toml:6:1: 'gsm8k.n' is 0, wanted 1 to"));
  EXPECT_THAT(error_of(small("[gsm8k\n")), HasSubstr("x.toml:5:7: no TOML"));
  EXPECT_THAT(error_of(small("[gsm8k]\ndeadline_s = nan")), HasSubstr("x.toml:6"));
  EXPECT_THAT(error_of("schema = \"nvllm.sweep/v2\"\n"), HasSubstr("wanted \"nvllm.sweep/v1\""));
  EXPECT_THAT(error_of("name = \"s\"\n"), HasSubstr("'schema' is missing"));
}

TEST(Sweep, ImpossibleValuesAreRefused) {
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"equivalent\", margin = \"2\" }")),
              HasSubstr("'gates.k.margin' is \"2\", wanted \"0.01%\" to \"100%\""));
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"equivalent\", margin = \"-2%\" }")), HasSubstr("gates.k.margin"));
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"closure\", lo = \"99%\", hi = \"98%\" }")),
              HasSubstr("gates.k.hi"));
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"faster\" }")), HasSubstr("wanted one of: identity, equivalent"));
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"order\", expect = \"a < b\" }")), HasSubstr("names leg 'b'"));
  EXPECT_THAT(error_of(small("[gates]\nk = { kind = \"order\", expect = \"a <\" }")), HasSubstr("LEG < LEG"));
  EXPECT_THAT(error_of(small("[profile]\nbursts = [{ requests = 10, max_tokens = 1 }]")),
              HasSubstr("max_tokens' is 1"));
  EXPECT_THAT(error_of(small("[schedule]\nmax_rounds = 2\nrounds = { profile = 3 }")),
              HasSubstr("more than max_rounds = 2"));
}

TEST(Sweep, ALegMayHaveACommandEnvironmentArgumentsAndAddressOfItsOwn) {
  const Sweep sweep = parse_sweep(small("command = [\"serve-it\", \"${port}\"]\narguments = [\"--fast\"]\nenv = { FUSE = "
                                        "\"1\" }\nurl = \"http://127.0.0.1:8001\"\n[legs.b]"),
                                  "x.toml");
  EXPECT_EQ(sweep.legs[0].command, (std::vector<std::string>{"serve-it", "${port}"}));
  EXPECT_EQ(sweep.legs[0].arguments, (std::vector<std::string>{"--fast"}));
  EXPECT_EQ(sweep.legs[0].env.at("FUSE"), "1");
  EXPECT_EQ(sweep.legs[0].url, "http://127.0.0.1:8001");
  EXPECT_TRUE(sweep.legs[1].command.empty());
  EXPECT_EQ(sweep.legs[1].url, "");
}

TEST(Sweep, RulesAreCheckedBeforeAnythingIsMeasured) {
  EXPECT_THAT(error_of(small("[hypotheses]\nH1 = { expr = \"1 +\" }")), HasSubstr("x.toml:6"));
  EXPECT_THAT(error_of("schema = \"nvllm.sweep/v1\"\nname = \"s\"\nclaim = \"c\"\n[legs.a]\n[[verdict]]\nwhen = "
                       "\"H9\"\nid = \"x\"\n"),
              testing::AllOf(HasSubstr("x.toml:6:1"), HasSubstr("'H9'")));
}

TEST(Sweep, TheRulesHashSeesRulesAndNothingElse) {
  const std::string gate = "[gates]\nk = { kind = \"equivalent\", margin = \"2%\" }";
  const Sweep plain = parse_sweep(small(gate), "x.toml");
  const Sweep commented = parse_sweep("# a comment\n" + small(gate), "x.toml");
  const Sweep rerun = parse_sweep(small("[gsm8k]\nn = 7\n" + gate), "x.toml");
  const Sweep wider = parse_sweep(small("[gates]\nk = { kind = \"equivalent\", margin = \"3%\" }"), "x.toml");
  EXPECT_EQ(plain.sweep_hash, commented.sweep_hash);
  EXPECT_EQ(plain.rules_hash, rerun.rules_hash);
  EXPECT_NE(plain.sweep_hash, rerun.sweep_hash);
  EXPECT_NE(plain.rules_hash, wider.rules_hash);
}

}  // namespace
}  // namespace nvllm::bench
