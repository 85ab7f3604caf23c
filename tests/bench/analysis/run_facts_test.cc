#include "bench/analysis/run_facts.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/analysis/synthetic_folders.h"
#include "bench/analysis/written_folder.h"
#include "bench/import/packed_text.h"
#include "bench/store/seal.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

constexpr const char* kHead =
    "t,sm_mhz,mem_mhz,temp,power_w,energy_j,throttle_bits,mem_avail,psi_some,psi_full,swap_in,rss,"
    "disk_free,phase\n";

std::string look(double t_s, double free_gib, const std::string& rss, const std::string& phase) {
  return fmt::format("{},,,,,,,{:.0f},0,1.5,0,{},1,{}\n", t_s, free_gib * (1 << 30), rss, phase);
}

TEST(RunFacts, TelemetryBecomesPointsAndPhases) {
  const test::TempFolder temp;
  put_file(temp.path() / "telemetry.csv.gz",
           test::gzipped(kHead + look(0, 8, "", "few/rounds/01/profile STARTING") +
                         look(1, 6, "1073741824", "few/rounds/01/profile MEASURING") +
                         look(2, 7, "2147483648", "few/rounds/01/profile MEASURING")));
  const Json json = telemetry_json(temp.path());
  EXPECT_EQ(json.at("looks"), 3);
  EXPECT_EQ(json.at("points"),
            Json({{0.0, 8.0, nullptr, 1.5}, {1.0, 6.0, 1.0, 1.5}, {2.0, 7.0, 2.0, 1.5}}));
  ASSERT_EQ(json.at("phases").size(), 2u);
  EXPECT_EQ(json.at("phases")[1], Json({{"unit", "few/rounds/01/profile"},
                                        {"state", "MEASURING"},
                                        {"from_s", 1.0},
                                        {"to_s", 2.0}}));
}

TEST(RunFacts, AResumedRunsSecondsGoOnAndATornLineIsLeftOut) {
  const test::TempFolder temp;
  put_file(temp.path() / "telemetry.csv.gz",
           test::gzipped(kHead + look(0, 8, "", "a X") + look(30, 8, "", "a X") + "31,,,\n" +
                         look(0.5, 8, "", "b X")));
  const Json json = telemetry_json(temp.path());
  EXPECT_EQ(json.at("looks"), 3);
  EXPECT_EQ(json.at("points")[2][0], 30.5);
}

TEST(RunFacts, ThousandsOfLooksAreThinnedToTheirWorst) {
  const test::TempFolder temp;
  std::string text = kHead;
  for (int i = 0; i < 5000; ++i) text += look(i, i == 1234 ? 0.5 : 8, "", "a X");
  put_file(temp.path() / "telemetry.csv.gz", test::gzipped(text));
  const Json json = telemetry_json(temp.path());
  EXPECT_LE(json.at("points").size(), 240u);
  EXPECT_EQ(std::count_if(json.at("points").begin(), json.at("points").end(),
                          [](const Json& p) { return p[1] == 0.5; }),
            1);
}

TEST(RunFacts, NoTelemetryIsNull) {
  const test::TempFolder temp;
  EXPECT_TRUE(telemetry_json(temp.path()).is_null());
}

TEST(RunFacts, AttemptsAreReadOffTheirSeals) {
  const test::TempFolder temp;
  EvidenceFolder made = folder(1);
  made.path = temp.path();
  put_file(temp.path() / "few/attempts/01/serve.txt", "it died");
  Seal seal;
  seal.unit.leg = "few";
  seal.unit.phase = "profile";
  seal.unit.round = 2;
  seal.unit_hash = "h";
  seal.state = "FAILED";
  seal.exit = 9;
  const std::vector<std::string> names = {"serve.txt"};
  write_seal(temp.path() / "few/attempts/01", seal, names);
  EXPECT_EQ(attempts_json(made), Json::array({{{"kept_in", "few/attempts/01"},
                                               {"unit", "few/rounds/02/profile"},
                                               {"attempt", 1},
                                               {"state", "FAILED"},
                                               {"exit", 9}}}));
}

}  // namespace
}  // namespace nvllm::bench
