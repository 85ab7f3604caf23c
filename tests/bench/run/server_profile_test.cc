#include "bench/run/server_profile.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "bench/profile/profile_folder.h"
#include "bench/run/fake_injection.h"
#include "bench/run/fake_server.h"
#include "bench/store/kernel_csv.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::TempFolder;

std::filesystem::path written_profile(const std::filesystem::path& root) {
  Collector collector;
  for (int step = 0; step < 3; ++step) {
    collector.on_step_begin({.decode_rows = 1});
    for (int layer = 0; layer < 2; ++layer) {
      collector.on_launch({.operation = "matmul",
                           .layer = layer,
                           .shape = {1, 64, 32},
                           .seconds = 10e-6 * (layer + 1)});
    }
    collector.on_launch({.operation = "logits", .shape = {1, 100, 0}, .seconds = 50e-6});
    collector.on_launch({.operation = "sample", .seconds = 5e-6, .kind = WorkKind::kHost});
    collector.on_step_end(SystemClock().now());
  }
  return write_profile(root, collector.profile(), {.leg = "lower8", .requests = 1});
}

TEST(ServerProfile, ReadsWhatAServerWrote) {
  const TempFolder root;
  const ServerProfile profile = read_server_profile(written_profile(root.path()), "a");
  EXPECT_EQ(profile.kernels.leg, "a");
  EXPECT_EQ(profile.kernels.decode_steps, 3);
  ASSERT_EQ(profile.kernels.rows.size(), 3u);
  EXPECT_EQ(profile.kernels.rows[0].name, "logits");
  EXPECT_EQ(profile.kernels.rows[0].n_calls, 3);
  EXPECT_FALSE(profile.kernels.rows[0].layer.has_value());
  EXPECT_EQ(profile.kernels.rows[1].layer, 1);
  EXPECT_EQ(profile.kernels.rows[1].grid, (Dim3{1, 64, 32}));
  EXPECT_NEAR(profile.kernels.rows[1].mean_us, 20, 1e-3);
  EXPECT_EQ(profile.kernels.rows[1].phase, "decode");
  ASSERT_EQ(profile.symbols.rows.size(), 2u);
  EXPECT_EQ(profile.symbols.rows[1].n_calls, 6);
}

TEST(ServerProfile, IsTheSameAfterTheCanonicalTableWasWrittenAndRead) {
  const TempFolder root;
  const KernelTable table = read_server_profile(written_profile(root.path()), "a").kernels;
  const std::string text = format_kernels(table, nullptr);
  EXPECT_EQ(format_kernels(parse_kernels(text, "k", "a"), nullptr), text);
}

TEST(ServerProfile, ComplainsAboutAColumnThatIsMissing) {
  const TempFolder root;
  const std::filesystem::path folder = written_profile(root.path());
  std::string text = test::text_of(folder / "kernels.csv");
  text.replace(text.find("mean_us"), 7, "mean_ns");
  write_file_atomically(folder / "kernels.csv", text);
  EXPECT_THROW(read_server_profile(folder, "a"), Error);
}

/// A folder as the injected library writes it.
std::filesystem::path injected_folder(const std::filesystem::path& root, int gemms, double us,
                                      std::int64_t lost = 0) {
  Collector collector;
  collector.on_lost(lost);
  test::launches("gemm", gemms, us)(collector);
  test::launches("norm", 2, 5)(collector);
  return write_profile(root, collector.profile(), {.leg = "injected", .device = "cuda"});
}

const BurstTimes kTimes{
    .wall_s = {1, 1}, .tokens = {12, 12}, .prompt_tokens = 7, .token_ids_sha256 = ""};

TEST(InjectedProfile, HasKernelsByNameAndTheWorkThatWasSent) {
  const TempFolder root;
  const ServerProfile profile =
      injected_profile({.folders = {injected_folder(root.path(), 6, 10)}}, kTimes, "a");
  EXPECT_EQ(profile.kernels.leg, "a");
  EXPECT_EQ(profile.kernels.requests, 2);
  EXPECT_EQ(profile.kernels.prefills, 2);
  EXPECT_EQ(profile.kernels.decode_steps, 22);
  ASSERT_EQ(profile.kernels.rows.size(), 2u);
  EXPECT_EQ(profile.kernels.rows[0].name, "gemm");
  EXPECT_EQ(profile.kernels.rows[0].n_calls, 6);
  EXPECT_EQ(profile.kernels.rows[0].phase, "") << "the library sees no steps";
  EXPECT_EQ(profile.symbols.rows.size(), 2u);
  EXPECT_FALSE(profile.metadata.contains("phases"));
  const Json& profiler = profile.metadata.at("profiler");
  EXPECT_EQ(profiler.at("method"), "inject");
  EXPECT_EQ(profiler.at("processes"), 1);
  EXPECT_EQ(profiler.at("lost_kernels"), 0);
  EXPECT_EQ(profiler.at("complete"), true);
  const std::string text = format_kernels(profile.kernels, nullptr);
  EXPECT_EQ(format_kernels(parse_kernels(text, "k", "a"), nullptr), text);
}

TEST(InjectedProfile, OfSeveralProcessesAddsUpAndLostKernelsAreAFinding) {
  const TempFolder root;
  const ServerProfile profile =
      injected_profile({.folders = {injected_folder(root.path(), 3, 10, 2),
                                    injected_folder(root.path(), 1, 30, 1)},
                        .findings = {"one came late"}},
                       kTimes, "a");
  const KernelRow& gemm = profile.kernels.rows[0];
  EXPECT_EQ(gemm.n_calls, 4);
  EXPECT_NEAR(gemm.total_ms, 0.06, 1e-9);
  EXPECT_NEAR(gemm.mean_us, 15, 1e-6);
  EXPECT_NEAR(*gemm.sd_us, 10, 1e-3);  // of 10, 10, 10 and 30
  EXPECT_NEAR(*gemm.log_mean, (3 * std::log(10) + std::log(30)) / 4, 1e-5);
  EXPECT_NEAR(*gemm.min_us, 10, 1e-6);
  EXPECT_NEAR(*gemm.max_us, 30, 1e-6);
  EXPECT_EQ(profile.kernels.rows[1].n_calls, 4);
  const Json& profiler = profile.metadata.at("profiler");
  EXPECT_EQ(profiler.at("processes"), 2);
  EXPECT_EQ(profiler.at("lost_kernels"), 3);
  EXPECT_EQ(profiler.at("complete"), false);
  EXPECT_EQ(profiler.at("findings").size(), 2u);
}

}  // namespace
}  // namespace nvllm::bench
