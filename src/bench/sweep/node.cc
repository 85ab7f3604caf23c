#include "bench/sweep/node.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace nvllm::bench {

namespace {

Place place_of(const toml::source_region& source) {
  return {.line = static_cast<std::int64_t>(source.begin.line),
          .column = static_cast<std::int64_t>(source.begin.column)};
}

bool stands_before(const Node& a, const Node& b) {
  return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
}

Node convert(const toml::node& source, const std::string& what);

Node convert_table(const toml::table& table, const std::string& what) {
  Node node;
  node.kind = NodeKind::kTable;
  for (const auto& [key, value] : table) {
    Node member = convert(value, what);
    // The place of the key, not of the value: a complaint about an unknown key points at it.
    member.place = place_of(key.source());
    node.members.push_back({std::string(key.str()), std::move(member)});
  }
  // The library sorts by name; legs and verdict rules mean their order.
  std::stable_sort(node.members.begin(), node.members.end(),
                   [](const auto& a, const auto& b) { return stands_before(a.value, b.value); });
  return node;
}

Node convert(const toml::node& source, const std::string& what) {
  Node node;
  if (const toml::table* table = source.as_table()) {
    node = convert_table(*table, what);
  } else if (const toml::array* array = source.as_array()) {
    node.kind = NodeKind::kArray;
    for (const toml::node& item : *array) node.items.push_back(convert(item, what));
  } else if (const auto* text = source.as_string()) {
    node.kind = NodeKind::kText;
    node.text = text->get();
  } else if (const auto* integer = source.as_integer()) {
    node.kind = NodeKind::kInteger;
    node.integer = integer->get();
    node.number = static_cast<double>(node.integer);
  } else if (const auto* number = source.as_floating_point(); number != nullptr && std::isfinite(number->get())) {
    node.kind = NodeKind::kNumber;
    node.number = number->get();
  } else if (const auto* truth = source.as_boolean()) {
    node.kind = NodeKind::kBool;
    node.truth = truth->get();
  } else {
    throw_sweep_error(what, place_of(source.source()),
                      "a date, a time, NaN or an infinity, wanted a text, a finite number, true or false");
  }
  node.place = place_of(source.source());
  return node;
}

}  // namespace

void throw_sweep_error(const std::string& what, Place place, const std::string& problem) {
  throw Error(ErrorKind::kUsage, fmt::format("{}:{}:{}: {}", what, place.line, place.column, problem));
}

Node parse_toml(std::string_view text, const std::string& what) {
  try {
    return convert(toml::parse(text, what), what);
  } catch (const toml::parse_error& error) {
    throw_sweep_error(what, place_of(error.source()), fmt::format("no TOML: {}", error.description()));
  }
}

Json to_json(const Node& node) {
  Json json;
  switch (node.kind) {
    case NodeKind::kTable:
      json = Json::object();
      for (const auto& [key, member] : node.members) json[key] = to_json(member);
      break;
    case NodeKind::kArray:
      json = Json::array();
      for (const Node& item : node.items) json.push_back(to_json(item));
      break;
    case NodeKind::kText:
      return node.text;
    case NodeKind::kInteger:
      return node.integer;
    case NodeKind::kNumber:
      return node.number;
    case NodeKind::kBool:
      return node.truth;
  }
  return json;
}

std::string_view describe(NodeKind kind) {
  switch (kind) {
    case NodeKind::kTable:
      return "a table";
    case NodeKind::kArray:
      return "an array";
    case NodeKind::kText:
      return "a text";
    case NodeKind::kInteger:
      return "a whole number";
    case NodeKind::kNumber:
      return "a number";
    case NodeKind::kBool:
      return "true or false";
  }
  return "nothing";
}

}  // namespace nvllm::bench
