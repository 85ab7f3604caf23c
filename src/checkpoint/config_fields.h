#pragma once

// Reads fields of a config.json with their ranges; every refusal names the field. Inside this room.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::checkpoint {

/// The least and the greatest value a field may have.
struct Range {
  std::int64_t least = 1;
  std::int64_t greatest = 1;
};

/// Fields of an object, looked up in `inner` first and then in `outer`; null counts as absent.
/// Borrows both objects.
class ConfigFields {
 public:
  ConfigFields(const Json& inner, const Json& outer, std::string_view file_name)
      : inner_(inner), outer_(outer), file_name_(file_name) {}

  /// The value, or null if the field is absent.
  const Json* find(std::string_view name) const;
  std::int64_t integer(std::string_view name, Range range) const;
  std::int64_t integer_or(std::string_view name, Range range, std::int64_t otherwise) const;
  /// A finite number above zero.
  double positive(std::string_view name) const;
  double positive_or(std::string_view name, double otherwise) const;
  bool flag_or(std::string_view name, bool otherwise) const;
  std::string text_or(std::string_view name, std::string_view otherwise) const;

  /// Throws Error(kBadFile): "FILE: field 'NAME' is SEEN, wanted WANTED".
  [[noreturn]] void refuse(std::string_view name, const std::string& seen,
                           std::string_view wanted) const;
  /// Throws Error(kUnsupported) in the same form.
  [[noreturn]] void unsupported(std::string_view name, const std::string& seen,
                                std::string_view supported) const;

 private:
  std::int64_t checked_integer(std::string_view name, const Json& value, Range range) const;
  double checked_positive(std::string_view name, const Json& value) const;

  const Json& inner_;
  const Json& outer_;
  std::string_view file_name_;
};

}  // namespace nvllm::checkpoint
