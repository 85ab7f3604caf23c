#pragma once

// Byte-pair merging: a word of bytes becomes the tokens that the merge ranks choose.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nvllm::tokenizer {

/// What a pair of neighbouring tokens becomes, and how early. Lower ranks merge first.
struct Merge {
  std::int32_t rank = -1;  ///< -1: this pair does not merge
  std::int32_t merged = -1;
};

/// A hash table from pairs of token ids to merges. One probe sequence in one array: encoding looks
/// up a pair for every byte, and a table of nodes would miss the cache each time.
class MergeTable {
 public:
  /// Makes room for `count` merges.
  explicit MergeTable(std::size_t count);
  /// Sets the merge of a pair; a later one replaces an earlier one.
  void set(std::int32_t left, std::int32_t right, Merge merge);
  /// The merge of a pair; rank -1 if there is none.
  Merge find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = ~std::uint64_t{0};
    Merge merge;
  };
  std::size_t slot_of(std::uint64_t pair) const;
  std::vector<Slot> slots_;
};

/// Memory for merging that one encode call uses again for every word.
struct MergeScratch {
  struct Symbol {
    std::int32_t id = -1;  ///< -1: swallowed by its left neighbour
    std::int32_t previous = -1;
    std::int32_t next = -1;
  };
  struct Candidate {
    std::int32_t rank = 0;
    std::int32_t position = 0;
    std::int32_t merged = 0;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::int64_t heap_pops = 0;  ///< how much work was done; tests watch its growth
};

/// Appends the tokens of `word` to `ids`. A byte whose entry in `byte_ids` is -1 is left out, as
/// the reference library does where a vocabulary lacks a byte and has no unknown token.
///   Cost: n log n in the length of the word, constant stack.
void merge_word(std::string_view word, const std::array<std::int32_t, 256>& byte_ids,
                const MergeTable& merges, MergeScratch& scratch, std::vector<std::int32_t>& ids);

}  // namespace nvllm::tokenizer
