#pragma once

// Pre-tokenizer patterns. They come from the checkpoint's files, never from a request; the text
// they run over does come from requests, so every match has a work limit.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace nvllm::tokenizer {

/// A compiled pattern of the dialect that tokenizer files use (Oniguruma, on Unicode), as far as
/// PCRE2 gives it the same meaning. Immutable; safe to share by threads.
class Regex {
 public:
  /// Errors: Error(kUnsupported) for a construct that would mean something else here,
  /// Error(kBadFile)
  ///         for a pattern that does not compile; both show the pattern and the place.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// Memory one thread needs while matching; reused from match to match.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class Regex;
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  /// Calls `piece` for each match and for each stretch between matches, in order; empty ones are
  /// left out. `text` must be valid UTF-8.
  ///   Errors: Error(kUsage) if the pattern needs more work on this text than its limit.
  void split(std::string_view text, Scratch& scratch,
             const std::function<void(std::string_view)>& piece) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The pattern in PCRE2's words: \s and \S become the Unicode property White_Space.
///   Errors: as Regex's constructor.
std::string pcre2_pattern(std::string_view pattern);

}  // namespace nvllm::tokenizer
