#include "server/stop_search.h"

#include <algorithm>
#include <utility>

namespace nvllm::server {

std::string StopSearch::push(std::string_view text) {
  if (hit_) return "";
  pending_.append(text);
  std::size_t best_end = std::string::npos;
  const std::string* best = nullptr;
  for (const std::string& stop : stops_) {
    const std::size_t start = pending_.find(stop);
    if (start == std::string::npos) continue;
    const std::size_t end = start + stop.size();
    const bool better =
        best == nullptr || end < best_end || (end == best_end && stop.size() > best->size());
    if (!better) continue;
    best_end = end;
    best = &stop;
  }
  if (best != nullptr) {
    hit_ = *best;
    pending_.resize(kept_ == StopText::kKept ? best_end : best_end - best->size());
    return std::exchange(pending_, {});
  }
  const std::size_t shown = held_from();
  std::string out = pending_.substr(0, shown);
  pending_.erase(0, shown);
  return out;
}

std::string StopSearch::push_unsearched(std::string_view text) {
  if (hit_) return "";
  pending_.append(text);
  return std::exchange(pending_, {});
}

std::string StopSearch::finish() { return hit_ ? "" : std::exchange(pending_, {}); }

/// Where the longest end of `pending_` begins that is the beginning of a stop string.
std::size_t StopSearch::held_from() const {
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t size = std::min(stop.size() - 1, pending_.size()); size > held; --size) {
      if (pending_.compare(pending_.size() - size, size, stop, 0, size) == 0) {
        held = size;
        break;
      }
    }
  }
  return pending_.size() - held;
}

}  // namespace nvllm::server
