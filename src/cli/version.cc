#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/compiler.h"
#include "base/json.h"
#include "cli/command_table.h"

namespace nvllm::cli {

namespace {

#if defined(__x86_64__)
constexpr const char* kArchitecture = "x86_64";
#elif defined(__aarch64__)
constexpr const char* kArchitecture = "aarch64";
#else
constexpr const char* kArchitecture = "other";
#endif

int version(bool as_json) {
  if (as_json) {
    Json json;
    json["version"] = NVLLM_VERSION;
    json["compiler"] = kCompiler;
    json["architecture"] = kArchitecture;
    fmt::print("{}\n", dump_json(json));
  } else {
    fmt::print("nvllm {} ({}, {})\n", NVLLM_VERSION, kCompiler, kArchitecture);
  }
  return kDone;
}

}  // namespace

void configure_version(CLI::App& app, Action& action) {
  const auto as_json = std::make_shared<bool>(false);
  app.add_flag("--json", *as_json, "Print one JSON object");
  action = [as_json] { return version(*as_json); };
}

}  // namespace nvllm::cli
