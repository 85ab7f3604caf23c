#pragma once

// The values a template computes with. Lists and mappings are shared and never change once made;
// only a namespace changes. What could form a cycle (namespaces, loops) is owned by the render that
// made it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "tokenizer/template/marked_text.h"

namespace nvllm::tokenizer {

class Value;
struct Statement;

/// A name or a key that is not there; it prints as nothing and is false.
struct Undefined {
  std::shared_ptr<const std::string> why;  ///< "'x' is undefined"
};

struct None {};

/// A list or a tuple.
struct ListData {
  std::vector<Value> items;
  bool is_tuple = false;
  int depth = 1;  ///< how deep containers nest from here
};

/// A mapping with string keys, in order of insertion.
struct DictData {
  std::vector<std::pair<MarkedText, Value>> entries;
  std::unordered_map<std::string, std::size_t> index;
  int depth = 1;

  void set(const MarkedText& key, Value value);
  const Value* find(const std::string& key) const;
};

/// namespace(...): the one value that can be assigned to.
struct Namespace {
  std::vector<std::pair<std::string, Value>> fields;
};

/// `loop` inside a for.
struct LoopState;

/// A macro; it lives in the syntax tree.
struct MacroRef {
  const Statement* macro = nullptr;
};

/// A function of the environment: range, namespace, raise_exception, ...
struct FunctionRef {
  std::string_view name;
};

/// `value.name` where name is a method of the value's type.
struct BoundMethod {
  std::shared_ptr<const Value> self;
  std::string name;
};

/// Any value. Copies are cheap: text and containers are shared.
class Value {
 public:
  using Text = std::shared_ptr<const MarkedText>;
  using List = std::shared_ptr<const ListData>;
  using Dict = std::shared_ptr<const DictData>;
  using Variant = std::variant<Undefined, None, bool, std::int64_t, double, Text, List, Dict,
                               Namespace*, LoopState*, MacroRef, FunctionRef, BoundMethod>;

  Value() = default;
  template <class T>
  requires std::is_constructible_v<Variant, T&&> &&
      (!std::is_same_v<std::decay_t<T>, Value>)Value(T&& held)
      : held_(std::forward<T>(held)) {}  // NOLINT: a Value is any of these
  Value(MarkedText text) : held_(std::make_shared<const MarkedText>(std::move(text))) {}  // NOLINT

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&held_);
  }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(held_);
  }

  /// The text, list or mapping this is, or null.
  const MarkedText* text() const;
  const ListData* list() const;
  const DictData* dict() const;
  bool is_number() const { return is<bool>() || is<std::int64_t>() || is<double>(); }
  /// The integer this is (true and false count as 1 and 0), or nullopt.
  std::optional<std::int64_t> integer() const;
  /// The number this is, or nullopt.
  std::optional<double> number() const;
  /// How deep containers nest in this value; 0 for what is no container.
  int depth() const;
  /// Whether text of the request is anywhere in it.
  bool has_user_text() const;
  /// Python's word for the type, for messages: "str", "dict", ...
  std::string_view type_name() const;

 private:
  Variant held_ = Undefined{};
};

/// `loop` inside a for: where it stands and what it runs over.
struct LoopState {
  std::vector<Value> items;
  std::size_t index = 0;
};

/// Text the template itself wrote.
Value template_text(std::string_view text);
/// A list, tuple or mapping. Nesting deeper than the limit gives nullopt.
std::optional<Value> make_list(std::vector<Value> items, bool is_tuple = false);
std::optional<Value> make_dict(DictData dict);
/// A JSON value whose strings come from `origin`; nullopt if it nests too deep.
std::optional<Value> from_json(const Json& json, Origin origin);

}  // namespace nvllm::tokenizer
