#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sweep/node.h"

namespace nvllm::bench {

/// One table of a sweep file, read field by field. Every read marks its key; refuse_unknown() then
/// complains about the keys that nobody asked for. All errors are Error(kUsage) with file, line,
/// what was seen and what was wanted.
class Section {
 public:
  /// `name` as people write it: "gsm8k.dataset"; empty for the file itself.
  ///   Errors: if `node` is no table.
  Section(const Node& node, std::string name, const std::string& what);

  const std::string& name() const { return name_; }
  const Node& node() const { return *node_; }
  const std::string& what() const { return what_; }
  /// The key's value, or null where it is absent.
  const Node* find(std::string_view key);

  std::optional<std::string> text(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t low, std::int64_t high);
  std::optional<double> number(std::string_view key, double low, double high);
  std::optional<bool> truth(std::string_view key);
  std::optional<std::vector<std::string>> texts(std::string_view key);
  /// A text with a unit: "2%" or "4pt", as a share.
  std::optional<double> share(std::string_view key, std::string_view unit, double low, double high);
  /// One of several words.
  std::optional<std::string> choice(std::string_view key, const std::vector<std::string_view>& words);
  std::optional<Section> table(std::string_view key);

  /// The same where the key has to be there.
  std::string required_text(std::string_view key);

  /// Complains about a value.
  [[noreturn]] void refuse(std::string_view key, const std::string& problem) const;
  /// Complains about the first key that was not read.
  void refuse_unknown() const;

 private:
  std::string path(std::string_view key) const;
  const Node* of_kind(std::string_view key, NodeKind kind);

  const Node* node_;
  std::string name_, what_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace nvllm::bench
