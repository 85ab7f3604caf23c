#pragma once

// A sweep file as a plain tree that remembers where each value stood, so that every complaint can
// name its line. The TOML library stays behind parse_toml.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// Where a value stands, from 1.
struct Place {
  std::int64_t line = 1, column = 1;
};

enum class NodeKind { kTable, kArray, kText, kInteger, kNumber, kBool };

struct Member;

/// One value of the file.
struct Node {
  NodeKind kind = NodeKind::kTable;
  Place place;
  std::string text;
  std::int64_t integer = 0;
  double number = 0;  ///< of a kInteger too
  bool truth = false;
  std::vector<Member> members;  ///< of a table, in the order written
  std::vector<Node> items;      ///< of an array
};

/// A key of a table and its value.
struct Member {
  std::string key;
  Node value;
};

/// Reads TOML. Dates, NaN and infinities have no place in a sweep file and are refused.
///   Errors: Error(kUsage) "FILE:LINE:COLUMN: ...".
Node parse_toml(std::string_view text, const std::string& what);

/// The tree as JSON, for hashing: where a value stood no longer matters.
Json to_json(const Node& node);

/// "a table", "an array", "a text", "a whole number", "a number", "true or false".
std::string_view describe(NodeKind kind);

/// Refuses a value in the one form all complaints about sweep files have.
[[noreturn]] void throw_sweep_error(const std::string& what, Place place, const std::string& problem);

}  // namespace nvllm::bench
