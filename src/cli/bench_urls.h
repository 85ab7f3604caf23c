#pragma once

// `nvllm bench eval`, `load` and `profile`: everything that drives a running server by its URL.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace nvllm::cli {

/// Adds the verbs to `nvllm bench`. The function returned runs the one that was given, or nothing.
std::function<std::optional<int>()> add_url_verbs(CLI::App& bench);

/// Overwrites one line of stderr, where that is a terminal; empty otherwise.
std::function<void(std::int64_t done)> progress_line(std::string label, std::int64_t total);

}  // namespace nvllm::cli
