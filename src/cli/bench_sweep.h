#pragma once

#include <functional>
#include <optional>

namespace CLI {
class App;
}

namespace nvllm::cli {

/// Adds the verbs that measure into evidence folders: sweep, leg, plan, verify, noise, doctor, init.
///   Returns: what runs the chosen one of them; nothing if none was chosen.
std::function<std::optional<int>()> add_sweep_verbs(CLI::App& bench);

}  // namespace nvllm::cli
