#include "tokenizer/template/value.h"

#include <algorithm>
#include <array>

#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

/// Printing, comparing and freeing a value recurse into it; this bounds the stack they need.
constexpr int kNestingMax = 100;

}  // namespace

void DictData::set(const MarkedText& key, Value value) {
  depth = std::max(depth, value.depth() + 1);
  const auto [entry, fresh] = index.emplace(key.text(), entries.size());
  if (fresh) {
    entries.emplace_back(key, std::move(value));
  } else {
    entries[entry->second].second = std::move(value);
  }
}

const Value* DictData::find(const std::string& key) const {
  const auto entry = index.find(key);
  return entry == index.end() ? nullptr : &entries[entry->second].second;
}

const MarkedText* Value::text() const {
  const auto* held = get_if<Text>();
  return held == nullptr ? nullptr : held->get();
}

const ListData* Value::list() const {
  const auto* held = get_if<List>();
  return held == nullptr ? nullptr : held->get();
}

const DictData* Value::dict() const {
  const auto* held = get_if<Dict>();
  return held == nullptr ? nullptr : held->get();
}

std::optional<std::int64_t> Value::integer() const {
  if (const bool* held = get_if<bool>()) return *held ? 1 : 0;
  if (const auto* held = get_if<std::int64_t>()) return *held;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* held = get_if<double>()) return *held;
  if (const auto whole = integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

int Value::depth() const {
  if (list() != nullptr) return list()->depth;
  if (dict() != nullptr) return dict()->depth;
  if (const auto* method = get_if<BoundMethod>()) return method->self->depth() + 1;
  return 0;
}

bool Value::has_user_text() const {
  if (text() != nullptr) return text()->has_user_text();
  if (list() != nullptr) {
    return std::any_of(list()->items.begin(), list()->items.end(),
                       [](const Value& item) { return item.has_user_text(); });
  }
  if (dict() != nullptr) {
    return std::any_of(dict()->entries.begin(), dict()->entries.end(), [](const auto& entry) {
      return entry.first.has_user_text() || entry.second.has_user_text();
    });
  }
  return false;
}

std::string_view Value::type_name() const {
  constexpr std::array<std::string_view, 13> kNames = {
      "undefined", "None",      "bool", "int",   "float",    "str",   "list",
      "dict",      "namespace", "loop", "macro", "function", "method"};
  if (list() != nullptr && list()->is_tuple) return "tuple";
  return kNames[held_.index()];
}

Value template_text(std::string_view text) { return MarkedText(text, Origin::kTemplate); }

std::optional<Value> make_list(std::vector<Value> items, bool is_tuple) {
  ListData data{std::move(items), is_tuple, 1};
  for (const Value& item : data.items) data.depth = std::max(data.depth, item.depth() + 1);
  if (data.depth > kNestingMax) return std::nullopt;
  return Value(std::make_shared<const ListData>(std::move(data)));
}

std::optional<Value> make_dict(DictData dict) {
  if (dict.depth > kNestingMax) return std::nullopt;
  return Value(std::make_shared<const DictData>(std::move(dict)));
}

namespace {

MarkedText valid_text(const std::string& text, Origin origin) {
  std::string valid;
  append_lossy(text, valid);
  return MarkedText(valid, origin);
}

std::optional<Value> from_json_at(const Json& json, Origin origin, int depth) {
  if (depth > kNestingMax) return std::nullopt;
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<std::int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(INT64_MAX)) return Value(static_cast<double>(number));
      return Value(static_cast<std::int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return Value(valid_text(json.get_ref<const std::string&>(), origin));
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) {
        std::optional<Value> value = from_json_at(item, origin, depth + 1);
        if (!value) return std::nullopt;
        items.push_back(std::move(*value));
      }
      return make_list(std::move(items));
    }
    case Json::value_t::object: {
      DictData dict;
      for (const auto& [key, item] : json.items()) {
        std::optional<Value> value = from_json_at(item, origin, depth + 1);
        if (!value) return std::nullopt;
        dict.set(valid_text(key, origin), std::move(*value));
      }
      return make_dict(std::move(dict));
    }
    default:
      return Value(None{});
  }
}

}  // namespace

std::optional<Value> from_json(const Json& json, Origin origin) {
  return from_json_at(json, origin, 1);
}

}  // namespace nvllm::tokenizer
