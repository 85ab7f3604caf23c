#pragma once

// A server of the sweep's own kind, scripted: the program is a shell script that names a server
// inside of the test and then waits to be ended. Profiles are written by the real collector, from
// calls that the test chooses.

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>

#include "bench/profile/profile_folder.h"
#include "bench/run/expected_calls.h"
#include "support/scripted_server.h"

namespace nvllm::bench::test {

inline void put_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// How the fake misbehaves.
struct FakeFaults {
  std::atomic<int> extra_decode_calls{0};     ///< of DecodeKernel, in every decode step
  std::atomic<bool> loses_a_call{false};      ///< one call of the long burst is missing
  std::atomic<bool> answers_nonsense{false};  ///< to completions
  std::atomic<bool> answers_short{false};     ///< one token less than asked for
  std::atomic<int> refuses_question{0};       ///< counted from 1 over all; 0: none
  std::atomic<double> slowness{1};            ///< of every kernel
};

class FakeServer {
 public:
  static constexpr const char* kModel = "synthetic:tiny-hybrid";

  explicit FakeServer(std::filesystem::path folder)
      : folder_(std::move(folder)),
        server_([this](const Json& request) { return reply(request); }, {.profile = true}) {
    server_.on_stop_profile = [this] { return stop_profile(); };
    write_program("trap 'exit 0' TERM; while :; do sleep 0.02; done");
  }

  /// The program to give to the sweep.
  std::string program() const { return (folder_ / "fake_nvllm").string(); }

  /// Replaces what the program does once it has named its address; "" in `address` names none.
  void write_program(const std::string& afterwards, bool names_its_address = true) {
    const std::filesystem::path path = program();
    std::filesystem::remove(path);
    std::ofstream(path) << "#!/bin/sh\necho \"$@\" >'" << (folder_ / "arguments").string() << "'\n"
                        << (names_its_address ? "echo " + server_.url() + "\n" : "") << afterwards
                        << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  FakeFaults faults;
  std::function<void()> before_reply{};  ///< may do anything, in the server's thread

 private:
  nvllm::testing::ScriptedReply reply(const Json& request) {
    // The look at what the server can do is answered well whatever goes wrong later.
    if (request.value("prompt", "") == "One, two, three,") {
      return {.pieces = std::vector<std::string>(request.at("max_tokens").get<std::size_t>(), "x")};
    }
    if (before_reply) before_reply();
    if (faults.answers_nonsense) return {.body = R"({"choices":[]})"};
    if (!request.contains("ignore_eos")) {
      if (++questions_ == faults.refuses_question)
        return {.status = 503, .body = R"({"error":{"message":"no"}})"};
      return {.pieces = {"so it is ", "#### ", "7"}};
    }
    const auto tokens = request.at("max_tokens").get<std::size_t>();
    const std::lock_guard lock(mutex_);
    bursts_.push_back(static_cast<std::int64_t>(tokens));
    return {.pieces = std::vector<std::string>(tokens - (faults.answers_short ? 1 : 0), "x"),
            .finish_reason = "length"};
  }

  /// The value of a flag that the program was started with.
  std::string argument(const std::string& flag) const {
    std::ifstream file(folder_ / "arguments");
    std::string word;
    while (file >> word) {
      if (word == flag && file >> word) return word;
    }
    return "";
  }

  void launch(Collector& collector, std::string_view kernel, std::int64_t layer, std::int64_t rows,
              double us) const {
    collector.on_launch({.operation = kernel,
                         .layer = layer,
                         .shape = {rows, 64, 32},
                         .begin = SystemClock().now(),
                         .seconds = us * 1e-6 * faults.slowness});
  }

  /// What the last burst would have launched: the leg's phrases in every decode step, one plain
  /// kernel in every step.
  std::string stop_profile() {
    const std::lock_guard lock(mutex_);
    // The bursts of one profile have one length, and the sweep sends two requests each.
    const std::int64_t tokens = bursts_.back();
    Collector collector;
    const StepCalls calls =
        expected_calls(plan_of({"--leg", argument("--leg")}), read_geometry(kModel));
    for (int request = 0; request < 2; ++request) {
      collector.on_step_begin({.prefill_rows = 7, .prefills = 1});
      launch(collector, "matmul", 0, 7, 300);
      collector.on_step_end(SystemClock().now());
      for (std::int64_t step = 1; step < tokens; ++step) {
        collector.on_step_begin({.decode_rows = 1});
        const bool lost = faults.loses_a_call && request == 0 && step == 1;
        if (!lost) launch(collector, "matmul", 0, 1, 40);
        for (const auto& [kernel, count] : calls) {
          const std::int64_t extra =
              kernel == "DecodeKernel" ? faults.extra_decode_calls.load() : 0;
          for (std::int64_t i = 0; i < count + extra; ++i) {
            launch(collector, kernel, i, 1, kernel == "PhaseE_Beta_Kernel" ? 200 : 100);
          }
        }
        collector.on_step_end(SystemClock().now());
      }
    }
    std::filesystem::create_directories(argument("--profile-dir"));
    const std::filesystem::path folder =
        write_profile(argument("--profile-dir"), collector.profile(),
                      {.leg = "x", .device = "fake", .requests = 2, .wall_s = 1});
    return dump_json(Json{{"folder", folder.string()}});
  }

  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::vector<std::int64_t> bursts_;
  std::atomic<int> questions_{0};
  nvllm::testing::ScriptedServer server_;
};

}  // namespace nvllm::bench::test
