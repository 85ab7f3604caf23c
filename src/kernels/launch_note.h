#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/cost.h"

namespace nvllm {

/// One kernel's announcement of itself: a launch on a GPU, one parallel region on a CPU.
struct LaunchNote {
  std::string_view operation;  ///< a word or a phrase's name
  std::int64_t layer = -1;     ///< -1 outside the layers
  Cost cost;
  double seconds = 0;          ///< wall time of the region; 0 where only the device knows
};

/// Hears of every kernel. Normally there is none, and kernels then take no time stamps.
class LaunchListener {
 public:
  virtual ~LaunchListener() = default;
  virtual void on_launch(const LaunchNote& note) = 0;
};

}  // namespace nvllm
