#include "bench/store/resume.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/check.h"

namespace nvllm::bench {

namespace {

/// What the journal tells of one unit.
struct History {
  std::int64_t attempts = 0;
  bool open = false;    ///< started and neither sealed nor failed
  std::string state;    ///< the last one of an open attempt
  std::string failure;  ///< of the last attempt that ended so
};

std::string text_of(const Json& data, const char* key) {
  const auto found = data.find(key);
  return found != data.end() && found->is_string() ? found->get<std::string>() : "";
}

std::map<std::string, History> histories(std::span<const JournalEvent> journal) {
  std::map<std::string, History> by_unit;
  for (const JournalEvent& event : journal) {
    if (event.unit.empty()) continue;
    History& history = by_unit[event.unit];
    if (event.event == events::kStarted) {
      ++history.attempts;
      history.open = true;
      history.state = "STARTING";
      history.failure.clear();
    } else if (event.event == events::kState) {
      history.state = text_of(event.data, "state");
    } else if (event.event == events::kSealed) {
      history.open = false;
    } else if (event.event == events::kFailed) {
      history.open = false;
      history.failure = text_of(event.data, "reason");
    }
  }
  return by_unit;
}

std::string reason_for(const History& history, const SealCheck& seal) {
  if (seal.outcome == SealCheck::Outcome::kInvalid) return seal.reason;
  if (history.open) return fmt::format("attempt {} died while {}", history.attempts, history.state);
  if (!history.failure.empty()) return fmt::format("attempt {} failed: {}", history.attempts, history.failure);
  if (history.attempts > 0) return fmt::format("attempt {} left no seal", history.attempts);
  return "not run yet";
}

}  // namespace

std::vector<UnitWork> plan_resume(std::span<const PlannedUnit> planned, std::span<const JournalEvent> journal,
                                  std::span<const UnitFound> found) {
  NVLLM_CHECK_EQ(planned.size(), found.size());
  const std::map<std::string, History> by_unit = histories(journal);
  std::vector<UnitWork> work;
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const auto known = by_unit.find(unit_name(planned[i].unit));
    const History history = known == by_unit.end() ? History{} : known->second;
    const SealCheck& seal = found[i].seal;
    UnitWork unit{planned[i], UnitWork::Action::kRun, 1, ""};
    // A seal may be on the disk while its journal event is not: the process died between the two.
    // The seal is the evidence; the journal only remembers.
    if (seal.outcome == SealCheck::Outcome::kValid) {
      unit.action = UnitWork::Action::kDone;
      unit.attempt = seal.attempt;
    } else {
      unit.action = found[i].has_files ? UnitWork::Action::kSetAsideAndRun : UnitWork::Action::kRun;
      unit.attempt = std::max(history.attempts, seal.attempt) + 1;
      unit.reason = reason_for(history, seal);
    }
    work.push_back(std::move(unit));
  }
  return work;
}

}  // namespace nvllm::bench
