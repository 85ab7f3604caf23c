#include "checkpoint/kv_scales.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace nvllm::checkpoint {

namespace {

float scale_of(const Checkpoint& files, const std::array<std::string, 2>& names) {
  for (const std::string& name : names) {
    if (!files.has(name)) continue;
    const float scale = files.vector(name).at(0);
    if (!std::isfinite(scale) || scale <= 0) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: tensor '{}' is {}: a scale is a positive number", files.folder(), name, scale));
    }
    return scale;
  }
  return 1;
}

}  // namespace

KvScaleNames kv_scale_names(const LayerNames& layer) {
  const std::string attention = layer.k_proj.substr(0, layer.k_proj.rfind('.'));
  return {.key = {layer.k_proj + ".k_scale", attention + ".k_scale"}, .value = {layer.v_proj + ".v_scale", attention + ".v_scale"}};
}

KvScales kv_scales(const Checkpoint& files, const LayerNames& layer) {
  const KvScaleNames names = kv_scale_names(layer);
  return {.key = scale_of(files, names.key), .value = scale_of(files, names.value)};
}

}  // namespace nvllm::checkpoint
