// Methods of strings and mappings. Names that Python has and we do not do are still methods here,
// so that an attribute of that name means what it means in Jinja: they are refused when called.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tokenizer/template/builtins.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

const Value* argument(const Arguments& arguments, std::size_t index, std::string_view name) {
  if (index < arguments.positional.size()) return &arguments.positional[index];
  for (const auto& [known, value] : arguments.named) {
    if (known == name) return &value;
  }
  return nullptr;
}

void check_argument_count(Runtime& runtime, std::string_view what, const Arguments& arguments,
                          std::size_t count_max) {
  const std::size_t count = arguments.positional.size();
  if (count > count_max)
    runtime.fail(fmt::format("{} takes {} arguments, not {}", what, count_max, count));
}

namespace {

constexpr std::array<std::string_view, 12> kDictMethods = {
    "items",    "keys", "values",  "get",        "clear",  "copy",
    "fromkeys", "pop",  "popitem", "setdefault", "update", "__class__"};
constexpr std::array<std::string_view, 12> kListMethods = {
    "index",  "count", "append", "clear",   "copy", "extend",
    "insert", "pop",   "remove", "reverse", "sort", "__class__"};
constexpr std::array<std::string_view, 48> kTextMethods = {
    "startswith",   "endswith",   "split",        "rsplit",    "strip",      "lstrip",
    "rstrip",       "upper",      "lower",        "title",     "capitalize", "replace",
    "find",         "rfind",      "count",        "join",      "splitlines", "removeprefix",
    "removesuffix", "isdigit",    "isspace",      "casefold",  "center",     "encode",
    "expandtabs",   "format",     "format_map",   "index",     "isalnum",    "isalpha",
    "isascii",      "isdecimal",  "isidentifier", "islower",   "isnumeric",  "isprintable",
    "istitle",      "isupper",    "ljust",        "maketrans", "partition",  "rindex",
    "rjust",        "rpartition", "swapcase",     "translate", "zfill",      "__class__"};

bool matches_end(Runtime& runtime, const MarkedText& text, const Value& wanted, bool at_start) {
  if (wanted.list() != nullptr && wanted.list()->is_tuple) {
    const auto& items = wanted.list()->items;
    return std::any_of(items.begin(), items.end(), [&](const Value& item) {
      return matches_end(runtime, text, item, at_start);
    });
  }
  const std::string& part = runtime.text_of(wanted, at_start ? "startswith" : "endswith").text();
  runtime.charge_text(part.size());
  return at_start ? text.text().starts_with(part) : text.text().ends_with(part);
}

bool is_space_at(const std::string& text, std::size_t at, std::size_t& bytes) {
  const Utf8Step step = utf8_step(text, at);
  bytes = step.bytes;
  return is_white_space(step.code_point) || (step.code_point >= 0x1c && step.code_point <= 0x1f);
}

/// The words of a text: split() without a separator.
std::vector<Value> words_of(Runtime& runtime, const MarkedText& text, std::int64_t splits_max) {
  std::vector<Value> words;
  const std::string& all = text.text();
  std::size_t at = 0;
  std::size_t bytes = 0;
  while (true) {
    while (at < all.size() && is_space_at(all, at, bytes)) at += bytes;
    if (at >= all.size()) return words;
    std::size_t end = at;
    if (splits_max >= 0 && static_cast<std::int64_t>(words.size()) >= splits_max) {
      words.push_back(runtime.text(text.cut(at, all.size())));
      return words;
    }
    while (end < all.size() && !is_space_at(all, end, bytes)) end += bytes;
    words.push_back(runtime.text(text.cut(at, end)));
    at = end;
  }
}

std::vector<Value> split_text(Runtime& runtime, const MarkedText& text,
                              const std::string& separator, std::int64_t splits_max,
                              bool from_right) {
  if (separator.empty()) runtime.fail("split: the separator is empty");
  const std::string& all = text.text();
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at <= all.size();) {
    const void* hit =
        ::memmem(all.data() + at, all.size() - at, separator.data(), separator.size());
    if (hit == nullptr) break;
    if (!from_right && splits_max >= 0 && static_cast<std::int64_t>(cuts.size()) >= splits_max)
      break;
    cuts.push_back(static_cast<std::size_t>(static_cast<const char*>(hit) - all.data()));
    at = cuts.back() + separator.size();
  }
  if (from_right && splits_max >= 0) {
    // Taken from the right, so that overlapping separators fall where Python puts them.
    cuts.clear();
    for (std::size_t end = all.size(); static_cast<std::int64_t>(cuts.size()) < splits_max;) {
      if (end < separator.size()) break;
      const std::size_t hit = all.rfind(separator, end - separator.size());
      if (hit == std::string::npos) break;
      runtime.charge_text(end - hit);
      cuts.insert(cuts.begin(), hit);
      end = hit;
    }
  }
  std::vector<Value> parts;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    parts.push_back(runtime.text(text.cut(begin, cut)));
    begin = cut + separator.size();
  }
  parts.push_back(runtime.text(text.cut(begin, all.size())));
  return parts;
}

Value call_split(Runtime& runtime, const MarkedText& text, const Arguments& arguments,
                 bool from_right) {
  const Value* separator = argument(arguments, 0, "sep");
  const Value* limit = argument(arguments, 1, "maxsplit");
  const std::int64_t splits_max = limit == nullptr ? -1 : runtime.integer(*limit, "split's limit");
  runtime.charge_text(text.size());
  if (separator == nullptr || separator->is<None>()) {
    if (from_right && splits_max >= 0) runtime.fail("rsplit with a limit needs a separator");
    return runtime.list(words_of(runtime, text, splits_max));
  }
  const std::string& by = runtime.text_of(*separator, "split's separator").text();
  return runtime.list(split_text(runtime, text, by, splits_max, from_right));
}

Value call_splitlines(Runtime& runtime, const MarkedText& text, const Arguments& arguments) {
  const Value* keep = argument(arguments, 0, "keepends");
  const bool keeps = keep != nullptr && runtime.truth(*keep);
  runtime.charge_text(text.size());
  const std::string& all = text.text();
  std::vector<Value> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < all.size();) {
    const Utf8Step step = utf8_step(all, at);
    const std::uint32_t c = step.code_point;
    const bool ends = (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    std::size_t next = at + step.bytes;
    if (ends) {
      if (c == '\r' && next < all.size() && all[next] == '\n') ++next;
      lines.push_back(runtime.text(text.cut(begin, keeps ? next : at)));
      begin = next;
    }
    at = next;
  }
  if (begin < all.size()) lines.push_back(runtime.text(text.cut(begin, all.size())));
  return runtime.list(std::move(lines));
}

Value find_in(Runtime& runtime, const MarkedText& text, const std::string& part, bool last) {
  runtime.charge_text(text.size());
  const std::string& all = text.text();
  std::size_t at = 0;
  std::optional<std::size_t> found;
  while (true) {
    const void* hit = ::memmem(all.data() + at, all.size() - at, part.data(), part.size());
    if (hit == nullptr) break;
    found = static_cast<std::size_t>(static_cast<const char*>(hit) - all.data());
    at = *found + 1;
    if (!last || at > all.size()) break;
    runtime.step();
  }
  if (!found) return Value(std::int64_t{-1});
  return Value(count_characters(std::string_view(all).substr(0, *found)));
}

Value count_in(Runtime& runtime, const MarkedText& text, const std::string& part) {
  if (part.empty()) return Value(runtime.length(Value(text)) + 1);
  return Value(static_cast<std::int64_t>(split_text(runtime, text, part, -1, false).size()) - 1);
}

Value join_items(Runtime& runtime, const MarkedText& between, const Value& list) {
  MarkedText joined;
  bool first = true;
  for (const Value& item : runtime.items_of(list)) {
    if (!first) joined.append(between);
    first = false;
    joined.append(runtime.text_of(item, "what join joins"));
    runtime.charge_text(between.size());
  }
  return runtime.text(std::move(joined));
}

template <class Wanted>
Value all_characters(Runtime& runtime, const MarkedText& text, Wanted wanted) {
  runtime.charge_text(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.text(), at);
    if (!wanted(step.code_point)) return Value(false);
    at += step.bytes;
  }
  return Value(!text.empty());
}

Value call_text_method(Runtime& runtime, const MarkedText& text, std::string_view name,
                       const Arguments& arguments) {
  const auto wanted = [&](std::size_t index, std::string_view called) -> const MarkedText& {
    const Value* given = argument(arguments, index, called);
    if (given == nullptr) runtime.fail(fmt::format("{}: argument {} is missing", name, index + 1));
    return runtime.text_of(*given, name);
  };
  const Value* first = argument(arguments, 0, "chars");
  if (name == "strip") return strip_text(runtime, text, first, true, true);
  if (name == "lstrip") return strip_text(runtime, text, first, true, false);
  if (name == "rstrip") return strip_text(runtime, text, first, false, true);
  if (name == "split") return call_split(runtime, text, arguments, false);
  if (name == "rsplit") return call_split(runtime, text, arguments, true);
  if (name == "splitlines") return call_splitlines(runtime, text, arguments);
  if (name == "upper") return change_case(runtime, text, LetterCase::kUpper);
  if (name == "lower" || name == "casefold") return change_case(runtime, text, LetterCase::kLower);
  if (name == "title") return change_case(runtime, text, LetterCase::kTitle);
  if (name == "capitalize") return change_case(runtime, text, LetterCase::kCapitalize);
  if (name == "isdigit") {
    return all_characters(runtime, text, [](std::uint32_t c) { return c >= '0' && c <= '9'; });
  }
  if (name == "isspace") {
    return all_characters(runtime, text, [](std::uint32_t c) {
      return is_white_space(c) || (c >= 0x1c && c <= 0x1f);
    });
  }
  if (name == "startswith" || name == "endswith") {
    check_argument_count(runtime, name, arguments, 1);
    const Value* part = argument(arguments, 0, "prefix");
    if (part == nullptr) runtime.fail(fmt::format("{}: argument 1 is missing", name));
    return Value(matches_end(runtime, text, *part, name == "startswith"));
  }
  if (name == "replace") {
    const Value* count = argument(arguments, 2, "count");
    return replace_text(runtime, text, wanted(0, "old"), wanted(1, "new"),
                        count == nullptr ? -1 : runtime.integer(*count, "replace's count"));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const bool prefix = name == "removeprefix";
    const MarkedText& part = wanted(0, "prefix");
    if (!matches_end(runtime, text, Value(part), prefix)) return Value(text);
    return runtime.text(prefix ? text.cut(part.size(), text.size())
                               : text.cut(0, text.size() - part.size()));
  }
  if (name == "join") {
    const Value* list = argument(arguments, 0, "iterable");
    if (list == nullptr) runtime.fail("join: argument 1 is missing");
    return join_items(runtime, text, *list);
  }
  check_argument_count(runtime, name, arguments, 1);
  if (name == "find" || name == "rfind")
    return find_in(runtime, text, wanted(0, "sub").text(), name == "rfind");
  if (name == "index") {
    Value found = find_in(runtime, text, wanted(0, "sub").text(), false);
    if (found.integer() == -1) runtime.fail("index: the text does not hold the other one");
    return found;
  }
  if (name == "count") return count_in(runtime, text, wanted(0, "sub").text());
  runtime.fail(fmt::format("the string method '{}' is not supported", name));
}

Value call_dict_method(Runtime& runtime, const DictData& dict, std::string_view name,
                       const Arguments& arguments) {
  if (name == "get") {
    const Value* key = argument(arguments, 0, "key");
    if (key == nullptr) runtime.fail("get: argument 1 is missing");
    const Value* found = key->text() == nullptr ? nullptr : dict.find(key->text()->text());
    const Value* otherwise = argument(arguments, 1, "default");
    return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value(None{});
  }
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    if (name == "keys") items.emplace_back(key);
    if (name == "values") items.push_back(value);
    if (name == "items") items.push_back(runtime.list({Value(key), value}, true));
  }
  if (name == "keys" || name == "values" || name == "items") return runtime.list(std::move(items));
  runtime.fail(fmt::format("the mapping method '{}' is not supported", name));
}

template <class Names>
bool holds(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  if (value.text() != nullptr) return holds(kTextMethods, name);
  if (value.dict() != nullptr) return holds(kDictMethods, name);
  return value.list() != nullptr && holds(kListMethods, name);
}

Value call_method(Runtime& runtime, const Value& self, std::string_view name,
                  const Arguments& arguments) {
  runtime.step();
  if (self.text() != nullptr) return call_text_method(runtime, *self.text(), name, arguments);
  if (self.dict() != nullptr) return call_dict_method(runtime, *self.dict(), name, arguments);
  const Value* wanted = argument(arguments, 0, "value");
  if ((name != "index" && name != "count") || wanted == nullptr || self.list() == nullptr) {
    runtime.fail(fmt::format("the method '{}' is not supported here", name));
  }
  std::int64_t count = 0;
  const auto& items = self.list()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!runtime.equal(items[i], *wanted)) continue;
    if (name == "index") return Value(static_cast<std::int64_t>(i));
    ++count;
  }
  if (name == "index") runtime.fail("index: the value is not in the list");
  return Value(count);
}

}  // namespace nvllm::tokenizer
