#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/files.h"
#include "base/json.h"
#include "base/units.h"
#include "checkpoint/make_model.h"
#include "cli/command_table.h"
#include "cli/progress_bar.h"

namespace nvllm::cli {

namespace {

struct MakeModelFlags {
  std::string shape, out, format = "nvfp4";
  std::uint64_t seed = checkpoint::kSyntheticSeed;
  bool json = false;
};

/// The shape as a config.json document: a known name, or a file that exists.
Json shape_config(const std::string& shape) {
  constexpr std::int64_t kConfigBytesMax = 16 << 20;
  if (std::filesystem::is_regular_file(shape)) {
    return parse_json(read_file(shape, kConfigBytesMax), shape);
  }
  return checkpoint::known_shape_config(shape);
}

int make_model(const MakeModelFlags& flags) {
  ProgressBar bar("writing");
  checkpoint::MakeModelOptions options;
  options.config = shape_config(flags.shape);
  options.config_name = flags.shape;
  options.out = flags.out;
  options.seed = flags.seed;
  options.format = checkpoint::parse_synthetic_format(flags.format);
  options.progress = [&bar](std::int64_t done, std::int64_t total) { bar.show(done, total); };
  const std::int64_t bytes = checkpoint::make_model(options);
  if (flags.json) {
    Json json;
    json["out"] = flags.out;
    json["shape"] = flags.shape;
    json["seed"] = flags.seed;
    json["format"] = flags.format;
    json["bytes"] = bytes;
    fmt::print("{}\n", dump_json(json));
  } else {
    fmt::print("{}: random weights of {} ({}, seed {}), {}, with a tokenizer of single bytes\n",
               flags.out, flags.shape, flags.format, flags.seed, format_bytes(bytes));
  }
  return kDone;
}

}  // namespace

void configure_make_model(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<MakeModelFlags>();
  std::string names;
  for (const std::string& name : checkpoint::known_shape_names()) names += " " + name;
  app.add_option("--shape", flags->shape, "A config.json, or one of:" + names)->required();
  app.add_option("--out", flags->out, "A new or empty folder")->required();
  app.add_option("--seed", flags->seed, "Same seed, same weights")->capture_default_str();
  app.add_option("--format", flags->format, "Number format of the layers' matrices; nvfp4-head: the output head's too")
      ->check(CLI::IsMember({"bf16", "nvfp4", "nvfp4-head"}))
      ->capture_default_str();
  app.add_flag("--json", flags->json, "Print one JSON object");
  action = [flags] { return make_model(*flags); };
}

}  // namespace nvllm::cli
