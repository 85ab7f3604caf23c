#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::server {

/// Whether a found stop string is part of the text.
enum class StopText { kCutBefore, kKept };

/// Looks for stop strings in text that arrives in pieces. Text that may still turn out to be the
/// beginning of a stop string is held back, so that nothing is ever shown and then taken back. Of
/// several stop strings the one that is complete first wins, whatever the cuts between pieces; of
/// those complete at the same place, the longest.
class StopSearch {
 public:
  StopSearch(std::vector<std::string> stops, StopText kept)
      : stops_(std::move(stops)), kept_(kept) {}

  /// Takes text and returns what may be shown. After a hit nothing more comes out.
  std::string push(std::string_view text);
  /// Takes text that is not searched (before min_tokens).
  std::string push_unsearched(std::string_view text);
  /// The end of the text: what was held back and can no longer become a stop string.
  std::string finish();
  /// The stop string that was found.
  const std::optional<std::string>& hit() const { return hit_; }

 private:
  std::size_t held_from() const;

  std::vector<std::string> stops_;
  StopText kept_;
  std::string pending_;  // not shown yet
  std::optional<std::string> hit_;
};

}  // namespace nvllm::server
