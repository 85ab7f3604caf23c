#include "inject/kernel_profile.h"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/json.h"

namespace nvllm::inject {
namespace {

namespace fs = std::filesystem;

class InjectedProfile : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  void TearDown() override { fs::remove_all(root); }
  static std::string read(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const fs::path root = fs::temp_directory_path() / ("nvllm_inject_" + std::to_string(::getpid()));
  KernelProfile profile{root, "some program"};
};

cuda::KernelRecord record(const char* name, std::uint64_t begin_us, std::uint64_t us) {
  return {.name = name, .begin_ns = begin_us * 1000, .end_ns = (begin_us + us) * 1000};
}

constexpr const char* kMangled = "_ZN5space6kernelIfEEvPT_i";  // void space::kernel<float>(float*, int)

TEST_F(InjectedProfile, AddsKernelsUpByReadableNames) {
  ASSERT_TRUE(profile.start());
  profile.on_kernels({record("triton_", 50, 20), record(kMangled, 10, 5)});
  profile.on_kernels({record(kMangled, 100, 7)});
  const fs::path folder = profile.stop(0);
  EXPECT_EQ(folder, root / "001");
  const std::string table = read(folder / "profile_kernels.csv");
  EXPECT_THAT(table, testing::HasSubstr("injected,triton_,1,20.000,"));
  EXPECT_THAT(table, testing::ContainsRegex("injected,space::kernel#[0-9a-f]{6},2,6.000,"));
  const Json metadata = parse_json(read(folder / "profile_metadata.json"), "metadata");
  EXPECT_EQ(metadata.at("kernel_calls"), 3);
  EXPECT_EQ(metadata.at("model"), "some program");
  EXPECT_EQ(metadata.at("profiler").at("method"), "device trace (CUPTI)");
  EXPECT_EQ(metadata.at("profiler").at("lost_kernels"), 0);
}

TEST_F(InjectedProfile, HearsOnlyBetweenStartAndStop) {
  profile.on_kernels({record("before", 0, 1)});
  ASSERT_TRUE(profile.start());
  EXPECT_FALSE(profile.start());
  profile.on_kernels({record("during", 0, 1)});
  EXPECT_EQ(profile.kernels(), 1);
  const std::string table = read(profile.stop(0) / "profile_kernels.csv");
  EXPECT_THAT(table, testing::AllOf(testing::HasSubstr("during"), testing::Not(testing::HasSubstr("before"))));
  EXPECT_FALSE(profile.runs());
  profile.on_kernels({record("after", 0, 1)});
  EXPECT_EQ(profile.stop(0), fs::path());
}

TEST_F(InjectedProfile, TellsOfTheFirstKernelsOnce) {
  int calls = 0;
  profile.on_first([&] { ++calls; });
  profile.on_kernels({record("a", 0, 1)});
  profile.on_kernels({record("a", 1, 1)});
  EXPECT_EQ(calls, 1);
}

TEST_F(InjectedProfile, DroppedRecordsAreOfTheProfileThatLostThem) {
  for (const auto& [dropped, lost] : {std::pair{5, 5}, {5, 0}, {7, 2}}) {
    ASSERT_TRUE(profile.start());
    const Json metadata = parse_json(read(profile.stop(dropped) / "profile_metadata.json"), "metadata");
    EXPECT_EQ(metadata.at("profiler").at("lost_kernels"), lost);
  }
}

}  // namespace
}  // namespace nvllm::inject
