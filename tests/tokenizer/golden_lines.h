#pragma once

// The generated lines of the golden vectors, as tools/golden/tokenizer.py makes them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/hashing.h"
#include "base/json.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

inline const std::filesystem::path kGolden =
    std::filesystem::path(NVLLM_SOURCE_DIR) / "tests/tokenizer/golden";

/// Numbers drawn one after another from one seed.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t count) { return random_bits(seed_, counter_++) % count; }

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

inline Json golden_json(const std::filesystem::path& file) {
  return parse_json(read_file(kGolden / file, 16 << 20), file.string(), {.nodes_max = 1'000'000});
}

/// Line `index`: fragments of mixed kinds, chosen by the line's own seed.
inline std::string golden_line(const Json& alphabets, std::uint64_t index) {
  Draw draw(index);
  const Json& classes = alphabets.at("classes");
  std::string text;
  for (std::uint64_t left = 1 + draw.below(14); left > 0; --left) {
    const Json& kind = classes.at(draw.below(classes.size()));
    if (kind.contains("strings")) {
      const Json& strings = kind.at("strings");
      text += strings.at(draw.below(strings.size())).get<std::string>();
      continue;
    }
    const Json& ranges = kind.at("ranges");
    for (std::uint64_t more = 1 + draw.below(9); more > 0; --more) {
      const Json& range = ranges.at(draw.below(ranges.size()));
      const auto low = range.at(0).get<std::uint32_t>();
      const auto high = range.at(1).get<std::uint32_t>();
      append_code_point(low + static_cast<std::uint32_t>(draw.below(high - low + 1)), text);
    }
  }
  return text;
}

}  // namespace nvllm::tokenizer
