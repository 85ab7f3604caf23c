#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nvllm::bench {

/// The number after the last "####", without commas, spaces or a trailing point; nothing without one.
std::optional<std::string> final_answer(std::string_view text);

}  // namespace nvllm::bench
