#include "checkpoint/inspection.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/folder_checkpoint.h"
#include "checkpoint/inventory.h"
#include "checkpoint/quantization_config.h"
#include "checkpoint/stop_ids.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {

namespace {

/// Runs one part of the inspection. A fault ends the part, not the inspection: the list of all
/// faults is the result asked for, which is why this catches where others let errors pass.
bool attempt(std::vector<std::string>& problems, const std::function<void()>& part) {
  try {
    part();
    return true;
  } catch (const Error& error) {
    problems.emplace_back(error.what());
    return false;
  }
}

/// Adds up tensors by kind and format, in the order in which kinds come up.
class Totals {
 public:
  void add(const std::string& kind, const std::string& format, std::int64_t bytes) {
    const auto [at, fresh] = index_.try_emplace({kind, format}, list_.size());
    if (fresh) list_.push_back({kind, format, 0, 0});
    ++list_[at->second].count;
    list_[at->second].bytes += bytes;
  }
  std::vector<TensorTotal> take() { return std::move(list_); }

 private:
  std::map<std::pair<std::string, std::string>, std::size_t> index_;
  std::vector<TensorTotal> list_;
};

void add_totals(const ModelConfig& config, const Inventory& inventory, Inspection& result) {
  Totals totals;
  const ModelNames names = model_names(config);
  for (const auto& [module, layout] : inventory.modules) {
    const bool mtp = module.starts_with("mtp.");
    const std::string kind = module == names.embedding ? "embedding"
                             : module == names.head    ? "output head"
                             : mtp                     ? "draft-token head matrices"
                                                       : "layer matrices";
    totals.add(kind, layout_name(layout), layout.bytes());
    if (!mtp) result.weight_bytes += layout.bytes();
    for (const StoredTensor* unused : layout.unused) {
      totals.add("activation scales (unused)", std::string(to_string(unused->info.dtype)),
                 unused->info.bytes());
    }
  }
  for (const auto& [name, tensor] : inventory.vectors) {
    const bool mtp = name.starts_with("mtp.");
    totals.add(mtp ? "draft-token head vectors" : "vectors and convolutions",
               std::string(to_string(tensor->info.dtype)), tensor->info.bytes());
    if (!mtp) result.weight_bytes += tensor->info.bytes();
  }
  for (const auto& [name, tensor] : inventory.extras) {
    totals.add("key and value scales", std::string(to_string(tensor->info.dtype)),
               tensor->info.bytes());
  }
  for (const StoredTensor* tensor : inventory.skipped) {
    totals.add("skipped (vision, old buffers)", std::string(to_string(tensor->info.dtype)),
               tensor->info.bytes());
  }
  result.totals = totals.take();
}

}  // namespace

Inspection inspect(const std::filesystem::path& folder) {
  Inspection result;
  std::vector<std::string>& problems = result.problems;
  if (!std::filesystem::is_directory(folder)) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: no such folder", folder.string()));
  }
  const std::string config_name = (folder / "config.json").string();
  Json json;
  std::optional<TensorFiles> files;
  attempt(problems, [&] {
    json = read_config_json(folder);
    result.config = parse_model_config(json, config_name);
  });
  QuantizationFacts quantization;
  attempt(problems, [&] { quantization = read_quantization(folder, json); });
  attempt(problems, [&] { files.emplace(folder); });
  if (files) {
    result.file_count = static_cast<std::int64_t>(files->file_count());
    for (const auto& [name, tensor] : files->all()) {
      ++result.tensor_count;
      result.tensor_bytes += tensor.info.bytes();
    }
  }
  if (!result.config || !files) return result;
  ModelConfig& config = *result.config;
  if (!attempt(problems, [&] { config = settle_config(config, json, *files); })) return result;
  attempt(problems, [&] { config.eos_ids = read_stop_ids(folder, config); });
  Inventory inventory = take_inventory(config, *files);
  check_input_scales(quantization, inventory, inventory.problems);
  problems.insert(problems.end(), inventory.problems.begin(), inventory.problems.end());
  for (const auto& [module, layout] : inventory.modules) {
    attempt(problems, [&, &found = layout] { check_scales(*files, found); });
  }
  add_totals(config, inventory, result);
  return result;
}

}  // namespace nvllm::checkpoint
