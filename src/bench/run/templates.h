#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

/// Names that sweep_template knows: "3leg", "ab", "aa".
std::vector<std::string> template_names();

/// A commented sweep file to begin with.
///   Errors: Error(kUsage) listing the names.
std::string sweep_template(std::string_view name);

}  // namespace nvllm::bench
