#include "bench/run/server_profile.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "bench/profile/profile_folder.h"
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

}  // namespace
}  // namespace nvllm::bench
