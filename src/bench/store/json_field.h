#pragma once

// Typed access to fields of files that others wrote: a missing or wrong field is told by its name.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::bench {

/// The object's field as that type.
///   Errors: Error(kBadFile): `what`, the field, what it is and what is wanted.
std::string text_field(const Json& object, const char* key, std::string_view what);
std::int64_t int_field(const Json& object, const char* key, std::string_view what);
double number_field(const Json& object, const char* key, std::string_view what);

/// The same where the field may be absent or null.
std::optional<std::string> maybe_text(const Json& object, const char* key, std::string_view what);
std::optional<std::int64_t> maybe_int(const Json& object, const char* key, std::string_view what);
std::optional<double> maybe_number(const Json& object, const char* key, std::string_view what);

/// The field's array.
const Json& array_field(const Json& object, const char* key, std::string_view what);

}  // namespace nvllm::bench
