#include "bench/sweep/section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace nvllm::bench {

Section::Section(const Node& node, std::string name, const std::string& what)
    : node_(&node), name_(std::move(name)), what_(what) {
  if (node.kind != NodeKind::kTable) {
    throw_sweep_error(what_, node.place, fmt::format("'{}' is {}, wanted a table", name_, describe(node.kind)));
  }
}

std::string Section::path(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

void Section::refuse(std::string_view key, const std::string& problem) const {
  for (const auto& [name, member] : node_->members) {
    if (name == key) throw_sweep_error(what_, member.place, fmt::format("'{}' {}", path(key), problem));
  }
  throw_sweep_error(what_, node_->place, fmt::format("'{}' {}", path(key), problem));
}

const Node* Section::find(std::string_view key) {
  read_.emplace(key);
  for (const auto& [name, member] : node_->members) {
    if (name == key) return &member;
  }
  return nullptr;
}

const Node* Section::of_kind(std::string_view key, NodeKind kind) {
  const Node* value = find(key);
  if (value == nullptr || value->kind == kind) return value;
  if (kind == NodeKind::kNumber && value->kind == NodeKind::kInteger) return value;
  refuse(key, fmt::format("is {}, wanted {}", describe(value->kind), describe(kind)));
}

std::optional<std::string> Section::text(std::string_view key) {
  const Node* value = of_kind(key, NodeKind::kText);
  if (value == nullptr) return std::nullopt;
  if (value->text.empty()) refuse(key, "is empty, wanted a text");
  return value->text;
}

std::string Section::required_text(std::string_view key) {
  const auto value = text(key);
  if (!value) refuse(key, "is missing, wanted a text");
  return *value;
}

std::optional<std::int64_t> Section::integer(std::string_view key, std::int64_t low, std::int64_t high) {
  const Node* value = of_kind(key, NodeKind::kInteger);
  if (value == nullptr) return std::nullopt;
  if (value->integer < low || value->integer > high) {
    refuse(key, fmt::format("is {}, wanted {} to {}", value->integer, low, high));
  }
  return value->integer;
}

std::optional<double> Section::number(std::string_view key, double low, double high) {
  const Node* value = of_kind(key, NodeKind::kNumber);
  if (value == nullptr) return std::nullopt;
  if (value->number < low || value->number > high) {
    refuse(key, fmt::format("is {}, wanted {} to {}", value->number, low, high));
  }
  return value->number;
}

std::optional<bool> Section::truth(std::string_view key) {
  const Node* value = of_kind(key, NodeKind::kBool);
  return value == nullptr ? std::nullopt : std::optional(value->truth);
}

std::optional<std::vector<std::string>> Section::texts(std::string_view key) {
  const Node* value = of_kind(key, NodeKind::kArray);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> list;
  for (const Node& item : value->items) {
    if (item.kind != NodeKind::kText) refuse(key, fmt::format("holds {}, wanted texts only", describe(item.kind)));
    list.push_back(item.text);
  }
  return list;
}

std::optional<double> Section::share(std::string_view key, std::string_view unit, double low, double high) {
  const auto value = text(key);
  if (!value) return std::nullopt;
  double number = 0;
  const char* const end = value->data() + value->size();
  const auto [stop, fault] = std::from_chars(value->data(), end, number);
  std::string_view rest(stop, static_cast<std::size_t>(end - stop));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  if (fault != std::errc() || rest != unit || !(number / 100 >= low) || !(number / 100 <= high)) {
    refuse(key, fmt::format("is \"{}\", wanted \"{:g}{}\" to \"{:g}{}\"", *value, low * 100, unit, high * 100, unit));
  }
  return number / 100;
}

std::optional<std::string> Section::choice(std::string_view key, const std::vector<std::string_view>& words) {
  const auto value = text(key);
  if (value && std::find(words.begin(), words.end(), *value) == words.end()) {
    refuse(key, fmt::format("is \"{}\", wanted one of: {}", *value, fmt::join(words, ", ")));
  }
  return value;
}

std::optional<Section> Section::table(std::string_view key) {
  const Node* value = find(key);
  if (value == nullptr) return std::nullopt;
  return Section(*value, path(key), what_);
}

void Section::refuse_unknown() const {
  for (const auto& [name, member] : node_->members) {
    if (read_.contains(name)) continue;
    throw_sweep_error(what_, member.place,
                      fmt::format("unknown key '{}', wanted one of: {}", path(name), fmt::join(read_, ", ")));
  }
}

}  // namespace nvllm::bench
