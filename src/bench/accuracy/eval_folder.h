#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/json.h"
#include "bench/accuracy/questions.h"
#include "bench/accuracy/summary.h"

namespace nvllm::bench {

/// Whether a path is, or lies in, a folder that a manifest closes: nothing is written there.
bool lies_in_closed_folder(const std::filesystem::path& path);

/// The results that a run left in a folder, with their texts; none where there are none. A line that
/// was never finished is left out.
///   Errors: those of parse_perq and add_outputs.
std::vector<QuestionResult> results_in(const std::filesystem::path& folder);

/// What is done with results that lie there already.
enum class EvalResume { kRefuse, kContinue };

/// The folder of one run of questions: perq.jsonl and outputs.jsonl grow line by line, so that a run
/// that dies loses at most the question it was at; the rest is written at the end.
class EvalFolder {
 public:
  /// Opens or creates it.
  ///   Errors: Error(kUsage) if it has a perq.jsonl and is not to be continued, or is closed by a
  ///           manifest; those of parse_perq and of writing.
  EvalFolder(const std::filesystem::path& folder, EvalResume resume);

  /// What an earlier run left, with its texts. A line that was never finished is dropped.
  const std::vector<QuestionResult>& kept() const { return kept_; }

  /// Begins with results of an earlier run, which then are kept ones.
  void keep(std::vector<QuestionResult> results);

  /// Adds one result; the system has it when this returns, so that only a fall of the machine loses it.
  ///   Errors: Error(kBadFile) naming the file and the reason.
  void add(const QuestionResult& result);

  /// Writes both files in their final order, gsm8k.json and gsm8k_metadata.json.
  void finish(const QuestionSet& set, const AskOptions& options, std::span<const QuestionResult> results,
              const EvalFacts& facts);

  /// Writes a further file.
  void write_json(const char* name, const Json& value);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  void begin();
  File open_for_append(const char* name) const;

  std::filesystem::path folder_;
  std::vector<QuestionResult> kept_;
  File lines_, outputs_;
};

}  // namespace nvllm::bench
