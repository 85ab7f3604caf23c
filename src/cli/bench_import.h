#pragma once

// `nvllm bench import KIND PATH --out DIR`: files of other tools become an evidence folder's files.

#include <functional>
#include <optional>

namespace CLI {
class App;
}

namespace nvllm::cli {

/// Adds the verb to `nvllm bench`. The function returned runs it if it was given, or returns nothing.
std::function<std::optional<int>()> add_import_verb(CLI::App& bench);

}  // namespace nvllm::cli
