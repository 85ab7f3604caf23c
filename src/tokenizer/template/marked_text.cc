#include "tokenizer/template/marked_text.h"

#include <algorithm>

namespace nvllm::tokenizer {

namespace {

/// The first run that ends after `at`.
std::vector<MarkedText::Run>::const_iterator run_at(const std::vector<MarkedText::Run>& runs,
                                                    std::size_t at) {
  return std::upper_bound(runs.begin(), runs.end(), at,
                          [](std::size_t a, const MarkedText::Run& run) { return a < run.end; });
}

}  // namespace

bool MarkedText::has_user_text() const {
  return std::any_of(runs_.begin(), runs_.end(),
                     [](const Run& run) { return run.origin == Origin::kUser; });
}

void MarkedText::append(std::string_view text, Origin origin) {
  if (text.empty()) return;
  text_ += text;
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = text_.size();
  } else {
    runs_.push_back({text_.size(), origin});
  }
}

void MarkedText::append(const MarkedText& other) {
  std::size_t begin = 0;
  for (const Run& run : other.runs_) {
    append(std::string_view(other.text_).substr(begin, run.end - begin), run.origin);
    begin = run.end;
  }
}

MarkedText MarkedText::cut(std::size_t begin, std::size_t end) const {
  MarkedText part;
  for (auto run = run_at(runs_, begin); begin < end; ++run) {
    const std::size_t stop = std::min(run->end, end);
    part.append(std::string_view(text_).substr(begin, stop - begin), run->origin);
    begin = stop;
  }
  return part;
}

Origin MarkedText::origin_at(std::size_t at) const { return run_at(runs_, at)->origin; }

}  // namespace nvllm::tokenizer
