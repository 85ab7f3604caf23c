#pragma once

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// The one text of a JSON value: keys sorted by their bytes, no spaces, the shortest numbers that
/// read back as the same double, one line with its '\n'. Whole numbers keep all their digits; a
/// double without a fraction is written like a whole number.
///   Errors: Error(kBadFile) for NaN, an infinity, or text that is not UTF-8.
std::string canonical_json(const Json& value);

/// The same with two spaces of indentation, for files that people read and git compares.
std::string readable_json(const Json& value);

/// SHA-256 of canonical_json(value).
std::string canonical_hash(const Json& value);

}  // namespace nvllm::bench
