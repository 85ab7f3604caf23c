#include "tokenizer/detokenizer.h"

#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

std::string Detokenizer::push(std::int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  pending_ += tokenizer_.bytes(id);
  // At most three bytes of the end can be an unfinished character; everything before is certain.
  std::size_t certain = pending_.size();
  for (std::size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
    const std::size_t at = pending_.size() - back;
    if ((static_cast<std::uint8_t>(pending_[at]) & 0xc0) == 0x80) continue;
    if (utf8_step(pending_, at).kind == Utf8Step::Kind::kIncomplete) certain = at;
    break;
  }
  std::string text;
  append_lossy(std::string_view(pending_).substr(0, certain), text);
  pending_.erase(0, certain);
  return text;
}

std::string Detokenizer::finish() {
  std::string text;
  append_lossy(pending_, text);
  pending_.clear();
  return text;
}

}  // namespace nvllm::tokenizer
