#pragma once

// What evaluating needs besides the tree: budgets, errors with a line, and the meaning of values
// (truth, equality, order, printing) as Python and Jinja have them.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/template/value.h"

namespace nvllm::tokenizer {

/// Most work one render may do. A checkpoint's template is not ours, and its input is a stranger's.
struct RenderLimits {
  std::int64_t steps = 1'000'000;
  std::int64_t output_bytes = std::int64_t{4} << 20;
  std::int64_t text_bytes = std::int64_t{64} << 20;     ///< read or written in making strings
  std::int64_t one_text_bytes = std::int64_t{8} << 20;  ///< in one string
  int depth = 1000;                                     ///< nested evaluation, macro calls included
};

/// Arguments of a call, in order and by name.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// One render's budgets and place, and operations on values.
class Runtime {
 public:
  Runtime(std::string_view name, std::string date, std::chrono::sys_seconds now)
      : name_(name), date_(std::move(date)), now_(now) {}

  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  /// Errors: Error(kUsage) with template and line.
  [[noreturn]] void fail(std::string_view why) const;
  /// Counts work. Errors: as fail, once a limit is passed.
  void step(std::int64_t count = 1);
  void charge_text(std::size_t bytes);
  /// Refuses a string longer than one may be.
  void check_text_size(std::int64_t bytes) const;
  void charge_output(std::size_t bytes);

  /// A text value, charged to the budget.
  Value text(MarkedText text);
  Value list(std::vector<Value> items, bool is_tuple = false);
  Value dict(DictData dict);
  Value undefined(std::string why) const;

  bool truth(const Value& value) const;
  bool equal(const Value& a, const Value& b);
  /// Whether a < b. Errors: as fail, for values without an order.
  bool less(const Value& a, const Value& b);
  bool contains(const Value& container, const Value& item);
  /// What a for loop or a filter runs over.
  std::vector<Value> items_of(const Value& value);
  std::int64_t length(const Value& value);

  /// As {{ }} prints it.
  MarkedText printed(const Value& value);
  /// As JSON, the way json.dumps writes it.
  struct JsonStyle {
    int indent = -1;  ///< below 0: on one line
    bool ensure_ascii = false;
    bool sort_keys = false;
    std::string item_separator = ", ";
    std::string key_separator = ": ";
  };
  MarkedText json(const Value& value, const JsonStyle& style);

  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& key);
  /// [start:stop:step]; undefined for a part that is absent.
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  Value arithmetic(char operation, const Value& left, const Value& right);
  Value divide_to_floor(const Value& left, const Value& right);
  Value power(const Value& left, const Value& right);

  /// The integer a value is. Errors: as fail, naming `what`.
  std::int64_t integer(const Value& value, std::string_view what);
  /// The text a value is. Errors: as fail, naming `what`.
  const MarkedText& text_of(const Value& value, std::string_view what);

  /// The day that strftime_now prints: "" for that of now(), else as date_string says.
  const std::string& date() const { return date_; }
  std::chrono::sys_seconds now() const { return now_; }

 private:
  void append_repr(const Value& value, std::string& out);
  void append_json(const Value& value, const JsonStyle& style, int level, std::string& out);

  std::string_view name_;
  std::string date_;
  std::chrono::sys_seconds now_;
  RenderLimits limits_;
  int line_ = 1;
  std::int64_t steps_ = 0;
  std::int64_t text_bytes_ = 0;
  std::int64_t output_bytes_ = 0;
};

/// A finite number as Python's repr writes it.
std::string python_float(double value);

}  // namespace nvllm::tokenizer
