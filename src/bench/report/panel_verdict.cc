#include <fmt/format.h>

#include "bench/report/drawing.h"
#include "bench/report/markdown_html.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

/// A word with a sign before it, so that it is told apart without its colour.
std::string badge(const std::string& outcome) {
  const char *kind = "open", *sign = "?";
  if (outcome.starts_with("PASS") || outcome == "CONFIRMED" || outcome == "true") {
    kind = "good";
    sign = "&#10003;";
  } else if (outcome.starts_with("FAIL") || outcome == "REFUTED" || outcome == "NOT_COMPARABLE" ||
             outcome == "false") {
    kind = "bad";
    sign = "&#10007;";
  }
  return fmt::format("<span class=\"badge {}\">{} {}</span>", kind, sign, escape_html(outcome));
}

std::string gates_html(const Json& gates) {
  std::string html;
  for (const Json& gate : gates) {
    html += fmt::format(
        "<li>gate <strong>{}</strong>{} {}</li>\n", escape_html(text_of(gate, "name")),
        gate.at("required").get<bool>() ? " (required)" : "", badge(text_of(gate, "outcome")));
  }
  return html;
}

std::string flips_html(const Json& hypothesis) {
  std::string html;
  for (const Json& comparison : hypothesis.at("comparisons")) {
    if (!comparison.contains("estimate")) continue;
    html += fmt::format("<br>estimate {}", escape_html(text_of(comparison.at("estimate"), "text")));
    for (const Json& flip : comparison.at("flips")) {
      const double change = flip.at("change_percent").get<double>();
      html += fmt::format("<br>turns over if {} {} by {:.1f} %, to {}",
                          escape_html(text_of(flip, "fact")), change < 0 ? "falls" : "rises",
                          change < 0 ? -change : change,
                          escape_html(text_of(flip.at("at_flip"), "text")));
    }
  }
  return html;
}

std::string truth_html(const Json& verdict) {
  std::vector<std::vector<std::string>> rows = {{"condition", "truth", "grade", "note"}};
  std::vector<std::size_t> marked;
  for (const Json& row : verdict.at("truth_table")) {
    if (text_of(row, "note").find("the verdict") != std::string::npos)
      marked.push_back(rows.size());
    rows.push_back(
        {text_of(row, "text"), text_of(row, "truth"), text_of(row, "grade"), text_of(row, "note")});
  }
  return fmt::format("<details><summary>truth table, {} conditions</summary>{}</details>\n",
                     rows.size() - 1, table_html(rows, marked));
}

}  // namespace

std::string verdict_panel(const Json& analysis) {
  const Json& verdict = analysis.at("verdict");
  std::string html =
      fmt::format("<div class=\"card\">\n<p class=\"verdict\">{} {}</p>\n<p>{}</p>\n",
                  escape_html(text_of(verdict, "id")), badge(text_of(verdict, "outcome")),
                  escape_html(text_of(verdict, "text")));
  html += fmt::format("<p>Claim under test: {}</p>\n", escape_html(text_of(verdict, "claim")));
  if (verdict.value("post_hoc", false)) {
    html += fmt::format("<p><strong>Post-hoc</strong>: {}.</p>\n",
                        escape_html(text_of(verdict, "post_hoc_reason")));
  }
  if (!analysis.contains("gates")) return html + "</div>\n";
  html += fmt::format("<ul>\n{}", gates_html(analysis.at("gates").at("gates")));
  for (const Json& one : verdict.at("hypotheses")) {
    html += fmt::format("<li>hypothesis <strong>{}</strong> {} <code>{}</code>{}</li>\n",
                        escape_html(text_of(one, "name")), badge(text_of(one, "state")),
                        escape_html(text_of(one, "text")), flips_html(one));
  }
  return html + "</ul>\n" + truth_html(verdict) + "</div>\n";
}

}  // namespace nvllm::bench
