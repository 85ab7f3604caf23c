#pragma once

// What can be planted, in words: "stale-state", "slow:KERNEL:SHARE", "hung-engine:STEP" and "broken-device:STEP", separated by
// blanks.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace nvllm::test {

struct PlantedFaults {
  bool stale_state = false;
  std::map<std::string, double, std::less<>> slowdowns;  ///< shares of its own time, by kernel
  std::int64_t hanging_step = -1;   ///< of an engine, before which it waits for ever; -1: none
  std::int64_t breaking_step = -1;  ///< of a GPU, before which its device breaks; -1: none
};

/// Reads the words; none is no fault.
///   Errors: Error(kUsage) naming the word that is none, and what was wanted.
PlantedFaults parse_faults(std::string_view words);

/// From now on the program has these faults. Call it while no kernel runs.
void plant(const PlantedFaults& faults);

/// Queues work after which no work of this process is done on its GPU any more.
void queue_device_fault(void* stream);

/// Plants while it lives.
class Planting {
 public:
  explicit Planting(std::string_view words) { plant(parse_faults(words)); }
  ~Planting() { plant({}); }
  Planting(const Planting&) = delete;
  Planting& operator=(const Planting&) = delete;
};

}  // namespace nvllm::test
