#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nvllm::server {

/// Whether a reply came to its own end or was cut off.
enum class ReplyEnd { kWhole, kCutOff };

/// A stretch of a reply, in the order in which it was written.
struct ReplyPart {
  enum class Kind {
    kReasoning,
    kContent,
    kCall,       ///< a call begins; the text is the name of its function
    kArguments,  ///< more of the JSON text of a call's arguments
  };
  Kind kind = Kind::kContent;
  std::string text{};
  std::int64_t call = 0;  ///< which call of the reply, for kCall and kArguments

  bool operator==(const ReplyPart&) const = default;
};

/// Puts a part behind others: it grows the last one where both are of one kind. Empty text is no
/// part.
inline void add_part(std::vector<ReplyPart>& parts, ReplyPart part) {
  if (part.text.empty()) return;
  const bool grows = !parts.empty() && part.kind != ReplyPart::Kind::kCall &&
                     parts.back().kind == part.kind && parts.back().call == part.call;
  if (grows) {
    parts.back().text += part.text;
  } else {
    parts.push_back(std::move(part));
  }
}

}  // namespace nvllm::server
