#include "bench/problems.h"

#include <fmt/format.h>

#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kFileBytesMax = 64 << 20;

std::string text_field(const Json& record, const char* field, const std::string& where) {
  const auto found = record.find(field);
  if (found == record.end() || !found->is_string()) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: field '{}' is missing or no string", where, field));
  }
  return found->get<std::string>();
}

}  // namespace

std::vector<Problem> read_problems(const std::filesystem::path& path, std::int64_t limit) {
  std::istringstream lines(read_file(path, kFileBytesMax));
  std::vector<Problem> problems;
  std::string line;
  for (std::int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty()) continue;
    if (limit > 0 && static_cast<std::int64_t>(problems.size()) == limit) break;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    const Json record = parse_json(line, where);
    if (!record.is_object()) throw Error(ErrorKind::kBadFile, fmt::format("{}: not a JSON object", where));
    problems.push_back({text_field(record, "question", where), text_field(record, "answer", where)});
  }
  if (problems.empty()) throw Error(ErrorKind::kBadFile, fmt::format("{}: holds no problem", path.string()));
  return problems;
}

std::optional<std::string> final_answer(std::string_view text) {
  const std::size_t mark = text.rfind("####");
  if (mark == std::string_view::npos) return std::nullopt;
  std::string number;
  for (const char c : text.substr(mark + 4)) {
    if (c == '\n' && !number.empty()) break;
    if ((c >= '0' && c <= '9') || c == '.' || (c == '-' && number.empty())) number.push_back(c);
    else if (c != ' ' && c != ',' && c != '$' && c != '\n') break;
  }
  while (!number.empty() && number.back() == '.') number.pop_back();
  if (number.empty()) return std::nullopt;
  return number;
}

}  // namespace nvllm::bench
