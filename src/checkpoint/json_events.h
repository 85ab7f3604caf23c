#pragma once

// Strict event parsing for JSON documents that may hold a million keys (tensor headers, tokenizer
// vocabularies): no document tree is built, because a tree that keeps key order is searched
// linearly at every insertion. Inside this room only.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::checkpoint {

/// Receives the events of one parse and refuses each it does not expect. A reader overrides what
/// its document may contain.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonEvents(std::string_view what) : what_(what) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool value) override { unexpected(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) override { unexpected(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) override { unexpected(std::to_string(value)); }
  bool number_float(double, const std::string& text) override { unexpected(text); }
  bool string(std::string& value) override { unexpected("'" + value + "'"); }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary"); }
  bool start_object(std::size_t) override { unexpected("an object"); }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { unexpected("an array"); }
  bool end_array() override { return true; }
  bool key(std::string& name) override { unexpected("key '" + name + "'"); }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& error) override;

  /// Throws Error(kBadFile): "FILE: why".
  [[noreturn]] void refuse(const std::string& why) const;

 protected:
  [[noreturn]] void unexpected(const std::string& value) const {
    refuse("unexpected " + value + where());
  }
  /// Where in the document the parse stands, as the end of a sentence.
  virtual std::string where() const { return ""; }

 private:
  std::string_view what_;
};

/// Feeds one whole JSON document to `events`.
///   Errors: Error(kBadFile) naming the document for malformed text or text after the value.
void parse_json_events(std::string_view text, JsonEvents& events);

}  // namespace nvllm::checkpoint
