#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// This machine without its name: a hash of its id, processor, first GPU and its driver where there is one, memory,
/// system, compiler.
Json host_facts();

/// Size and SHA-256 of every file of a model folder, by name, and one digest over all of them; for
/// "synthetic:NAME" the name alone.
///   Cost: reads every file once.
Json model_facts(const std::filesystem::path& model);

/// Size and SHA-256 of a program's file, without its path.
Json binary_facts(const std::filesystem::path& program);

/// The commit that a folder's working tree stands at, 40 digits, and whether it is clean; null
/// where git or a repository is missing.
Json commit_facts();

}  // namespace nvllm::bench
