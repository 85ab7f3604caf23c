#pragma once

#include <array>
#include <string>
#include <string_view>

namespace nvllm::bench {

/// Raw files that stay out of git; their digests are committed instead.
inline constexpr std::array<std::string_view, 5> kIgnoredPatterns = {"*.pt.trace.json.gz", "*.nsys-rep", "*.sqlite",
                                                                     "*serve.log*", "*.raw"};

/// The .gitignore of an evidence folder.
std::string git_ignore_text();

/// Whether git leaves out a file of that name (its last component), by kIgnoredPatterns.
bool is_git_ignored(std::string_view relative_path);

}  // namespace nvllm::bench
