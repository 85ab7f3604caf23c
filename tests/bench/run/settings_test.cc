#include "bench/run/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Sweep sweep_with(const std::string& server, const std::string& leg = "",
                 const std::string& profile = "") {
  return parse_sweep(R"(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[model]
id = "org/mine"
path = "synthetic:tiny-hybrid"
[legs.a]
)" + leg + "\n[server]\n" +
                         server + "\n[profile]\n" + profile + R"(
bursts = [{ requests = 1, max_tokens = 4 }, { requests = 1, max_tokens = 2 }]
[[verdict]]
when = "true"
id = "x"
)",
                     "s.toml");
}

const CommandFacts kFacts{.program = "/bin/ours", .port = "8123", .traces = "/tmp/t"};

TEST(RunSettings, AServerOfOursHasItsCommandWithoutBeingTold) {
  const Sweep sweep = sweep_with("");
  const RunSettings settings = run_settings(sweep, "");
  EXPECT_TRUE(settings.server.kind->ours);
  EXPECT_THAT(command_of(settings, sweep.legs[0], kFacts),
              ElementsAre("/bin/ours", "serve", "--port", "8123", "--model",
                          "synthetic:tiny-hybrid", "--log-level", "warning",
                          "--no-enable-prefix-caching"));
  EXPECT_EQ(settings.kernels, KernelMethod::kInProcess);
}

TEST(RunSettings, CommandsAndEnvironmentsAreFilledIn) {
  const Sweep sweep = sweep_with(
      "kind = \"vllm\"\ncommand = [\"vllm\", \"serve\", \"${model.id}\", \"--port=${port}\"]\n"
      "stop = { signal = \"INT\", grace_s = 3 }\nready = { url = \"/ping\", poll_s = 0.5 }",
      "arguments = [\"--x\", \"${model.path}\"]\nenv = { DIR = \"${traces}/${port}\" }");
  const RunSettings settings = run_settings(sweep, "");
  EXPECT_THAT(
      command_of(settings, sweep.legs[0], kFacts),
      ElementsAre("vllm", "serve", "org/mine", "--port=8123", "--x", "synthetic:tiny-hybrid"));
  EXPECT_EQ(environment_of(settings, sweep.legs[0], kFacts).at("DIR"), "/tmp/t/8123");
  EXPECT_EQ(settings.server.stop_signal, StopSignal::kInt);
  EXPECT_EQ(settings.server.grace_s, 3);
  EXPECT_EQ(settings.server.ready_page, "/ping");
  EXPECT_EQ(settings.server.poll_s, 0.5);
  EXPECT_EQ(settings.kernels, KernelMethod::kTorch);
}

TEST(RunSettings, ALegsOwnCommandAndAddressComeFirst) {
  const Sweep sweep =
      sweep_with("kind = \"llama.cpp\"\ncommand = [\"one\"]\nurl = \"http://127.0.0.1:1\"",
                 "command = [\"two\", \"${port}\"]\nurl = \"http://127.0.0.1:2\"");
  const RunSettings settings = run_settings(sweep, "");
  EXPECT_THAT(command_of(settings, sweep.legs[0], kFacts), ElementsAre("two", "8123"));
  EXPECT_EQ(address_of(settings, sweep.legs[0]), "http://127.0.0.1:2");
  EXPECT_EQ(settings.kernels, KernelMethod::kNone);
}

/// What is wrong with a sweep file, or nothing.
std::string fault_of(const Sweep& sweep) {
  try {
    static_cast<void>(run_settings(sweep, ""));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(RunSettings, AnyServerStartedHereMayBeProfiledByInjection) {
  for (const char* kind : {"nvllm", "vllm", "sglang", "llama.cpp"}) {
    const std::string server = std::string("command = [\"x\"]\nkind = \"") + kind + "\"";
    const RunSettings settings =
        run_settings(sweep_with(server, "", "method = \"inject\"\nlibrary = \"p.so\""), "");
    EXPECT_EQ(settings.kernels, KernelMethod::kInject) << kind;
    EXPECT_TRUE(settings.kernels_demanded);
    EXPECT_EQ(settings.profile_library, "p.so");
  }
}

TEST(RunSettings, MethodsThatAKindDoesNotHaveAreRefused) {
  const std::string external = "kind = \"external\"\nurl = \"http://127.0.0.1:1\"";
  EXPECT_THAT(fault_of(sweep_with(external, "", "method = \"inject\"")),
              HasSubstr("an external server is not started here"));
  EXPECT_THAT(fault_of(sweep_with(external, "", "method = \"nsys\"")),
              HasSubstr("by \"in-process\" or \"torch\""));
  const std::string vllm = "kind = \"vllm\"\ncommand = [\"x\"]";
  EXPECT_THAT(fault_of(sweep_with(vllm, "", "method = \"in-process\"")),
              HasSubstr("by \"torch\" or \"inject\""));
  const std::string llama = "kind = \"llama.cpp\"\ncommand = [\"x\"]";
  EXPECT_THAT(fault_of(sweep_with(llama, "", "method = \"torch\"")), HasSubstr("by \"inject\""));
  EXPECT_THAT(fault_of(sweep_with(vllm, "", "library = \"p.so\"")), HasSubstr("'profile.library'"));
}

/// The blocks of a Markdown file that are sweep files with a server.
std::vector<std::string> sweeps_in(const std::string& markdown) {
  std::vector<std::string> found;
  const std::string fence = "```toml\n";
  for (std::size_t at = markdown.find(fence); at != std::string::npos;
       at = markdown.find(fence, at + 1)) {
    const std::size_t begin = at + fence.size();
    const std::string block = markdown.substr(begin, markdown.find("```", begin) - begin);
    if (block.find("[server]") != std::string::npos) found.push_back(block);
  }
  return found;
}

TEST(RunSettings, TheExamplesOfTheDocumentationCouldBeRun) {
  const fs::path source = NVLLM_SOURCE_DIR;
  const std::vector<std::string> examples =
      sweeps_in(read_file(source / "docs/evidence.md", 1 << 20));
  ASSERT_EQ(examples.size(), 2u);
  for (const std::string& example : examples) {
    const RunSettings settings = run_settings(parse_sweep(example, "docs/evidence.md"), "");
    EXPECT_FALSE(settings.server.kind->ours);
    EXPECT_EQ(settings.profile_rounds, 4);
  }
  const RunSettings external = run_settings(read_sweep(source / "sweeps/external.toml"), "");
  EXPECT_EQ(external.server.kind->address, AddressFrom::kRunsAlready);
}

}  // namespace
}  // namespace nvllm::bench
