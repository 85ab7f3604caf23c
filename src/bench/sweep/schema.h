#pragma once

#include <string>
#include <vector>

namespace nvllm::bench {

/// One key of a sweep file.
struct SchemaKey {
  std::string key, meaning;
};

/// One table of a sweep file.
struct SchemaSection {
  std::string name;  ///< "" for the file itself; NAME stands for a name of one's own
  std::vector<SchemaKey> keys;
};

/// Every table and key that a sweep file may hold. The tests hold it against what the reader accepts.
const std::vector<SchemaSection>& sweep_schema();

/// The same for people.
std::string schema_text();

}  // namespace nvllm::bench
