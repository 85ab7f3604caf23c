// The published folders of the three-leg sweep. What they state twice is compared, what they leave
// out is derived or stays unknown; nothing is repaired silently.

#include "bench/import/legacy_3leg.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "bench/records/call_law.h"
#include "bench/store/json_field.h"
#include "bench/store/json_lines.h"
#include "bench/store/kernel_csv.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;

using Notes = std::vector<std::string>;

Json read_json(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  return parse_json(read_file(path, kFileBytesMax), path.string(), {.depth_max = 32, .nodes_max = 5'000'000});
}

/// When a phase began, as its metadata has it; empty where it is unknown.
std::string time_of(const Json& metadata) {
  return metadata.is_null() ? "" : maybe_text(metadata, "timestamp_iso", "metadata").value_or("");
}

/// Requests and steps of the burst, where the counts agree with them.
void derive_workload(KernelTable& table, const LegacyOptions& options, Notes& notes) {
  const std::int64_t requests = requests_bound(table), steps = options.tokens_per_request - 1;
  if (requests == 0 || steps <= 0) return;
  std::int64_t attention_calls = 0;
  for (const char* name : {"DecodeKernel", "PhaseE_Beta_Kernel"}) {
    for (const KernelRow* row : find_kernels(table, name)) attention_calls += row->n_calls;
  }
  if (attention_calls == 0 || attention_calls % (requests * steps) != 0) {
    notes.push_back(
        fmt::format("{}: {} attention calls in at most {} requests are no whole number in {} decode steps "
                    "each; requests and steps are unknown",
                    table.leg, attention_calls, requests, steps));
    return;
  }
  table.requests = table.prefills = requests;
  table.decode_steps = requests * steps;
}

QuestionStatus status_of(const std::string& status, const std::string& got, const std::string& tail,
                         std::string_view what) {
  if (status == "OK") return QuestionStatus::kOk;
  if (status == "WRONG") return got.empty() ? QuestionStatus::kNoAnswer : QuestionStatus::kWrong;
  if (status != "ERROR") {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: field 'status' is '{}', wanted OK, WRONG or ERROR", what, status));
  }
  if (tail.find("timed out") != std::string::npos) return QuestionStatus::kTimeout;
  for (const char* word : {"Connection refused", "Connection aborted", "Connection reset", "RemoteDisconnected"}) {
    if (tail.find(word) != std::string::npos) return QuestionStatus::kServerDied;
  }
  return QuestionStatus::kHttpError;
}

/// The limit that the client's own message names: "(read timeout=180)".
double deadline_in(const std::string& tail) {
  constexpr std::string_view kWords = "read timeout=";
  const std::size_t at = tail.find(kWords);
  double seconds = 0;
  if (at != std::string::npos) {
    std::from_chars(tail.data() + at + kWords.size(), tail.data() + tail.size(), seconds);
  }
  return seconds;
}

/// Fields that both gsm8k.json (second folder) and perq.jsonl carry.
void read_request(const Json& item, std::string_view what, QuestionResult& question) {
  question.wall_time_s = maybe_number(item, "wall_time_s", what).value_or(question.wall_time_s);
  question.prompt_tokens = maybe_int(item, "prompt_tokens", what).value_or(question.prompt_tokens);
  question.completion_tokens = maybe_int(item, "completion_tokens", what).value_or(question.completion_tokens);
  question.decode_tok_s = maybe_number(item, "decode_tok_s", what).value_or(question.decode_tok_s);
  question.finish_reason = maybe_text(item, "finish_reason", what).value_or(question.finish_reason);
  question.output_len = maybe_int(item, "output_len", what).value_or(question.output_len);
  question.output_sha256 = maybe_text(item, "output_sha256", what).value_or(question.output_sha256);
  question.request_id = maybe_text(item, "request_id", what).value_or(question.request_id);
}

QuestionResult question_of(const Json& item, std::string_view what) {
  QuestionResult question;
  question.prompt_index = int_field(item, "i", what) + 1;
  question.gold = text_field(item, "expected", what);
  question.pred = text_field(item, "got", what);
  question.output_tail = text_field(item, "raw_tail", what);
  question.question = text_field(item, "question", what);
  question.wall_time_s = number_field(item, "elapsed", what);
  question.status = status_of(text_field(item, "status", what), question.pred, question.output_tail, what);
  question.correct = question.status == QuestionStatus::kOk;
  question.censored = question.status == QuestionStatus::kTimeout;
  question.answers.legacy = question.pred;
  if (question.censored) question.deadline_s = deadline_in(question.output_tail);
  read_request(item, what, question);
  return question;
}

void check_summary(const Json& summary, const LegEvidence& leg, std::string_view what, Notes& notes) {
  const auto count = [&](auto&& is_one) { return std::count_if(leg.questions.begin(), leg.questions.end(), is_one); };
  const std::pair<const char*, std::int64_t> facts[] = {
      {"n", static_cast<std::int64_t>(leg.questions.size())},
      {"correct", count([](const QuestionResult& q) { return q.correct; })},
      {"errors", count([](const QuestionResult& q) { return !finished(q); })}};
  for (const auto& [key, seen] : facts) {
    const std::int64_t said = int_field(summary, key, what);
    if (said != seen)
      notes.push_back(fmt::format("{}: field '{}' says {}, its results hold {}", what, key, said, seen));
  }
}

void read_questions(const fs::path& path, LegEvidence& leg, Notes& notes) {
  const Json whole = read_json(path);
  if (whole.is_null()) return;
  const std::string what = path.string();
  std::set<std::int64_t> seen;
  for (const Json& item : array_field(whole, "results", what)) {
    QuestionResult question = question_of(item, fmt::format("{}: results[{}]", what, leg.questions.size()));
    if (!seen.insert(question.prompt_index).second) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: question {} appears twice", what, question.prompt_index));
    }
    question.label = text_field(whole, "label", what);
    question.leg = leg.leg;
    question.boot_id = time_of(leg.eval_metadata);
    leg.questions.push_back(std::move(question));
  }
  leg.eval_summary = whole;
  leg.eval_summary.erase("results");
  check_summary(whole, leg, what, notes);
}

/// perq.jsonl was opened for append: a run repeated leaves its lines twice. The later line counts.
void read_lines(const fs::path& path, LegEvidence& leg, Notes& notes) {
  if (!fs::exists(path)) return;
  std::map<std::int64_t, QuestionResult*> by_index;
  for (QuestionResult& question : leg.questions) by_index[question.prompt_index] = &question;
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for_each_json_line(read_file(path, kFileBytesMax), path.string(), [&](const Json& item, const std::string& what) {
    const std::int64_t run = int_field(item, "run_index", what), index = int_field(item, "prompt_index", what);
    if (!seen.emplace(run, index).second) {
      notes.push_back(fmt::format("{}: question {} again; this line counts", what, index));
    }
    const auto question = by_index.find(index);
    if (question == by_index.end()) {
      notes.push_back(fmt::format("{}: question {} is not in gsm8k.json", what, index));
      return;
    }
    question->second->run_index = run;
    question->second->ts = number_field(item, "ts", what);
    read_request(item, what, *question->second);
    if (const std::string pred = text_field(item, "pred", what); pred != question->second->pred) {
      notes.push_back(fmt::format("{}: pred is '{}', gsm8k.json has '{}'", what, pred, question->second->pred));
    }
  });
}

LegEvidence read_leg(const fs::path& folder, const LegacyOptions& options, Notes& notes) {
  LegEvidence leg;
  leg.leg = folder.filename().string();
  leg.profile_metadata = read_json(folder / "profile_metadata.json");
  leg.eval_metadata = read_json(folder / "gsm8k_metadata.json");
  for (const Json* metadata : {&leg.profile_metadata, &leg.eval_metadata}) {
    if (!metadata->is_object()) continue;
    const std::string named = text_field(*metadata, "leg", (folder / "*_metadata.json").string());
    if (named != leg.leg) notes.push_back(fmt::format("{}: its metadata names leg '{}'", folder.string(), named));
  }
  const fs::path kernels = folder / "profile_kernels.csv";
  if (fs::exists(kernels)) {
    KernelTable table = parse_profile_kernels(read_file(kernels, kFileBytesMax), kernels.string(), leg.leg);
    table.boot_id = time_of(leg.profile_metadata);
    derive_workload(table, options, notes);
    leg.profiles.push_back(std::move(table));
  }
  read_questions(folder / "gsm8k.json", leg, notes);
  read_lines(folder / "perq.jsonl", leg, notes);
  return leg;
}

/// When the leg began, by its metadata; legs of one folder share a time zone.
std::string began(const LegEvidence& leg) {
  const std::string profiled = time_of(leg.profile_metadata);
  return profiled.empty() ? time_of(leg.eval_metadata) : profiled;
}

/// "112Gi" of `free -h`, in GiB.
std::optional<double> gib_of(std::string_view word) {
  double number = 0;
  const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(word.data() + word.size() - end));
  if (fault != std::errc()) return std::nullopt;
  if (unit == "Gi") return number;
  if (unit == "Mi") return number / 1024;
  if (unit == "Ti") return number * 1024;
  return std::nullopt;
}

/// Samples of `free -h`: how many, and the least memory that was available.
Json watchdog_summary(const fs::path& path) {
  const std::string text = read_file(path, kFileBytesMax);
  std::int64_t samples = 0;
  std::optional<double> least;
  for (std::size_t at = text.find("Mem:"); at != std::string::npos; at = text.find("Mem:", at + 1)) {
    const std::string_view line = std::string_view(text).substr(at, text.find('\n', at) - at);
    const auto available = gib_of(line.substr(line.find_last_of(' ') + 1));
    if (!available) continue;
    ++samples;
    least = std::min(least.value_or(*available), *available);
  }
  Json summary;
  summary["samples"] = samples;
  if (least) summary["available_gib_min"] = *least;
  return summary;
}

}  // namespace

EvidenceFolder import_legacy_3leg(const fs::path& folder, const LegacyOptions& options) {
  EvidenceFolder evidence;
  evidence.path = folder;
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: no such folder", folder.string()));
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!fs::exists(entry.path() / "profile_kernels.csv") && !fs::exists(entry.path() / "gsm8k.json")) continue;
    evidence.legs.push_back(read_leg(entry.path(), options, evidence.notes));
  }
  if (evidence.legs.empty()) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: no leg; wanted folders with profile_kernels.csv or gsm8k.json", folder.string()));
  }
  std::sort(evidence.legs.begin(), evidence.legs.end(), [](const LegEvidence& left, const LegEvidence& right) {
    return std::pair(began(left), left.leg) < std::pair(began(right), right.leg);
  });
  std::sort(evidence.notes.begin(), evidence.notes.end());
  evidence.provenance["source"] = "legacy-3leg";
  evidence.provenance["tokens_per_request_assumed"] = options.tokens_per_request;
  evidence.provenance["requests_from"] = "largest common divisor of the call counts";
  if (fs::exists(folder / "mem_watchdog.log")) {
    evidence.provenance["mem_watchdog"] = watchdog_summary(folder / "mem_watchdog.log");
  }
  return evidence;
}

}  // namespace nvllm::bench
