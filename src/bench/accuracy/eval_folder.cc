#include "bench/accuracy/eval_folder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "bench/store/canonical_json.h"
#include "bench/store/manifest.h"
#include "bench/store/perq.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 1ll << 30;
constexpr const char *kLines = "perq.jsonl", *kOutputs = "outputs.jsonl";

/// The whole lines of a file; empty where there is none.
std::string whole_lines(const fs::path& path) {
  if (!fs::exists(path)) return "";
  std::string text = read_file(path, kFileBytesMax);
  text.resize(text.rfind('\n') + 1);  // npos + 1 is zero
  return text;
}

void append(std::FILE* file, const std::string& text, const fs::path& path) {
  if (std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0) return;
  throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot be written: {}", path.string(), std::strerror(errno)));
}

}  // namespace

bool lies_in_closed_folder(const fs::path& path) {
  for (fs::path folder = fs::weakly_canonical(fs::absolute(path)); !folder.empty(); folder = folder.parent_path()) {
    if (has_manifest(folder)) return true;
    if (folder == folder.parent_path()) break;
  }
  return false;
}

std::vector<QuestionResult> results_in(const fs::path& folder) {
  std::vector<QuestionResult> results = parse_perq(whole_lines(folder / kLines), (folder / kLines).string());
  add_outputs(whole_lines(folder / kOutputs), (folder / kOutputs).string(), results);
  return results;
}

EvalFolder::EvalFolder(const fs::path& folder, EvalResume resume) : folder_(folder) {
  if (lies_in_closed_folder(folder)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: closed by a manifest; name another folder", folder.string()));
  }
  fs::create_directories(folder);
  if (fs::exists(folder / kLines)) {
    if (resume == EvalResume::kRefuse) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: already holds results; continue them with --resume or name another folder",
                              (folder / kLines).string()));
    }
    kept_ = results_in(folder);
  }
  begin();
}

void EvalFolder::keep(std::vector<QuestionResult> results) {
  kept_ = std::move(results);
  begin();
}

/// Drops a torn line, or what lay there, before more is appended behind it.
void EvalFolder::begin() {
  lines_.reset();
  outputs_.reset();
  write_file_atomically(folder_ / kLines, format_perq(kept_));
  write_file_atomically(folder_ / kOutputs, format_outputs(kept_));
  lines_ = open_for_append(kLines);
  outputs_ = open_for_append(kOutputs);
}

EvalFolder::File EvalFolder::open_for_append(const char* name) const {
  File file(std::fopen((folder_ / name).c_str(), "ab"));
  if (file == nullptr) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: cannot be opened: {}", (folder_ / name).string(), std::strerror(errno)));
  }
  return file;
}

void EvalFolder::add(const QuestionResult& result) {
  append(outputs_.get(), format_outputs({&result, 1}), folder_ / kOutputs);
  append(lines_.get(), perq_line(result), folder_ / kLines);
}

void EvalFolder::finish(const QuestionSet& set, const AskOptions& options, std::span<const QuestionResult> results,
                        const EvalFacts& facts) {
  lines_.reset();
  outputs_.reset();
  write_file_atomically(folder_ / kLines, format_perq(results));
  write_file_atomically(folder_ / kOutputs, format_outputs(results));
  write_json("gsm8k.json", gsm8k_json(set, options, results, facts));
  write_json("gsm8k_metadata.json", gsm8k_metadata(set, options, facts));
}

void EvalFolder::write_json(const char* name, const Json& value) {
  write_file_atomically(folder_ / name, readable_json(value));
}

}  // namespace nvllm::bench
