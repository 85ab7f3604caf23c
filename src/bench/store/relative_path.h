#pragma once

#include <string_view>

namespace nvllm::bench {

/// Whether a path names something strictly below the folder it is relative to: not empty, not
/// absolute, no component that is empty, "." or "..".
bool stays_below(std::string_view relative);

}  // namespace nvllm::bench
