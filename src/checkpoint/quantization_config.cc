#include "checkpoint/quantization_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/files.h"
#include "checkpoint/config_fields.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::int64_t kFileBytesMax = 16 << 20;
constexpr std::string_view kField = "quantization_config";
/// ModelOpt's name for four-bit weights and four-bit activations.
constexpr std::string_view kW4A4 = "NVFP4";

void refuse_algorithm(const ConfigFields& fields, std::string_view field, const std::string& algorithm) {
  // These rotate or rescale weights outside the tensors that the other schemes have.
  constexpr std::array<std::string_view, 4> kOther = {"NVFP4_AWQ", "NVFP4_SVD", "W4A8_NVFP4_FP8",
                                                      "MXFP8"};
  if (std::ranges::find(kOther, algorithm) != kOther.end()) {
    fields.unsupported(field, "'" + algorithm + "'", "NVFP4, W4A16_NVFP4, FP8 and mixtures");
  }
}

void refuse_method(const ConfigFields& fields) {
  constexpr std::array<std::string_view, 3> kMethods = {"modelopt", "compressed-tensors", "fp8"};
  const std::string method = fields.text_or("quant_method", "");
  if (std::ranges::find(kMethods, method) == kMethods.end()) {
    fields.unsupported("quant_method", "'" + method + "'",
                       "'modelopt', 'compressed-tensors' and 'fp8'");
  }
}

/// quant_algo, and the algorithm of each module where they are mixed; both spellings of the object
/// have these two.
void read_algorithms(const Json& object, std::string_view file_name, QuantizationFacts& facts) {
  const ConfigFields fields(object, object, file_name);
  facts.algorithm = fields.text_or("quant_algo", "");
  refuse_algorithm(fields, "quant_algo", facts.algorithm);
  const Json* modules = fields.find("quantized_layers");
  if (modules == nullptr) return;
  if (!modules->is_object()) fields.refuse("quantized_layers", dump_json(*modules), "an object");
  for (const auto& [module, entry] : modules->items()) {
    if (!entry.is_object()) fields.refuse("quantized_layers", dump_json(entry), "an object a module");
    const ConfigFields one(entry, entry, file_name);
    const std::string algorithm = one.text_or("quant_algo", "");
    refuse_algorithm(one, "quant_algo", algorithm);
    facts.module_algorithms.emplace(module, algorithm);
  }
}

const Json& object_of(const ConfigFields& fields, std::string_view name, const Json& value) {
  if (!value.is_object()) fields.refuse(name, dump_json(value), "an object");
  return value;
}

/// A ModelOpt export without quant_algo says in its groups whether activations are quantised.
bool group_quantises_activations(const Json& object) {
  const auto groups = object.find("config_groups");
  if (groups == object.end() || !groups->is_object()) return false;
  return std::ranges::any_of(*groups, [](const Json& group) {
    if (!group.is_object()) return false;
    const auto activations = group.find("input_activations");
    return activations != group.end() && activations->is_object();
  });
}

}  // namespace

QuantizationFacts parse_quantization(const Json& config, std::string_view config_name,
                                     const Json* modelopt, std::string_view modelopt_name) {
  QuantizationFacts facts;
  if (!config.is_object()) return facts;
  const ConfigFields top(config, config, config_name);
  const Json* found = top.find(kField);
  facts.where = fmt::format("{}: {}", config_name, kField);
  if (const Json* text = top.find("text_config"); found == nullptr && text != nullptr && text->is_object()) {
    found = ConfigFields(*text, *text, config_name).find(kField);
    facts.where = fmt::format("{}: text_config.{}", config_name, kField);
  }
  if (found != nullptr) {
    const Json& object = object_of(top, kField, *found);
    const ConfigFields fields(object, object, config_name);
    refuse_method(fields);
    read_algorithms(object, config_name, facts);
    const bool is_modelopt = fields.text_or("quant_method", "") == "modelopt";
    if (is_modelopt && facts.algorithm.empty() && group_quantises_activations(object)) facts.algorithm = kW4A4;
    return facts;
  }
  if (modelopt == nullptr) return {};
  const ConfigFields fields(*modelopt, *modelopt, modelopt_name);
  const Json* quantization = fields.find("quantization");
  if (quantization == nullptr) fields.refuse("quantization", "absent", "an object");
  facts.where = fmt::format("{}: quantization", modelopt_name);
  read_algorithms(object_of(fields, "quantization", *quantization), modelopt_name, facts);
  return facts;
}

QuantizationFacts read_quantization(const std::filesystem::path& folder, const Json& config) {
  const std::filesystem::path modelopt = folder / "hf_quant_config.json";
  Json document;
  const bool there = std::filesystem::is_regular_file(modelopt);
  if (there) document = parse_json(read_file(modelopt, kFileBytesMax), modelopt.string());
  return parse_quantization(config, (folder / "config.json").string(), there ? &document : nullptr,
                            modelopt.string());
}

void check_input_scales(const QuantizationFacts& facts, const Inventory& inventory,
                        std::vector<std::string>& problems) {
  for (const auto& [module, layout] : inventory.modules) {
    const bool modelopt = layout.format == MatrixFormat::kNvfp4 &&
                          layout.global_scale_rule == GlobalScale::kMultiplies;
    if (!modelopt || !layout.unused.empty()) continue;
    const auto own = facts.module_algorithms.find(layout.module);
    const std::string& algorithm = own != facts.module_algorithms.end() ? own->second : facts.algorithm;
    if (algorithm != kW4A4) continue;
    problems.push_back(fmt::format(
        "tensor '{}.input_scale' is missing, but {} says NVFP4, whose activations are quantised too; "
        "export the checkpoint again, or as W4A16_NVFP4 if only weights are quantised",
        layout.module, facts.where));
  }
}

}  // namespace nvllm::checkpoint
