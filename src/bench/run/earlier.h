#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/records/question.h"
#include "bench/store/journal.h"

namespace nvllm::bench {

/// A boot of a unit that came to no end, and what it left.
struct EarlierAttempt {
  std::filesystem::path folder;  ///< where it lies now
  std::string place;             ///< the same, below the evidence folder
  std::int64_t attempt = 1;
  std::string unit_hash;
  std::string state;  ///< the last one it reached: "MEASURING"
  std::string ended;  ///< in words
};

/// The earlier attempts of a unit, as the journal tells: those that were set aside, oldest first.
/// Boots of one unit_hash are one group: the same leg, settings, model and program.
std::vector<EarlierAttempt> earlier_attempts(std::span<const JournalEvent> journal,
                                             std::string_view unit, std::string_view unit_hash,
                                             const std::filesystem::path& folder);

/// Questions that earlier boots of the group finished, or that their deadline cut off, each once,
/// the oldest answer of each. Only boots that ended while they were asking count: one that ended
/// later had asked everything, and it is its end that puts its answers in doubt.
std::vector<QuestionResult> kept_answers(const std::vector<EarlierAttempt>& attempts);

}  // namespace nvllm::bench
