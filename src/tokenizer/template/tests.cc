// `value is name`: Jinja's tests.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "tokenizer/template/builtins.h"

namespace nvllm::tokenizer {

namespace {

bool is_integer(const Value& v) { return v.is<std::int64_t>(); }
bool is_sized(const Value& v) {
  return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr;
}

struct Predicate {
  std::string_view name;
  bool (*holds)(const Value&);
};

constexpr std::array<Predicate, 14> kPredicates = {{
    {"defined", [](const Value& v) { return !v.is<Undefined>(); }},
    {"undefined", [](const Value& v) { return v.is<Undefined>(); }},
    {"none", [](const Value& v) { return v.is<None>(); }},
    {"boolean", [](const Value& v) { return v.is<bool>(); }},
    {"true", [](const Value& v) { return v.is<bool>() && *v.get_if<bool>(); }},
    {"false", [](const Value& v) { return v.is<bool>() && !*v.get_if<bool>(); }},
    {"integer", is_integer},
    {"float", [](const Value& v) { return v.is<double>(); }},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"string", [](const Value& v) { return v.text() != nullptr; }},
    {"mapping", [](const Value& v) { return v.dict() != nullptr; }},
    {"sequence", is_sized},
    {"iterable", [](const Value& v) { return is_sized(v) || v.is<Undefined>(); }},
    {"callable",
     [](const Value& v) { return v.is<MacroRef>() || v.is<FunctionRef>() || v.is<BoundMethod>(); }},
}};

constexpr std::array<std::string_view, 23> kWithArguments = {
    "eq",     "equalto", "==",   "ne",          "!=",    "lt",    "lessthan", "<",
    "le",     "<=",      "gt",   "greaterthan", ">",     "ge",    ">=",       "in",
    "sameas", "odd",     "even", "divisibleby", "lower", "upper", "escaped"};

bool compare(Runtime& runtime, std::string_view name, const Value& left, const Value& right) {
  if (name == "eq" || name == "equalto" || name == "==") return runtime.equal(left, right);
  if (name == "ne" || name == "!=") return !runtime.equal(left, right);
  if (name == "lt" || name == "lessthan" || name == "<") return runtime.less(left, right);
  if (name == "gt" || name == "greaterthan" || name == ">") return runtime.less(right, left);
  if (name == "le" || name == "<=") return runtime.less(left, right) || runtime.equal(left, right);
  if (name == "ge" || name == ">=") return runtime.less(right, left) || runtime.equal(left, right);
  if (name == "in") return runtime.contains(right, left);
  if (name == "divisibleby") {
    const std::int64_t by = runtime.integer(right, "divisibleby's argument");
    if (by == 0) runtime.fail("divisibleby: division by zero");
    return by == -1 || runtime.integer(left, "divisibleby's input") % by == 0;
  }
  const bool same_kind = left.type_name() == right.type_name() && !is_sized(left);
  return same_kind && runtime.equal(left, right);  // sameas: only values that cannot be told apart
}

bool has_one_case(Runtime& runtime, const Value& value, LetterCase wanted) {
  const MarkedText text = runtime.printed(value);
  const Value same = change_case(runtime, text, wanted);
  const Value other = change_case(
      runtime, text, wanted == LetterCase::kLower ? LetterCase::kUpper : LetterCase::kLower);
  return same.text()->text() == text.text() && other.text()->text() != text.text();
}

}  // namespace

bool is_test(std::string_view name) {
  const auto named = [&](const Predicate& predicate) { return predicate.name == name; };
  return std::any_of(kPredicates.begin(), kPredicates.end(), named) ||
         std::find(kWithArguments.begin(), kWithArguments.end(), name) != kWithArguments.end();
}

bool call_test(Runtime& runtime, std::string_view name, const Value& input,
               const Arguments& arguments) {
  runtime.step();
  for (const Predicate& predicate : kPredicates) {
    if (predicate.name != name) continue;
    check_argument_count(runtime, name, arguments, 0);
    return predicate.holds(input);
  }
  if (name == "odd") return runtime.integer(input, "odd's input") % 2 != 0;
  if (name == "even") return runtime.integer(input, "even's input") % 2 == 0;
  if (name == "lower") return has_one_case(runtime, input, LetterCase::kLower);
  if (name == "upper") return has_one_case(runtime, input, LetterCase::kUpper);
  if (name == "escaped") return false;
  if (arguments.positional.size() != 1)
    runtime.fail(fmt::format("the test '{}' takes one argument", name));
  return compare(runtime, name, input, arguments.positional[0]);
}

}  // namespace nvllm::tokenizer
