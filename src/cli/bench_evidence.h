#pragma once

// `nvllm bench compare`, `report` and `schema`: everything about evidence folders that needs no
// server.

#include <functional>
#include <optional>

namespace CLI {
class App;
}

namespace nvllm::cli {

/// Adds the verbs to `nvllm bench`. The function returned runs the one that was given, or nothing.
std::function<std::optional<int>()> add_evidence_verbs(CLI::App& bench);

}  // namespace nvllm::cli
