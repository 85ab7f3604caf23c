#include "bench/run/earlier.h"

#include <fmt/format.h>

#include <map>

#include "bench/accuracy/eval_folder.h"

namespace nvllm::bench {

namespace {

std::string text_of(const Json& data, const char* key) {
  const auto found = data.find(key);
  return found != data.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::vector<EarlierAttempt> earlier_attempts(std::span<const JournalEvent> journal,
                                             std::string_view unit, std::string_view unit_hash,
                                             const std::filesystem::path& folder) {
  std::vector<EarlierAttempt> found;
  EarlierAttempt now;
  for (const JournalEvent& event : journal) {
    if (event.unit != unit) continue;
    if (event.event == events::kStarted) {
      now = {.folder = {},
             .place = {},
             .attempt = event.data.value("attempt", std::int64_t{1}),
             .unit_hash = text_of(event.data, "unit_hash"),
             .state = "STARTING",
             .ended = {}};
    } else if (event.event == events::kState) {
      now.state = text_of(event.data, "state");
    } else if (event.event == events::kSetAside) {
      now.place = text_of(event.data, "to");
      now.folder = folder / now.place;
      now.ended = text_of(event.data, "reason");
      if (now.unit_hash == unit_hash) found.push_back(now);
    }
  }
  return found;
}

std::vector<QuestionResult> kept_answers(const std::vector<EarlierAttempt>& attempts) {
  std::map<std::int64_t, QuestionResult> kept;
  for (const EarlierAttempt& one : attempts) {
    if (one.state != "MEASURING") continue;
    for (QuestionResult& result : results_in(one.folder)) {
      const bool settled = finished(result) || result.status == QuestionStatus::kTimeout;
      if (settled) kept.emplace(result.prompt_index, std::move(result));
    }
  }
  std::vector<QuestionResult> out;
  for (auto& [index, result] : kept) out.push_back(std::move(result));
  return out;
}

}  // namespace nvllm::bench
