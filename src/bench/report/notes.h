#pragma once

// NOTES.md is the one part of a report that a person writes. A figure in it that is nowhere in the
// data is the mistake that reports by hand are made of, so such notes are refused as a whole.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

inline constexpr const char* kNotesName = "NOTES.md";

/// A figure of a text: as written, and where.
struct NotedFigure {
  std::string text;       ///< "58.5 %"
  std::int64_t line = 0;  ///< from 1
};

/// The figures of a text that are not within rounding of any number of the analysis. A figure with
/// d decimals is within rounding of a field that is at most half a unit of its last place away;
/// with % or pt also of a share, with ms also of a field in us, with s also of one in ms. Signs do
/// not count. What is no figure: words with letters before their digits (lower8, H1), dates, times,
/// versions, list numbers, and `code`.
std::vector<NotedFigure> unfounded_figures(std::string_view notes, const Json& analysis);

/// Puts the notes and what is wrong with them under "notes". Nothing else changes.
void add_notes(Json& analysis, std::string_view notes);

/// NOTES.md of a folder, or nothing.
///   Errors: Error(kBadFile) above 1 MB.
std::optional<std::string> read_notes(const std::filesystem::path& folder);

/// Whether an analysis has notes that were refused.
bool notes_refused(const Json& analysis);

/// The notes as a quotation, or why they are not quoted: Markdown.
std::string notes_text(const Json& notes);

}  // namespace nvllm::bench
