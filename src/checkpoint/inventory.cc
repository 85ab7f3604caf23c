// Strict in both directions: what the model needs must be there in the right shape, and what is
// there must be needed. A tensor that is silently ignored is how others served wrong weights.

#include "checkpoint/inventory.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "checkpoint/kv_scales.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::string_view kTextPrefix = "model.", kWrapperPrefix = "model.language_model.";

bool has_prefix(const TensorFiles& files, std::string_view prefix) {
  const auto at = files.all().lower_bound(prefix);
  return at != files.all().end() && at->first.starts_with(prefix);
}

bool is_float(DType dtype) {
  return dtype == DType::kBf16 || dtype == DType::kF16 || dtype == DType::kF32;
}

bool is_skipped(const ModelConfig& config, std::string_view name) {
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  return config.family == Family::kQwen35 && name.starts_with("model.visual.");
}

/// Names of the scales that checkpoints with an FP8 KV cache carry, in both spellings.
std::set<std::string> all_kv_scale_names(const ModelConfig& config) {
  std::set<std::string> names;
  for (std::int64_t i = 0; i < config.layer_count(); ++i) {
    if (config.layers[static_cast<std::size_t>(i)] != LayerKind::kFullAttention) continue;
    const KvScaleNames of = kv_scale_names(layer_names(config, i));
    names.insert(of.key.begin(), of.key.end());
    names.insert(of.value.begin(), of.value.end());
  }
  return names;
}

/// Where the tensors of a module lie: the tied embedding may exist under the head's name only.
std::string stored_module(const ModelConfig& config, const TensorFiles& files,
                          const std::string& module) {
  const ModelNames names = model_names(config);
  const bool lent = config.tied_head && module == names.embedding &&
                    !has_prefix(files, names.embedding + ".") &&
                    has_prefix(files, names.head + ".");
  return lent ? names.head : module;
}

void take_vector(const TensorFiles& files, const WeightSpec& spec, Inventory& inventory) {
  const StoredTensor* tensor = files.find(spec.name);
  if (tensor == nullptr) {
    inventory.problems.push_back(fmt::format("tensor '{}' is missing", spec.name));
  } else if (!is_float(tensor->info.dtype) || tensor->info.shape != spec.shape) {
    inventory.problems.push_back(fmt::format("tensor '{}' is {}, wanted BF16, F16 or F32 {}",
                                             spec.name, describe(tensor->info),
                                             describe_shape(spec.shape)));
  } else {
    inventory.vectors.emplace(spec.name, tensor);
  }
}

}  // namespace

ModelConfig settle_config(ModelConfig config, const Json& json, const TensorFiles& files) {
  const bool text = has_prefix(files, std::string(kTextPrefix) + "embed_tokens.");
  const bool wrapper = has_prefix(files, std::string(kWrapperPrefix) + "embed_tokens.");
  if (config.family == Family::kQwen35 && text != wrapper) {
    config.tensor_prefix = wrapper ? kWrapperPrefix : kTextPrefix;
  }
  const ModelNames names = model_names(config);
  const bool head = has_prefix(files, names.head + ".");
  const bool embedding = has_prefix(files, names.embedding + ".");
  const std::optional<bool> tied = tie_flag(json);
  if (head && embedding) {
    config.tied_head = false;  // both present: both are used, whatever the flag says
  } else if (!head && !tied) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: tensor '{}.weight' is missing and config.json gives "
                            "tie_word_embeddings twice with different values; correct the flag",
                            files.folder(), names.head));
  } else {
    config.tied_head = tied.value_or(false);
  }
  // Copies saved by transformers drop the head of draft tokens but keep its config field.
  if (!has_prefix(files, "mtp.")) config.mtp_layer_count = 0;
  return config;
}

Inventory take_inventory(const ModelConfig& config, const TensorFiles& files) {
  Inventory inventory;
  std::set<std::string, std::less<>> known;  // names a problem was reported for already
  for (const WeightSpec& spec : required_weights(config)) {
    if (spec.role == WeightSpec::Role::kVector) {
      take_vector(files, spec, inventory);
      known.insert(spec.name);
      continue;
    }
    const std::string stored = stored_module(config, files, spec.name);
    auto layout = find_module(files, {stored, spec.shape[0], spec.shape[1]}, inventory.problems);
    if (layout) inventory.modules.emplace(spec.name, *layout);
    for (const std::string_view companion : module_companions()) {
      known.insert(fmt::format("{}.{}", stored, companion));
    }
  }
  const std::set<std::string> kv_scales = all_kv_scale_names(config);
  for (const auto& [name, tensor] : files.all()) {
    if (known.contains(name)) continue;
    if (is_skipped(config, name)) {
      inventory.skipped.push_back(&tensor);
    } else if (kv_scales.contains(name) && is_float(tensor.info.dtype) &&
               tensor.info.element_count() == 1) {
      inventory.extras.emplace(name, &tensor);
    } else {
      inventory.problems.push_back(fmt::format("tensor '{}' ({}) belongs to no part of this model",
                                               name, describe(tensor.info)));
    }
  }
  return inventory;
}

}  // namespace nvllm::checkpoint
