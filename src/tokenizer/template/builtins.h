#pragma once

// The filters, tests, methods and functions that templates may use.

#include <string_view>

#include "tokenizer/template/runtime.h"

namespace nvllm::tokenizer {

bool is_filter(std::string_view name);
bool is_test(std::string_view name);
bool is_function(std::string_view name);
/// Whether values of this type have a method of this name (called or refused by call_method).
bool has_method(const Value& value, std::string_view name);

/// Errors, for all of these: Error(kUsage) with the line for wrong arguments.
Value call_filter(Runtime& runtime, std::string_view name, const Value& input,
                  const Arguments& arguments);
bool call_test(Runtime& runtime, std::string_view name, const Value& input,
               const Arguments& arguments);
Value call_method(Runtime& runtime, const Value& self, std::string_view name,
                  const Arguments& arguments);
/// range, dict, raise_exception, strftime_now; namespace belongs to the interpreter.
Value call_function(Runtime& runtime, std::string_view name, const Arguments& arguments);

/// Argument `index`, or the one named `name`, or null.
const Value* argument(const Arguments& arguments, std::size_t index, std::string_view name);
/// Refuses more positional arguments than `count_max`.
void check_argument_count(Runtime& runtime, std::string_view what, const Arguments& arguments,
                          std::size_t count_max);

// Shared by filters and methods.
Value strip_text(Runtime& runtime, const MarkedText& text, const Value* characters, bool left,
                 bool right);
Value replace_text(Runtime& runtime, const MarkedText& text, const MarkedText& from,
                   const MarkedText& to, std::int64_t count_max);
enum class LetterCase { kLower, kUpper, kTitle, kCapitalize };
Value change_case(Runtime& runtime, const MarkedText& text, LetterCase wanted);

}  // namespace nvllm::tokenizer
