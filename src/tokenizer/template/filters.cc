// `value | name`: Jinja's filters.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "tokenizer/template/builtins.h"

namespace nvllm::tokenizer {

namespace {

Value tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  // The argument order is that of the environment chat templates are written for, not Jinja's own.
  Runtime::JsonStyle style;
  const auto flag = [&](std::size_t index, std::string_view name) {
    const Value* given = argument(arguments, index, name);
    return given != nullptr && runtime.truth(*given);
  };
  style.ensure_ascii = flag(0, "ensure_ascii");
  style.sort_keys = flag(3, "sort_keys");
  if (const Value* indent = argument(arguments, 1, "indent");
      indent != nullptr && !indent->is<None>()) {
    constexpr std::int64_t kIndentMax = 64;
    style.indent = static_cast<int>(
        std::clamp<std::int64_t>(runtime.integer(*indent, "tojson's indent"), 0, kIndentMax));
    style.item_separator = std::string(1, ',');  // g++ 12 warns falsely at an assigned literal
  }
  const Value* separators = argument(arguments, 2, "separators");
  if (separators != nullptr && !separators->is<None>()) {
    const ListData* pair = separators->list();
    if (pair == nullptr || pair->items.size() != 2)
      runtime.fail("tojson: separators must be a pair");
    style.item_separator = runtime.text_of(pair->items[0], "tojson's separators").text();
    style.key_separator = runtime.text_of(pair->items[1], "tojson's separators").text();
  }
  return runtime.text(runtime.json(input, style));
}

Value length(Runtime& runtime, const Value& input, const Arguments&) {
  return Value(runtime.length(input));
}

Value string(Runtime& runtime, const Value& input, const Arguments&) {
  return input.text() != nullptr ? input : runtime.text(runtime.printed(input));
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return strip_text(runtime, runtime.printed(input), argument(arguments, 0, "chars"), true, true);
}

Value items(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is<Undefined>()) return runtime.list({});
  if (input.dict() == nullptr) {
    runtime.fail(
        fmt::format("items needs a mapping, not {} (tool-call arguments that are JSON text must "
                    "be parsed before rendering)",
                    input.type_name()));
  }
  return call_method(runtime, input, "items", {});
}

/// The element `attribute` ("name", "a.b" or an index) of a value, as map(attribute=) means it.
Value follow(Runtime& runtime, Value value, const Value& attribute) {
  if (attribute.text() == nullptr) return runtime.item(value, attribute);
  const std::string& path = attribute.text()->text();
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    std::int64_t index = 0;
    const auto [last, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool numeric = error == std::errc() && last == part.data() + part.size();
    value = runtime.item(value, numeric ? Value(index) : template_text(part));
    begin = end + 1;
  }
  return value;
}

Value join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* between = argument(arguments, 0, "d");
  const Value* attribute = argument(arguments, 1, "attribute");
  const MarkedText separator = between == nullptr ? MarkedText() : runtime.printed(*between);
  MarkedText joined;
  bool first = true;
  for (const Value& item : runtime.items_of(input)) {
    if (!first) joined.append(separator);
    first = false;
    runtime.charge_text(separator.size());
    joined.append(runtime.printed(attribute == nullptr ? item : follow(runtime, item, *attribute)));
  }
  return runtime.text(std::move(joined));
}

Value default_value(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* otherwise = argument(arguments, 0, "default_value");
  const Value* also_false = argument(arguments, 1, "boolean");
  const bool replaces =
      input.is<Undefined>() ||
      (also_false != nullptr && runtime.truth(*also_false) && !runtime.truth(input));
  if (!replaces) return input;
  return otherwise == nullptr ? template_text("") : *otherwise;
}

Value first(Runtime& runtime, const Value& input, const Arguments&) {
  const std::vector<Value> all = runtime.items_of(input);
  return all.empty() ? runtime.undefined("there is no first item") : all.front();
}

Value last(Runtime& runtime, const Value& input, const Arguments&) {
  const std::vector<Value> all = runtime.items_of(input);
  return all.empty() ? runtime.undefined("there is no last item") : all.back();
}

Value list(Runtime& runtime, const Value& input, const Arguments&) {
  return runtime.list(runtime.items_of(input));
}

Value reverse(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.text() != nullptr)
    return runtime.slice(input, Value(), Value(), Value(std::int64_t{-1}));
  std::vector<Value> all = runtime.items_of(input);
  std::reverse(all.begin(), all.end());
  return runtime.list(std::move(all));
}

template <LetterCase kWanted>
Value letter_case(Runtime& runtime, const Value& input, const Arguments&) {
  return change_case(runtime, runtime.printed(input), kWanted);
}

Value replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* from = argument(arguments, 0, "old");
  const Value* to = argument(arguments, 1, "new");
  const Value* count = argument(arguments, 2, "count");
  if (from == nullptr || to == nullptr) runtime.fail("replace takes two arguments");
  const bool limited = count != nullptr && !count->is<None>();
  return replace_text(runtime, runtime.printed(input), runtime.printed(*from), runtime.printed(*to),
                      limited ? runtime.integer(*count, "replace's count") : -1);
}

void refuse_undefined(Runtime& runtime, const Value& input) {
  if (const auto* missing = input.get_if<Undefined>())
    runtime.fail(missing->why ? *missing->why : "undefined");
}

Value to_int(Runtime& runtime, const Value& input, const Arguments& arguments) {
  refuse_undefined(runtime, input);
  const Value* otherwise = argument(arguments, 0, "default");
  const Value fallback = otherwise == nullptr ? Value(std::int64_t{0}) : *otherwise;
  if (const auto whole = input.integer()) return Value(*whole);
  double real = 0;
  if (const auto number = input.number()) {
    real = *number;
  } else if (input.text() != nullptr) {
    const Value stripped = strip_text(runtime, *input.text(), nullptr, true, true);
    const std::string& spelled = stripped.text()->text();
    const char* end = spelled.data() + spelled.size();
    std::int64_t whole = 0;
    const auto result = std::from_chars(spelled.data(), end, whole);
    if (result.ec == std::errc() && result.ptr == end) return Value(whole);
    const auto as_real = std::from_chars(spelled.data(), end, real);
    if (as_real.ec != std::errc() || as_real.ptr != end) return fallback;
  } else {
    return fallback;
  }
  return std::abs(real) < 9e18 ? Value(static_cast<std::int64_t>(real)) : fallback;
}

Value to_float(Runtime& runtime, const Value& input, const Arguments& arguments) {
  refuse_undefined(runtime, input);
  const Value* otherwise = argument(arguments, 0, "default");
  if (const auto number = input.number()) return Value(*number);
  if (input.text() != nullptr) {
    const Value stripped = strip_text(runtime, *input.text(), nullptr, true, true);
    const std::string& spelled = stripped.text()->text();
    double real = 0;
    const char* end = spelled.data() + spelled.size();
    const auto result = std::from_chars(spelled.data(), end, real);
    if (result.ec == std::errc() && result.ptr == end) return Value(real);
  }
  return otherwise == nullptr ? Value(0.0) : *otherwise;
}

Value absolute(Runtime& runtime, const Value& input, const Arguments&) {
  if (const auto whole = input.integer()) {
    return *whole < 0 ? runtime.arithmetic('-', Value(std::int64_t{0}), input) : Value(*whole);
  }
  if (!input.number()) runtime.fail("abs needs a number");
  return Value(std::abs(*input.number()));
}

Value safe(Runtime&, const Value& input, const Arguments&) { return input; }

Value escape(Runtime& runtime, const Value& input, const Arguments&) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEntities = {
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}}};
  Value text(runtime.printed(input));
  for (const auto& [character, entity] : kEntities) {
    text = replace_text(runtime, *text.text(), MarkedText(character, Origin::kTemplate),
                        MarkedText(entity, Origin::kTemplate), -1);
  }
  return text;
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  constexpr std::int64_t kWidthMax = 256;
  const Value* width = argument(arguments, 0, "width");
  const Value* first_too = argument(arguments, 1, "first");
  const Value* blank_too = argument(arguments, 2, "blank");
  MarkedText by(std::string(4, ' '), Origin::kTemplate);
  if (width != nullptr && width->text() != nullptr) by = *width->text();
  if (width != nullptr && width->text() == nullptr) {
    const auto count =
        std::clamp<std::int64_t>(runtime.integer(*width, "indent's width"), 0, kWidthMax);
    by = MarkedText(std::string(static_cast<std::size_t>(count), ' '), Origin::kTemplate);
  }
  const bool indents_blank = blank_too != nullptr && runtime.truth(*blank_too);
  MarkedText text = runtime.printed(input);
  const MarkedText line_end("\n", Origin::kTemplate);
  text.append(line_end);
  const Value lines = call_method(runtime, Value(std::move(text)), "splitlines", {});
  MarkedText out;
  if (first_too != nullptr && runtime.truth(*first_too)) out.append(by);
  bool first = true;
  for (const Value& line : runtime.items_of(lines)) {
    if (!first) {
      out.append(line_end);
      runtime.charge_text(by.size());
      if (indents_blank || !line.text()->empty()) out.append(by);
    }
    first = false;
    out.append(*line.text());
  }
  return runtime.text(std::move(out));
}

Arguments after(const Arguments& arguments, std::size_t count) {
  Arguments rest;
  const std::size_t from = std::min(count, arguments.positional.size());
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(from),
                         arguments.positional.end());
  return rest;
}

/// select, reject, selectattr, rejectattr: keeps the items whose test comes out as `wanted`.
Value keep(Runtime& runtime, const Value& input, const Arguments& arguments, bool wanted,
           bool by_attribute) {
  const std::size_t test_index = by_attribute ? 1 : 0;
  if (arguments.positional.size() < test_index)
    runtime.fail("selectattr: the attribute is missing");
  const bool has_test = arguments.positional.size() > test_index;
  std::string test;
  if (has_test) test = runtime.text_of(arguments.positional[test_index], "the test's name").text();
  if (has_test && !is_test(test)) runtime.fail(fmt::format("the test '{}' is not supported", test));
  const Arguments rest = after(arguments, test_index + 1);
  std::vector<Value> kept;
  for (const Value& item : runtime.items_of(input)) {
    const Value looked_at = by_attribute ? follow(runtime, item, arguments.positional[0]) : item;
    const bool holds =
        has_test ? call_test(runtime, test, looked_at, rest) : runtime.truth(looked_at);
    if (holds == wanted) kept.push_back(item);
  }
  return runtime.list(std::move(kept));
}

template <bool kWanted, bool kByAttribute>
Value keep_items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return keep(runtime, input, arguments, kWanted, kByAttribute);
}

Value map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* attribute = argument(arguments, arguments.positional.size(), "attribute");
  const Value* otherwise = argument(arguments, arguments.positional.size(), "default");
  std::vector<Value> mapped;
  if (attribute == nullptr && arguments.positional.empty())
    runtime.fail("map needs a filter or attribute");
  for (const Value& item : runtime.items_of(input)) {
    if (attribute != nullptr) {
      Value found = follow(runtime, item, *attribute);
      mapped.push_back(found.is<Undefined>() && otherwise != nullptr ? *otherwise
                                                                     : std::move(found));
      continue;
    }
    const std::string& name = runtime.text_of(arguments.positional[0], "map's filter").text();
    if (!is_filter(name)) runtime.fail(fmt::format("the filter '{}' is not supported", name));
    if (name == "map") runtime.fail("map of map is not supported");
    Arguments rest = after(arguments, 1);
    rest.named = arguments.named;
    mapped.push_back(call_filter(runtime, name, item, rest));
  }
  return runtime.list(std::move(mapped));
}

/// A text to order by that forgets case, as Jinja's sorting filters do by default.
Value sort_key(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || value.text() == nullptr) return value;
  return change_case(runtime, *value.text(), LetterCase::kLower);
}

bool flag(Runtime& runtime, const Arguments& arguments, std::size_t index, std::string_view name) {
  const Value* given = argument(arguments, index, name);
  return given != nullptr && runtime.truth(*given);
}

Value sorted(Runtime& runtime, std::vector<std::pair<Value, Value>> keyed, bool reversed) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reversed ? runtime.less(b.first, a.first) : runtime.less(a.first, b.first);
  });
  std::vector<Value> values;
  for (auto& [key, value] : keyed) values.push_back(std::move(value));
  return runtime.list(std::move(values));
}

Value sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* attribute = argument(arguments, 2, "attribute");
  const bool case_sensitive = flag(runtime, arguments, 1, "case_sensitive");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : runtime.items_of(input)) {
    const Value key = attribute == nullptr ? item : follow(runtime, item, *attribute);
    keyed.emplace_back(sort_key(runtime, key, case_sensitive), item);
  }
  return sorted(runtime, std::move(keyed), flag(runtime, arguments, 0, "reverse"));
}

Value dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* by = argument(arguments, 1, "by");
  const bool by_value = by != nullptr && runtime.text_of(*by, "dictsort's by").text() == "value";
  const bool case_sensitive = flag(runtime, arguments, 0, "case_sensitive");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& pair : runtime.items_of(items(runtime, input, {}))) {
    const Value& key = pair.list()->items[by_value ? 1 : 0];
    keyed.emplace_back(sort_key(runtime, key, case_sensitive), pair);
  }
  return sorted(runtime, std::move(keyed), flag(runtime, arguments, 2, "reverse"));
}

Value unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const bool case_sensitive = flag(runtime, arguments, 0, "case_sensitive");
  std::vector<Value> keys;
  std::vector<Value> kept;
  for (const Value& item : runtime.items_of(input)) {
    const Value key = sort_key(runtime, item, case_sensitive);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const Value& k) { return runtime.equal(k, key); }))
      continue;
    keys.push_back(key);
    kept.push_back(item);
  }
  return runtime.list(std::move(kept));
}

Value sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value* attribute = argument(arguments, 0, "attribute");
  const Value* start = argument(arguments, 1, "start");
  Value total = start == nullptr ? Value(std::int64_t{0}) : *start;
  for (const Value& item : runtime.items_of(input)) {
    total = runtime.arithmetic('+', total,
                               attribute == nullptr ? item : follow(runtime, item, *attribute));
  }
  return total;
}

template <bool kLargest>
Value extreme(Runtime& runtime, const Value& input, const Arguments&) {
  Value best = runtime.undefined("there is no item");
  for (const Value& item : runtime.items_of(input)) {
    const bool better =
        best.is<Undefined>() || (kLargest ? runtime.less(best, item) : runtime.less(item, best));
    if (better) best = item;
  }
  return best;
}

Value count_words(Runtime& runtime, const Value& input, const Arguments&) {
  return Value(runtime.length(call_method(runtime, Value(runtime.printed(input)), "split", {})));
}

struct NamedFilter {
  std::string_view name;
  Value (*apply)(Runtime&, const Value&, const Arguments&);
};

constexpr std::array<NamedFilter, 38> kFilters = {{
    {"tojson", tojson},
    {"length", length},
    {"count", length},
    {"string", string},
    {"trim", trim},
    {"items", items},
    {"join", join},
    {"default", default_value},
    {"d", default_value},
    {"first", first},
    {"last", last},
    {"list", list},
    {"reverse", reverse},
    {"lower", letter_case<LetterCase::kLower>},
    {"upper", letter_case<LetterCase::kUpper>},
    {"title", letter_case<LetterCase::kTitle>},
    {"capitalize", letter_case<LetterCase::kCapitalize>},
    {"replace", replace},
    {"int", to_int},
    {"float", to_float},
    {"abs", absolute},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"indent", indent},
    {"select", keep_items<true, false>},
    {"reject", keep_items<false, false>},
    {"selectattr", keep_items<true, true>},
    {"rejectattr", keep_items<false, true>},
    {"map", map},
    {"sort", sort},
    {"dictsort", dictsort},
    {"unique", unique},
    {"sum", sum},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"wordcount", count_words},
    {"forceescape", escape},
}};

}  // namespace

bool is_filter(std::string_view name) {
  return std::any_of(kFilters.begin(), kFilters.end(),
                     [&](const NamedFilter& filter) { return filter.name == name; });
}

Value call_filter(Runtime& runtime, std::string_view name, const Value& input,
                  const Arguments& arguments) {
  runtime.step();
  for (const NamedFilter& filter : kFilters) {
    if (filter.name == name) return filter.apply(runtime, input, arguments);
  }
  runtime.fail(fmt::format("the filter '{}' is not supported", name));
}

}  // namespace nvllm::tokenizer
