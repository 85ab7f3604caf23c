#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd_target.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/simd_target.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

std::int64_t Lanes() { return lanes(); }

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <hwy/targets.h>

#include <atomic>

#include "base/check.h"
#include "kernels/cpu/bf16_dot.h"

namespace nvllm::cpu {

HWY_EXPORT(Lanes);

namespace {

/// Names of targets with the BF16 dot end in this.
constexpr std::string_view kDotSuffix = "_BF16";

std::atomic<bool> dot_forbidden{false};  // by a test that asked for a target without it

}  // namespace

SimdTarget simd_target() {
  const std::int64_t lanes = HWY_DYNAMIC_DISPATCH(Lanes)();
  return {.lanes = lanes, .bf16_dot = lanes == 16 && has_bf16_dot() && !dot_forbidden};
}

std::string simd_target_name() {
  // Lower bits are more capable targets.
  const std::int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
  return std::string(hwy::TargetName(usable & -usable)).append(simd_target().bf16_dot ? kDotSuffix : "");
}

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  if (simd_target().bf16_dot) names.push_back(simd_target_name());
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void use_simd_target(const std::string& name) {
  use_best_simd_target();
  if (name == simd_target_name()) return;
  dot_forbidden = true;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name != hwy::TargetName(target)) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return;
  }
  NVLLM_CHECK(false && "no such SIMD target");
}

void use_best_simd_target() {
  dot_forbidden = false;
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
