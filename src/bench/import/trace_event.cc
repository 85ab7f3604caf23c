// Most bytes of a trace belong to events nobody asked for, so passing over a value is the hot path:
// one table look-up a byte outside of strings, memchr inside.

#include "bench/import/trace_event.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace nvllm::bench {

namespace {

using Outcome = Scanned::Outcome;

enum Kind : unsigned char { kPlain, kQuote, kOpen, kClose, kComma, kSpace };

constexpr std::array<unsigned char, 256> make_kinds() {
  std::array<unsigned char, 256> kinds{};
  kinds['"'] = kQuote;
  kinds['{'] = kinds['['] = kOpen;
  kinds['}'] = kinds[']'] = kClose;
  kinds[','] = kComma;
  kinds[' '] = kinds['\n'] = kinds['\t'] = kinds['\r'] = kSpace;
  return kinds;
}

constexpr std::array<unsigned char, 256> kKinds = make_kinds();

unsigned char kind_of(char c) { return kKinds[static_cast<unsigned char>(c)]; }

Scanned need_more() { return {Outcome::kNeedMore, nullptr, ""}; }
Scanned bad(const char* at, const char* wanted) { return {Outcome::kBad, at, wanted}; }
Scanned done(const char* next) { return {Outcome::kDone, next, ""}; }

/// The quote that ends the string whose text begins at `p`, or null if the buffer ends before it.
const char* closing_quote(const char* p, const char* end) {
  const char* const begin = p;
  while (p < end) {
    p = static_cast<const char*>(std::memchr(p, '"', static_cast<std::size_t>(end - p)));
    if (p == nullptr) return nullptr;
    const char* back = p;
    while (back > begin && back[-1] == '\\') --back;
    if ((p - back) % 2 == 0) return p;
    ++p;
  }
  return nullptr;
}

const char* skip_space(const char* p, const char* end) {
  while (p < end && kind_of(*p) == kSpace) ++p;
  return p;
}

/// Passes over an object or array, brackets counted but not matched by kind.
Scanned scan_brackets(const char* p, const char* end) {
  int depth = 0;
  while (p < end) {
    switch (kind_of(*p)) {
      case kQuote:
        p = closing_quote(p + 1, end);
        if (p == nullptr) return need_more();
        break;
      case kOpen:
        ++depth;
        break;
      case kClose:
        if (--depth == 0) return done(p + 1);
        break;
      default:
        break;
    }
    ++p;
  }
  return need_more();
}

/// The value as text: a string without its quotes, anything else as written.
Scanned scan_text(const char* p, const char* end, std::string_view& text) {
  const Scanned scanned = scan_value(p, end);
  if (scanned.outcome == Outcome::kDone) {
    const bool quoted = *p == '"';
    text = {quoted ? p + 1 : p, static_cast<std::size_t>(scanned.next - p) - (quoted ? 2 : 0)};
  }
  return scanned;
}

std::string_view* argument_slot(TraceEvent& event, std::string_view key) {
  switch (key.size()) {
    case 4:
      return key == "grid" ? &event.grid : nullptr;
    case 5:
      return key == "block" ? &event.block : key == "bytes" ? &event.bytes : nullptr;
    case 8:
      return key == "graph id" ? &event.graph_id : nullptr;
    case 13:
      return key == "shared memory" ? &event.shared_memory : key == "graph node id" ? &event.graph_node_id : nullptr;
    default:
      return nullptr;
  }
}

std::string_view* event_slot(TraceEvent& event, std::string_view key) {
  switch (key.size()) {
    case 2:
      return key == "ph" ? &event.phase : key == "ts" ? &event.ts : nullptr;
    case 3:
      return key == "cat" ? &event.category : key == "dur" ? &event.duration : nullptr;
    case 4:
      return key == "name" ? &event.name : nullptr;
    default:
      return nullptr;
  }
}

/// Walks the fields of an object; `field(key, value_begin)` scans the value.
template <class Field>
Scanned scan_object(const char* p, const char* end, Field&& field) {
  p = skip_space(p + 1, end);
  if (p < end && *p == '}') return done(p + 1);
  while (true) {
    if (p >= end) return need_more();
    if (*p != '"') return bad(p, "a key in quotes");
    const char* const key = p + 1;
    p = closing_quote(key, end);
    if (p == nullptr) return need_more();
    const std::string_view name(key, static_cast<std::size_t>(p - key));
    p = skip_space(p + 1, end);
    if (p >= end) return need_more();
    if (*p != ':') return bad(p, "':'");
    p = skip_space(p + 1, end);
    if (p >= end) return need_more();
    const Scanned value = field(name, p);
    if (value.outcome != Outcome::kDone) return value;
    p = skip_space(value.next, end);
    if (p >= end) return need_more();
    if (*p == '}') return done(p + 1);
    if (*p != ',') return bad(p, "',' or '}'");
    p = skip_space(p + 1, end);
  }
}

/// Categories whose arguments are of use: work of the device. Unknown so far is of use too.
bool wants_arguments(std::string_view category) {
  return category.empty() || category.starts_with("kernel") || category.starts_with("Kernel") ||
         category.starts_with("gpu_mem") || category.starts_with("Mem");
}

}  // namespace

Scanned scan_value(const char* begin, const char* end) {
  if (begin >= end) return need_more();
  switch (kind_of(*begin)) {
    case kQuote: {
      const char* const close = closing_quote(begin + 1, end);
      return close == nullptr ? need_more() : done(close + 1);
    }
    case kOpen:
      return scan_brackets(begin, end);
    case kPlain: {
      const char* p = begin;
      while (p < end && kind_of(*p) == kPlain) ++p;
      // A number may go on behind the buffer's end.
      return p == end ? need_more() : done(p);
    }
    default:
      return bad(begin, "a value");
  }
}

Scanned scan_event(const char* begin, const char* end, TraceEvent& event) {
  event = {};
  return scan_object(begin, end, [&](std::string_view key, const char* value) {
    if (key == "args" && *value == '{' && wants_arguments(event.category)) {
      return scan_object(value, end, [&](std::string_view argument, const char* inner) {
        std::string_view* const slot = argument_slot(event, argument);
        return slot == nullptr ? scan_value(inner, end) : scan_text(inner, end, *slot);
      });
    }
    std::string_view* const slot = event_slot(event, key);
    return slot == nullptr ? scan_value(value, end) : scan_text(value, end, *slot);
  });
}

std::string unescaped(std::string_view text, std::string_view what) {
  if (text.find('\\') == std::string_view::npos) return std::string(text);
  return parse_json(fmt::format("\"{}\"", text), what).get<std::string>();
}

}  // namespace nvllm::bench
