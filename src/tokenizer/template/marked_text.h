#pragma once

// Text that remembers, byte by byte, whether the template or the request wrote it.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::tokenizer {

/// Who wrote a stretch of text.
enum class Origin { kTemplate, kUser };

/// A string made of runs of one origin each. Every operation keeps the origins.
class MarkedText {
 public:
  struct Run {
    std::size_t end = 0;
    Origin origin = Origin::kTemplate;
  };

  MarkedText() = default;
  MarkedText(std::string_view text, Origin origin) { append(text, origin); }

  const std::string& text() const { return text_; }
  std::size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  /// Runs in order; the first begins at 0, each other where the one before ends.
  const std::vector<Run>& runs() const { return runs_; }
  bool has_user_text() const;

  void append(std::string_view text, Origin origin);
  void append(const MarkedText& other);
  /// The bytes [begin, end), which must lie within the text.
  MarkedText cut(std::size_t begin, std::size_t end) const;
  /// The origin of the byte at `at` < size().
  Origin origin_at(std::size_t at) const;

 private:
  std::string text_;
  std::vector<Run> runs_;
};

}  // namespace nvllm::tokenizer
