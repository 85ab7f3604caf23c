#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace nvllm::engine {

/// A slot of recurrent state and which of its tenancies this is.
struct StateSlot {
  std::int32_t index = -1;
  std::uint64_t epoch = 0;
};

/// Numbers of the recurrent-state slots that are free. Every tenancy has an epoch of its own, so
/// that a step which would continue from another tenant's state is caught by the runner.
class StateSlots {
 public:
  explicit StateSlots(std::int64_t count);

  std::int64_t total() const { return static_cast<std::int64_t>(taken_.size()); }
  std::int64_t free() const { return static_cast<std::int64_t>(free_.size()); }
  bool is_free(std::int32_t slot) const { return !taken_[static_cast<std::size_t>(slot)]; }
  /// A slot that behaves as all zeros, or nothing if none is free.
  [[nodiscard]] std::optional<StateSlot> take();
  /// Ends a tenancy. A slot given back twice is a bug.
  void give_back(StateSlot slot);

 private:
  std::vector<std::int32_t> free_;
  std::vector<bool> taken_;
  std::uint64_t next_epoch_ = 1;
};

}  // namespace nvllm::engine
