// utf8proc knows the Unicode tables; the order of work is ours for two reasons. Its canonical
// reordering sorts by neighbour exchange, quadratic on a long run of combining marks that a
// stranger may send; and we must know which bytes of the result came from which range. Both fall
// out of normalising segment by segment: an ASCII character never combines with what stands before
// it, so every ASCII character begins a segment of its own.

#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/check.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

/// Below this code point every character is a starter that NFC leaves alone.
constexpr std::uint8_t kFirstLeadThatMayChange = 0xcc;  // lead byte of U+0300

int combining_class(utf8proc_int32_t code_point) {
  return static_cast<int>(utf8proc_get_property(code_point)->combining_class);
}

void decompose(std::string_view segment, std::vector<utf8proc_int32_t>& out) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  for (std::size_t at = 0; at < segment.size();) {
    const Utf8Step step = utf8_step(segment, at);
    std::array<utf8proc_int32_t, 32> parts{};
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(step.code_point), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), kOptions, nullptr);
    NVLLM_CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()));
    out.insert(out.end(), parts.begin(), parts.begin() + count);
    at += step.bytes;
  }
}

void reorder_marks(std::vector<utf8proc_int32_t>& code_points) {
  const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  for (auto at = code_points.begin(); at != code_points.end();) {
    const auto run = std::find_if_not(at, code_points.end(), is_starter);
    const auto end = std::find_if(run, code_points.end(), is_starter);
    std::stable_sort(run, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    at = end;
  }
}

void append_nfc(std::string_view segment, std::string& out) {
  const bool unchanged = std::all_of(segment.begin(), segment.end(), [](char c) {
    return static_cast<std::uint8_t>(c) < kFirstLeadThatMayChange;
  });
  if (unchanged) {
    out += segment;
    return;
  }
  std::vector<utf8proc_int32_t> code_points;
  decompose(segment, code_points);
  reorder_marks(code_points);
  const utf8proc_ssize_t count = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  NVLLM_CHECK(count >= 0);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_code_point(static_cast<std::uint32_t>(code_points[static_cast<std::size_t>(i)]), out);
  }
}

/// The end of the segment that begins at `begin`: a stretch of ASCII but for its last character, or
/// one character with all that is not ASCII after it.
std::size_t segment_end(std::string_view text, std::size_t begin) {
  const auto is_ascii = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]) < 0x80; };
  std::size_t end = begin + 1;
  if (is_ascii(begin)) {
    while (end < text.size() && is_ascii(end)) ++end;
    if (end == text.size()) return end;
    if (end - begin > 1) return end - 1;
  }
  while (end < text.size() && !is_ascii(end)) ++end;
  return end;
}

}  // namespace

std::string nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = segment_end(text, at);
    append_nfc(text.substr(at, end - at), out);
    at = end;
  }
  return out;
}

OpenText nfc(const OpenText& text) {
  OpenText out;
  out.text.reserve(text.text.size());
  const std::string_view all = text.text;
  auto range = text.open.begin();
  for (std::size_t at = 0; at < all.size();) {
    while (range != text.open.end() && range->end <= at) ++range;
    const bool inside = range != text.open.end() && range->begin <= at;
    // A segment of ASCII may be cut anywhere; only one with other characters must stay whole.
    std::size_t end = segment_end(all, at);
    const std::size_t limit = range == text.open.end() ? all.size()
                              : inside                 ? range->end
                                                       : range->begin;
    const bool ascii = static_cast<std::uint8_t>(all[end - 1]) < 0x80;
    if (ascii && limit < end) end = limit;
    const std::size_t begin_out = out.text.size();
    append_nfc(all.substr(at, end - at), out.text);
    if (inside && end <= range->end && out.text.size() > begin_out) {
      const bool adjoins =
          !out.open.empty() && out.open.back().end == begin_out && at != range->begin;
      if (adjoins) {
        out.open.back().end = out.text.size();
      } else {
        out.open.push_back({begin_out, out.text.size()});
      }
    }
    at = end;
  }
  return out;
}

}  // namespace nvllm::tokenizer
