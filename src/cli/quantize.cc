#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "base/units.h"
#include "checkpoint/quantise.h"
#include "cli/command_table.h"
#include "cli/progress_bar.h"

namespace nvllm::cli {

namespace {

struct QuantizeFlags {
  std::string model, out, format = "nvfp4", layout = "modelopt";
  std::vector<std::string> keep;
  bool json = false;
};

int quantize(const QuantizeFlags& flags) {
  ProgressBar bar("quantizing");
  checkpoint::QuantiseOptions options;
  options.model = flags.model;
  options.out = flags.out;
  options.layout = checkpoint::parse_nvfp4_layout(flags.layout);
  if (flags.format == "nvfp4-head") options.head = checkpoint::HeadFormat::kNvfp4;
  options.keep = flags.keep;
  options.progress = [&bar](std::int64_t done, std::int64_t total) { bar.show(done, total); };
  const checkpoint::QuantiseReport report = checkpoint::quantise(options);
  if (flags.json) {
    Json json;
    json["out"] = flags.out;
    json["layout"] = flags.layout;
    json["quantised_count"] = report.quantised_count;
    json["kept"] = report.kept;
    json["bytes_before"] = report.bytes_before;
    json["bytes_after"] = report.bytes_after;
    fmt::print("{}\n", dump_json(json));
  } else {
    fmt::print("{}: {} matrices to NVFP4 ({}), {} kept, {} -> {}\n", flags.out,
               report.quantised_count, flags.layout, report.kept.size(),
               format_bytes(report.bytes_before), format_bytes(report.bytes_after));
  }
  return kDone;
}

}  // namespace

void configure_quantize(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<QuantizeFlags>();
  app.add_option("--model", flags->model, "Folder of a BF16, F16 or F32 checkpoint")->required();
  app.add_option("--out", flags->out, "A new or empty folder")->required();
  app.add_option("--format", flags->format, "nvfp4: the layers' matrices; nvfp4-head: the output head too, apart from a tied embedding")
      ->check(CLI::IsMember({"nvfp4", "nvfp4-head"}))
      ->capture_default_str();
  app.add_option("--layout", flags->layout, "How tensors are named and stored")
      ->check(CLI::IsMember({"modelopt", "compressed-tensors"}))
      ->capture_default_str();
  app.add_option("--keep", flags->keep,
                 "Modules to leave as they are, e.g. '*.o_proj' (repeatable)")
      ->take_all();
  app.add_flag("--json", flags->json, "Print one JSON object");
  action = [flags] { return quantize(*flags); };
}

}  // namespace nvllm::cli
