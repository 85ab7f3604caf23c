#pragma once

// The parts of a written report, in Markdown. Every number comes out of the analysis files; the
// sentences choose themselves by it.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// "35,700": whole numbers as people read them.
std::string grouped(std::int64_t number);

/// "1, 2 and 3"; "none" for an empty list.
std::string listed(const std::vector<std::string>& words);

/// A text of a JSON field; empty where it is absent or null.
std::string text_of(const Json& object, const char* key);

/// A text for a cell of a Markdown table: a bar would end it, a line end the row.
std::string cell(const std::string& text);

/// The gates as a table, with what was seen in each leg.
std::string gates_table(const Json& analysis);

/// Kernels as a table: all material ones, or only those that the sweep names.
enum class KernelRows { kMaterial, kNamed };
std::string kernels_table(const Json& analysis, KernelRows which);

/// What the kernels whose code did not change have in common; empty without any.
std::string drift_text(const Json& analysis);

/// What else the two inventories say: totals, counts, kernels that came or went.
std::string inventory_text(const Json& analysis);

/// Time per token as a table: named kernels, all kernels, wall time, coverage.
std::string tokens_table(const Json& analysis);

/// One sentence or two on the order of the legs.
std::string order_text(const Json& analysis);

/// Right answers as a table, then one line for each leg.
std::string answers_text(const Json& analysis);

/// What so many questions could have shown at all.
std::string power_text(const Json& analysis);

/// Both folders as a table.
std::string provenance_table(const Json& analysis);

/// What weakens either folder, by its own showing.
std::string deviations_text(const Json& analysis);

/// Which files are committed and which git leaves out.
std::string files_text(const Json& analysis);

/// A box for every part of the plan, ticked where it is done and passed.
std::string test_plan(const Json& analysis);

/// The hypotheses with estimate, interval and what would flip them.
std::string hypotheses_text(const Json& analysis);

}  // namespace nvllm::bench
