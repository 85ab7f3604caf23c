#include "bench/report/drawing.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/report/markdown_html.h"

namespace nvllm::bench {

namespace {

/// Cells that are all digits and signs are set to the right.
bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789+-., %") == std::string_view::npos;
}

}  // namespace

std::string drawing(double height_px, std::string_view title, std::string_view body) {
  return fmt::format(
      "<svg class=\"draw\" width=\"100%\" height=\"{:.0f}\" role=\"img\" "
      "aria-label=\"{}\">{}</svg>",
      height_px, escape_html(title), body);
}

std::string bar(double left_pct, double width_pct, double top_px, double height_px,
                const char* fill, std::string_view title) {
  return fmt::format(
      "<rect x=\"{:.2f}%\" y=\"{:.0f}\" width=\"{:.2f}%\" height=\"{:.0f}\" "
      "fill=\"{}\"><title>{}</title></rect>",
      left_pct, top_px, std::max(0.0, width_pct), height_px, fill, escape_html(title));
}

std::string level_line(double from_pct, double to_pct, double y_px, double thickness_px,
                       const char* colour) {
  return fmt::format(
      "<line x1=\"{:.2f}%\" x2=\"{:.2f}%\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
      "stroke-width=\"{:.1f}\"/>",
      from_pct, to_pct, y_px, y_px, colour, thickness_px);
}

std::string upright_line(double at_pct, double height_px) {
  return fmt::format(
      "<line x1=\"{0:.2f}%\" x2=\"{0:.2f}%\" y1=\"0\" y2=\"{1:.0f}\" stroke=\"#707070\" "
      "stroke-dasharray=\"3 3\"/>",
      at_pct, height_px);
}

std::string dot(double at_pct, double y_px, Filling filling, std::string_view title) {
  return fmt::format(
      "<circle cx=\"{:.2f}%\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\" stroke=\"{}\" "
      "stroke-width=\"1.5\"><title>{}</title></circle>",
      at_pct, y_px, filling == Filling::kFilled ? kBlue : "#ffffff",
      filling == Filling::kFilled ? kBlue : kInk, escape_html(title));
}

std::string writing(double at_pct, double y_px, std::string_view text) {
  const char* anchor = at_pct < 12 ? "start" : at_pct > 88 ? "end" : "middle";
  return fmt::format("<text x=\"{:.2f}%\" y=\"{:.0f}\" text-anchor=\"{}\">{}</text>", at_pct, y_px,
                     anchor, escape_html(text));
}

std::string figure_row(std::string_view label, std::string_view drawn, std::string_view value) {
  return fmt::format(
      "<div class=\"row\"><span class=\"label\">{}</span>{}<span class=\"value\">{}</span></div>\n",
      escape_html(label), drawn, escape_html(value));
}

std::string figure_head(std::string_view label, std::string_view value) {
  return fmt::format(
      "<div class=\"row head\"><span class=\"label\">{}</span><span "
      "class=\"value\">{}</span></div>\n",
      escape_html(label), escape_html(value));
}

std::string figure(std::string_view body, std::string_view caption) {
  if (body.empty()) return "";
  return fmt::format("<figure>\n{}<figcaption>{}</figcaption></figure>\n", body,
                     escape_html(caption));
}

std::string table_html(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<std::size_t>& marked) {
  std::string html = "<div class=\"wide\"><table>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool stands_out = std::find(marked.begin(), marked.end(), i) != marked.end();
    html += stands_out ? "<tr class=\"changed\">" : "<tr>";
    for (const std::string& cell : rows[i]) {
      html += i == 0 ? fmt::format("<th>{}</th>", escape_html(cell))
                     : fmt::format("<td{}>{}</td>", is_number(cell) ? " class=\"n\"" : "",
                                   escape_html(cell));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

double place_around(double value, double reach) {
  return 50 + 50 * std::clamp(value / reach, -1.0, 1.0);
}

}  // namespace nvllm::bench
