// Two passes over the matrices: one for the largest magnitude of each group that shares a global
// scale, one that writes. Only one row of floats and one module's bytes are in memory.

#include "checkpoint/quantise.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/folder_checkpoint.h"
#include "checkpoint/nvfp4_quantiser.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {

namespace {

/// The part of a module's name after the last dot.
std::string_view last_part(std::string_view module) { return module.substr(module.rfind('.') + 1); }

/// Modules that read the same input: serving engines fuse them and want one global scale.
std::string scale_group(const std::string& module) {
  constexpr std::array<std::array<std::string_view, 2>, 7> kGroups = {{{"q_proj", "qkv"},
                                                                       {"k_proj", "qkv"},
                                                                       {"v_proj", "qkv"},
                                                                       {"gate_proj", "gate_up"},
                                                                       {"up_proj", "gate_up"},
                                                                       {"in_proj_qkv", "in_proj"},
                                                                       {"in_proj_z", "in_proj"}}};
  for (const auto& [part, group] : kGroups) {
    if (last_part(module) == part) {
      return module.substr(0, module.size() - part.size()) + std::string(group);
    }
  }
  return module;
}

/// Whether the head is to become a matrix of its own.
bool unties_head(const FolderCheckpoint& source, const QuantiseOptions& options) {
  return options.head == HeadFormat::kNvfp4 && source.config().tied_head;
}

/// Decides which modules are quantised, and gives each its global scale.
std::map<std::string, float> plan_scales(const FolderCheckpoint& source,
                                         const QuantiseOptions& options, QuantiseReport& report) {
  std::vector<bool> glob_used(options.keep.size(), false);
  std::map<std::string, float> group_magnitudes;
  std::vector<std::string> modules;
  for (const auto& [module, layout] : source.inventory().modules) {
    if (layout.format == MatrixFormat::kNvfp4 || layout.format == MatrixFormat::kFp8) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: module '{}' is {} already; quantise wants BF16, F16 or F32",
                              source.folder(), module, layout_name(layout)));
    }
    const bool wanted = is_quantised_by_default(source.config(), module) ||
                        (options.head == HeadFormat::kNvfp4 && module == model_names(source.config()).head);
    bool kept = !wanted || layout.cols % kNvfp4Block != 0;
    for (std::size_t i = 0; i < options.keep.size(); ++i) {
      if (::fnmatch(options.keep[i].c_str(), module.c_str(), 0) != 0) continue;
      glob_used[i] = true;
      kept = true;
    }
    (kept ? report.kept : modules).push_back(module);
  }
  for (std::size_t i = 0; i < glob_used.size(); ++i) {
    if (!glob_used[i]) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--keep '{}' matches no module; names look like '{}'",
                              options.keep[i], source.inventory().modules.begin()->first));
    }
  }
  for (const std::string& module : modules) {
    float& magnitude = group_magnitudes[scale_group(module)];
    magnitude = std::max(magnitude, largest_magnitude(source.matrix(module)));
  }
  std::map<std::string, float> scales;
  for (const std::string& module : modules) {
    scales[module] = power_of_two_scale(group_magnitudes[scale_group(module)]);
  }
  return scales;
}

/// `name`: what the module of `layout` is called in the output.
OutputItem quantised_item(const FolderCheckpoint& source, const ModuleLayout& layout, const std::string& name,
                          float global_scale, Nvfp4Layout format) {
  OutputItem item = nvfp4_item(name, layout.rows, layout.cols, format);
  item.write = [&source, global_scale, format, module = layout.module](const AppendBytes& append) {
    const MatrixSource matrix = source.matrix(module);
    const auto cols = static_cast<std::size_t>(matrix.cols);
    std::vector<float> row(cols);
    std::vector<std::byte> codes(cols / 2), scales(cols / 16);
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      dequantise_row(matrix, r, row);
      quantise_row(row, global_scale, codes, scales);
      append(kCodesTensor, codes);
      append(kScalesTensor, scales);
    }
    const float stored = stored_global_scale(global_scale, format);
    append(kGlobalTensor, std::as_bytes(std::span(&stored, 1)));
  };
  return item;
}

/// A tensor that is copied byte for byte under `name`.
OutputItem copied_item(const TensorFiles& files, const StoredTensor& tensor, const std::string& name) {
  const auto copy = [&files, &tensor](const AppendBytes& append) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.info.bytes()));
    files.read(tensor, bytes);
    append(0, bytes);
  };
  return {{{name, tensor.info.dtype, tensor.info.shape}}, copy};
}

std::vector<OutputItem> plan_items(const FolderCheckpoint& source, const QuantiseOptions& options,
                                   const std::map<std::string, float>& scales) {
  std::map<std::string_view, const ModuleLayout*> quantised;  // by the weight's tensor name
  for (const auto& [module, layout] : source.inventory().modules) {
    if (scales.contains(module)) quantised[layout.weight->info.name] = &layout;
  }
  const ModelNames names = model_names(source.config());
  const ModuleLayout& embedding = source.inventory().modules.at(names.embedding);
  std::vector<OutputItem> items;
  for (const auto& [name, tensor] : source.files().all()) {
    const auto found = quantised.find(name);
    if (found != quantised.end()) {
      const ModuleLayout& layout = *found->second;
      items.push_back(quantised_item(source, layout, layout.module, scales.at(layout.module), options.layout));
    } else {
      // A tied embedding that was stored under the head's name makes room for the head.
      const bool lent = unties_head(source, options) && &tensor == embedding.weight;
      items.push_back(copied_item(source.files(), tensor, lent ? names.embedding + ".weight" : name));
    }
  }
  if (unties_head(source, options)) {
    const float scale = power_of_two_scale(largest_magnitude(source.matrix(names.embedding)));
    items.push_back(quantised_item(source, embedding, names.head, scale, options.layout));
  }
  return items;
}

void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to) {
  constexpr std::int64_t kBytesMax = 256 << 20;
  for (const char* name :
       {"generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        "chat_template.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "preprocessor_config.json", "video_preprocessor_config.json"}) {
    if (!std::filesystem::exists(from / name)) continue;
    write_file_atomically(to / name, read_file(from / name, kBytesMax));
  }
}

std::string pretty(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json weight_arguments() {
  Json weights;
  weights["num_bits"] = 4;
  weights["type"] = "float";
  weights["group_size"] = kNvfp4Block;
  weights["dynamic"] = false;
  return weights;
}

}  // namespace

bool is_quantised_by_default(const ModelConfig& config, const std::string& module) {
  const ModelNames names = model_names(config);
  const std::string_view last = last_part(module);
  return module != names.embedding && module != names.head && last != "in_proj_a" &&
         last != "in_proj_b";
}

Nvfp4Layout parse_nvfp4_layout(std::string_view name) {
  if (name == "modelopt") return Nvfp4Layout::kModelOpt;
  if (name == "compressed-tensors") return Nvfp4Layout::kCompressedTensors;
  throw Error(ErrorKind::kUsage,
              fmt::format("layout '{}' is unknown, wanted modelopt or compressed-tensors", name));
}

float stored_global_scale(float multiplying, Nvfp4Layout layout) {
  return layout == Nvfp4Layout::kModelOpt ? multiplying : 1.0f / multiplying;
}

OutputItem nvfp4_item(const std::string& module, std::int64_t rows, std::int64_t cols,
                      Nvfp4Layout layout) {
  const bool modelopt = layout == Nvfp4Layout::kModelOpt;
  using Shape = std::vector<std::int64_t>;
  OutputItem item;
  item.tensors = {
      {module + (modelopt ? ".weight" : ".weight_packed"), DType::kU8, {rows, cols / 2}},
      {module + ".weight_scale", DType::kF8E4M3, {rows, cols / kNvfp4Block}},
      {module + (modelopt ? ".weight_scale_2" : ".weight_global_scale"), DType::kF32,
       modelopt ? Shape{} : Shape{1}}};
  return item;
}

Json quantization_config(Nvfp4Layout layout, const std::vector<std::string>& ignored_modules) {
  Json weights = weight_arguments();
  Json group, config;
  if (layout == Nvfp4Layout::kModelOpt) {
    group["weights"] = weights;
    group["targets"] = {"Linear"};
    config["config_groups"]["group_0"] = group;
    config["ignore"] = ignored_modules;
    config["quant_algo"] = "W4A16_NVFP4";
    config["producer"]["name"] = "nvllm";
    config["quant_method"] = "modelopt";
    return config;
  }
  weights["strategy"] = "tensor_group";
  weights["symmetric"] = true;
  group["targets"] = {"Linear"};
  group["weights"] = weights;
  group["input_activations"] = nullptr;
  group["output_activations"] = nullptr;
  group["format"] = "nvfp4-pack-quantized";
  config["config_groups"]["group_0"] = group;
  config["format"] = "nvfp4-pack-quantized";
  config["ignore"] = ignored_modules;
  config["kv_cache_scheme"] = nullptr;
  config["quant_method"] = "compressed-tensors";
  config["quantization_status"] = "compressed";
  return config;
}

Json modelopt_quant_config(const std::vector<std::string>& ignored_modules) {
  Json config;
  config["producer"]["name"] = "nvllm";
  Json& quantization = config["quantization"];
  quantization["quant_algo"] = "W4A16_NVFP4";
  quantization["kv_cache_quant_algo"] = nullptr;
  quantization["group_size"] = kNvfp4Block;
  quantization["exclude_modules"] = ignored_modules;
  return config;
}

QuantiseReport quantise(const QuantiseOptions& options) {
  const FolderCheckpoint source(options.model, GdnParameters::kAsStored);
  make_output_folder(options.out);
  QuantiseReport report;
  const std::map<std::string, float> scales = plan_scales(source, options, report);
  const std::vector<OutputItem> items = plan_items(source, options, scales);
  for (const auto& [name, tensor] : source.files().all())
    report.bytes_before += tensor.info.bytes();
  for (const OutputItem& item : items) {
    for (const OutputTensor& tensor : item.tensors) report.bytes_after += tensor.bytes();
  }
  const bool untied = unties_head(source, options);
  report.quantised_count = static_cast<std::int64_t>(scales.size()) + (untied ? 1 : 0);
  write_tensor_files(options.out, items, options.shard_bytes_max, options.progress);

  const ModelNames names = model_names(source.config());
  std::vector<std::string> ignored = report.kept;
  std::erase(ignored, names.embedding);  // readers match Linear modules; an embedding is none
  std::erase(ignored, names.head);
  if (!untied && !scales.contains(names.head)) ignored.push_back(names.head);  // although tied: readers build a module for it
  const bool vision = std::ranges::any_of(
      source.inventory().skipped,
      [](const StoredTensor* tensor) { return tensor->info.name.starts_with("model.visual."); });
  const bool modelopt = options.layout == Nvfp4Layout::kModelOpt;
  if (vision) ignored.push_back(modelopt ? "model.visual*" : "re:model[.]visual.*");
  copy_companions(source.folder(), options.out);
  if (modelopt) {
    write_file_atomically(options.out / "hf_quant_config.json",
                          pretty(modelopt_quant_config(ignored)));
  }
  Json config = source.json();
  if (untied) set_tie_flag(config, false);
  config["quantization_config"] = quantization_config(options.layout, ignored);
  write_file_atomically(options.out / "config.json", pretty(config));
  return report;
}

}  // namespace nvllm::checkpoint
