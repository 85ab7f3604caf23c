#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

/// One word problem in the GSM8K record format.
struct Problem {
  std::string question;
  std::string answer;  ///< the worked answer; its last line is "#### NUMBER"
};

/// How a problem is put to the model.
enum class ProblemFormat { kCompletion, kChat };

/// Reads a JSON-lines file of {"question", "answer"}; at most `limit` (0: all).
///   Errors: Error(kNotFound), Error(kBadFile) naming the line and the field.
std::vector<Problem> read_problems(const std::filesystem::path& path, std::int64_t limit);

/// The number after the last "####", without commas, spaces or a trailing point; nothing without one.
std::optional<std::string> final_answer(std::string_view text);

}  // namespace nvllm::bench
