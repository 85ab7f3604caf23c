#pragma once

// Drawings as inline SVG: places from left to right in per cent, from top to bottom in pixels, so
// that one drawing fits a desk, a phone and a page, with writing of the same size on each. Colours
// differ in lightness too and marks have titles, so that it reads in grey and to those who do not
// see it.

#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

inline constexpr const char *kBlue = "#0072b2", *kSky = "#7fbbe0", *kOrange = "#e69f00",
                            *kGrey = "#c8c8c8", *kInk = "#303030", *kBand = "#e3eef6";

/// One drawing.
std::string drawing(double height_px, std::string_view title, std::string_view body);

/// A bar from `left_pct`, with a title.
std::string bar(double left_pct, double width_pct, double top_px, double height_px,
                const char* fill, std::string_view title);

/// A line from left to right; one from top to bottom, dashed.
std::string level_line(double from_pct, double to_pct, double y_px, double thickness_px,
                       const char* colour);
std::string upright_line(double at_pct, double height_px);

/// A round mark, filled or hollow.
enum class Filling { kFilled, kHollow };
std::string dot(double at_pct, double y_px, Filling filling, std::string_view title);

/// Writing that stays inside the drawing: to the right of its place, to the left of it, or around
/// it.
std::string writing(double at_pct, double y_px, std::string_view text);

/// One line of a figure: what it is about, its drawing, its figures. `label` and `value` are texts,
/// not HTML.
std::string figure_row(std::string_view label, std::string_view drawn, std::string_view value);

/// The heading of the lines below it.
std::string figure_head(std::string_view label, std::string_view value = "");

/// A figure with a caption (a text); empty without a body.
std::string figure(std::string_view body, std::string_view caption);

/// A table; the first row is its head. Cells are texts. Rows whose index is in `marked` stand out.
std::string table_html(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<std::size_t>& marked = {});

/// A scale from -reach to +reach, in per cent of a drawing's width.
double place_around(double value, double reach);

}  // namespace nvllm::bench
