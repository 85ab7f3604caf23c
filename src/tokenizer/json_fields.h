#pragma once

// Reading fields of tokenizer files so that every refusal names the node, the field and what was
// seen.

#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::tokenizer {

/// Throws Error(kBadFile) "where: why".
[[noreturn]] void bad_file(std::string_view where, std::string_view why);
/// Throws Error(kUnsupported) "where: what is not supported; wanted ...".
[[noreturn]] void unsupported(std::string_view where, std::string_view seen,
                              std::string_view wanted);

/// The node's "type".
std::string type_of(const Json& node, std::string_view where);
/// A boolean field, or `otherwise` if it is absent or null.
bool bool_field(const Json& node, const char* name, bool otherwise, std::string_view where);
/// A string field that must be there.
std::string string_field(const Json& node, const char* name, std::string_view where);
/// An array field that must be there.
const Json& array_field(const Json& node, const char* name, std::string_view where);
/// An id: an integer from 0 to the largest id the program accepts.
std::int32_t id_value(const Json& value, std::string_view where);

/// Ids above this are taken for damage: no vocabulary is near it, and tables are sized by the
/// largest.
inline constexpr std::int64_t kTokenIdMax = 4'000'000;

}  // namespace nvllm::tokenizer
