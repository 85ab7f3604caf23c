#include "bench/run/expected_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "engine/engine.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kConfigBytesMax = 16 << 20;
constexpr std::string_view kSynthetic = "synthetic:";

/// The value of `--flag VALUE` or `--flag=VALUE`, the last one; empty without.
std::string flag_value(const std::vector<std::string>& arguments, const std::string& flag) {
  std::string value;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == flag && i + 1 < arguments.size()) value = arguments[i + 1];
    if (arguments[i].starts_with(flag + "=")) value = arguments[i].substr(flag.size() + 1);
  }
  return value;
}

}  // namespace

checkpoint::ModelConfig read_geometry(const std::filesystem::path& model) {
  const std::string name = model.string();
  if (name.starts_with(kSynthetic)) {
    const std::string shape = name.substr(kSynthetic.size());
    return checkpoint::known_shape(shape.substr(0, shape.find(':')));
  }
  const std::filesystem::path path = model / "config.json";
  return checkpoint::parse_model_config(parse_json(read_file(path, kConfigBytesMax), path.string()),
                                        path.string());
}

FusionPlan plan_of(const std::vector<std::string>& arguments) {
  if (const std::string spec = flag_value(arguments, "--fusion"); !spec.empty())
    return parse_fusion(spec);
  const std::string leg = flag_value(arguments, "--leg");
  return named_leg(leg.empty() ? engine::EngineOptions{}.leg : leg);
}

StepCalls expected_calls(const FusionPlan& plan, const checkpoint::ModelConfig& model) {
  std::vector<std::int64_t> attention;
  for (std::int64_t i = 0; i < model.layer_count(); ++i) {
    if (model.layers[static_cast<std::size_t>(i)] == checkpoint::LayerKind::kFullAttention)
      attention.push_back(i);
  }
  const PhraseCalls calls = phrase_calls(plan, attention, model.layer_count());
  return {{"DecodeKernel", calls.decode_kernel},
          {"PhaseE_Beta_Kernel", calls.phase_e_beta},
          {"Phase_D_MLP_Kernel", calls.phase_d_mlp}};
}

void fill_expected_calls(Sweep& sweep, const checkpoint::ModelConfig& model) {
  for (SweepLeg& leg : sweep.legs) {
    std::vector<std::string> words = leg.command;
    words.insert(words.end(), leg.arguments.begin(), leg.arguments.end());
    StepCalls all = expected_calls(plan_of(words), model);
    for (const auto& [kernel, stated] : leg.expect_kernels) {
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const auto& one) { return one.first == kernel; });
      if (found == all.end()) {
        all.emplace_back(kernel, stated);
      } else if (found->second != stated) {
        throw Error(
            ErrorKind::kUsage,
            fmt::format(
                "{}: 'legs.{}.expect_kernels' states {} calls of {} per decode step, but plan and "
                "geometry give {}",
                sweep.what, leg.name, stated, kernel, found->second));
      }
    }
    leg.expect_kernels = std::move(all);
  }
}

}  // namespace nvllm::bench
