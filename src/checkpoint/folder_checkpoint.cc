#include "checkpoint/folder_checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/check.h"
#include "base/error.h"
#include "base/files.h"
#include "checkpoint/stop_ids.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::int64_t kConfigBytesMax = 16 << 20;
constexpr std::string_view kMtpPrefix = "mtp.";

ModelConfig parse_settled(const Json& json, const TensorFiles& files) {
  const std::string file_name = files.folder() + "/config.json";
  ModelConfig config = settle_config(parse_model_config(json, file_name), json, files);
  config.eos_ids = read_stop_ids(files.folder(), config);
  return config;
}

void refuse_problems(const Inventory& inventory, const std::string& folder) {
  constexpr std::size_t kShownMax = 4;
  const std::vector<std::string>& problems = inventory.problems;
  if (problems.empty()) return;
  const std::size_t shown = std::min(problems.size(), kShownMax);
  throw Error(
      ErrorKind::kBadFile,
      fmt::format(
          "{}: {}{}", folder,
          fmt::join(problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(shown), "; "),
          problems.size() == shown ? ""
                                   : fmt::format("; and {} more problems (nvllm inspect lists all)",
                                                 problems.size() - shown)));
}

}  // namespace

Json read_config_json(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: no such folder; --model wants a folder with a Hugging Face "
                            "checkpoint, or synthetic:NAME",
                            folder.string()));
  }
  const std::filesystem::path path = folder / "config.json";
  return parse_json(read_file(path, kConfigBytesMax), path.string());
}

FolderCheckpoint::FolderCheckpoint(const std::filesystem::path& folder, GdnParameters gdn)
    : json_(read_config_json(folder)),
      files_(folder),
      quantization_(read_quantization(folder, json_)),
      config_(parse_settled(json_, files_)),
      inventory_(take_inventory(config_, files_)),
      gdn_(gdn) {
  check_input_scales(quantization_, inventory_, inventory_.problems);
  refuse_problems(inventory_, files_.folder());
}

const ModuleLayout& FolderCheckpoint::module(const std::string& name) const {
  const auto found = inventory_.modules.find(name);
  if (found == inventory_.modules.end()) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: has no module '{}'", files_.folder(), name));
  }
  return found->second;
}

MatrixSource FolderCheckpoint::matrix(const std::string& name) const {
  return read_module(files_, module(name));
}

MatrixFormat FolderCheckpoint::format(const std::string& name) const { return module(name).format; }

bool FolderCheckpoint::is_cast(std::string_view tensor) const {
  if (gdn_ == GdnParameters::kAsStored || config_.torch_dtype != "bfloat16") return false;
  return tensor.ends_with(".linear_attn.A_log") || tensor.ends_with(".linear_attn.dt_bias") ||
         tensor.ends_with(".linear_attn.norm.weight");
}

std::vector<float> FolderCheckpoint::vector(const std::string& name) const {
  const StoredTensor* tensor = nullptr;
  for (const auto* group : {&inventory_.vectors, &inventory_.extras}) {
    const auto found = group->find(name);
    if (found != group->end()) tensor = found->second;
  }
  if (tensor == nullptr) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: has no vector '{}'", files_.folder(), name));
  }
  std::vector<float> values = read_floats(files_, *tensor);
  if (is_cast(name)) {
    for (float& value : values) value = round_to_bf16(value);
  }
  return values;
}

bool FolderCheckpoint::has(const std::string& name) const {
  return inventory_.modules.contains(name) || inventory_.vectors.contains(name) ||
         inventory_.extras.contains(name);
}

std::int64_t FolderCheckpoint::weight_bytes() const {
  std::int64_t total = 0;
  for (const auto& [name, layout] : inventory_.modules) {
    if (!name.starts_with(kMtpPrefix)) total += layout.bytes();
  }
  for (const auto& [name, tensor] : inventory_.vectors) {
    if (!name.starts_with(kMtpPrefix)) total += tensor->info.bytes();
  }
  return total;
}

}  // namespace nvllm::checkpoint
