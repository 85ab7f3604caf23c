#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/store/journal.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

/// A unit of the plan and the hash of everything that decides its result.
struct PlannedUnit {
  Unit unit;
  std::string unit_hash;
};

/// What lies in a planned unit's folder today.
struct UnitFound {
  SealCheck seal;
  bool has_files = false;  ///< anything at all
};

/// What is to be done with a unit.
struct UnitWork {
  enum class Action {
    kDone,            ///< sealed, and the seal holds
    kRun,             ///< nothing there
    kSetAsideAndRun,  ///< remains of an earlier attempt: keep them under attempts/, then run
  };
  PlannedUnit planned;
  Action action = Action::kRun;
  std::int64_t attempt = 1;  ///< kDone: the sealed one; else the number the next attempt gets
  std::string reason;        ///< in words: "died while MEASURING", "sealed with unit_hash ..."
};

/// From the plan, the journal and what lies there to what is left. A pure function: it reads no disk
/// and no clock. `found` has one entry per planned unit, in its order. Attempts are counted by the
/// journal's "started" events, so none is counted twice and none is forgotten.
[[nodiscard]] std::vector<UnitWork> plan_resume(std::span<const PlannedUnit> planned,
                                                std::span<const JournalEvent> journal,
                                                std::span<const UnitFound> found);

}  // namespace nvllm::bench
