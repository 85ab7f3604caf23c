#include "bench/report/html.h"

#include <fmt/format.h>

#include <string_view>

#include "bench/report/drawing.h"
#include "bench/report/markdown.h"
#include "bench/report/markdown_html.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr const char* kStyle = R"(
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 76rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .8rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; } li, p { overflow-wrap: anywhere; } a { color: #004f7c; }
nav { font-size: .85rem; } nav a { display: inline-block; margin-right: .9rem; padding: .2rem 0; }
.wide { overflow-x: auto; margin: .6rem 0; background: linear-gradient(90deg, #fff 33%, transparent), linear-gradient(270deg, #fff 33%, transparent) 100% 0,
  linear-gradient(90deg, #0004, transparent), linear-gradient(270deg, #0004, transparent) 100% 0; background-size: 30px 100%, 30px 100%, 8px 100%, 8px 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; font-size: .76rem; width: max-content; }
th, td { border: 1px solid #ccc; padding: .22rem .3rem; text-align: left; vertical-align: top; max-width: 26rem; overflow-wrap: break-word; }
th { background: #f2f2f2; max-width: 6rem; } td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.changed td { background: #fdf3dd; font-weight: 600; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: .5rem; margin: .3rem 0; }
blockquote { border-left: 4px solid #0072b2; margin: .6rem 0; padding: .1rem .8rem; background: #f4f8fb; overflow-wrap: anywhere; }
details { margin: .35rem 0; } summary { cursor: pointer; font-size: .9rem; overflow-wrap: anywhere; }
details details { margin-left: .8rem; }
.card { border: 2px solid #303030; border-radius: 6px; padding: .4rem 1rem; } .card ul { padding-left: 1.1rem; }
.verdict { font-size: 1.2rem; font-weight: 700; }
.badge { display: inline-block; border-radius: 4px; padding: 0 .45rem; font-size: .8rem; font-weight: 700; border: 1px solid #303030; }
.good { background: #d6e9f5; } .bad { background: #303030; color: #fff; } .open { background: #fff; border-style: dashed; }
figure { margin: 1rem 0; } figcaption { font-size: .85rem; color: #404040; margin-top: .4rem; }
.row { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr) 15rem; gap: .1rem .7rem; align-items: center; font-size: .8rem; }
.row.head { grid-template-columns: auto 1fr; margin-top: .8rem; font-weight: 700; border-bottom: 1px solid #ddd; }
.label { overflow-wrap: anywhere; } .value { font-variant-numeric: tabular-nums; } .head .value { font-weight: 400; text-align: right; }
.draw { display: block; font-size: 12px; overflow: visible; } .draw text { fill: #303030; }
.questions { display: grid; grid-template-columns: 7rem minmax(0, 1fr); margin: .4rem 0; font-size: .8rem; }
.cells { display: flex; flex-wrap: wrap; gap: 2px; } .legend { font-size: .8rem; } .legend span { white-space: nowrap; margin-right: .8rem; }
.q { display: inline-block; width: 15px; color: #fff; text-decoration: none; vertical-align: middle; border: 1px solid transparent; }
.q i { display: block; height: 13px; font: 700 11px/12px ui-monospace, monospace; text-align: center; font-style: normal; }
.q .ok { background: #0072b2; } .q .wr { background: #e69f00; color: #000; } .q .to { background: #c8c8c8; color: #000; } .q .no { background: #303030; }
.q.flip { border: 2px solid #000; } .q.other { border-bottom: 3px solid #cc79a7; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: .8rem; font-size: .85rem; }
.pair p { margin: .2rem 0; } :target { outline: 2px solid #0072b2; outline-offset: 4px; }
@media (max-width: 600px) {
  .row, .row.head { display: flex; flex-wrap: wrap; justify-content: space-between; margin-top: .4rem; }
  .row .draw { order: 1; flex-basis: 100%; } .questions { grid-template-columns: minmax(0, 1fr); } .q { width: 17px; }
  td { max-width: 13rem; } ul { padding-left: 1.2rem; }
}
@page { margin: 14mm; }
@media print {
  body { max-width: none; font-size: 10pt; padding: 0; } nav, .answers { display: none; }
  tr, .row, .card li, .questions { break-inside: avoid; } h2, h3, .row.head { break-after: avoid; }
  .row { grid-template-columns: 9.5rem minmax(0, 1fr) 13rem; font-size: 8pt; } td:first-child, td:last-child { overflow-wrap: normal !important; } td:nth-child(2) { min-width: 10em; }
  .wide { overflow: visible; background: none; } table { font-size: 6.5pt; width: auto; } th, td { padding: .1rem .25rem; max-width: none; overflow-wrap: anywhere; }
}
)";

/// A heading as the end of a link.
std::string anchor_of(std::string_view heading) {
  std::string anchor;
  for (const char c : heading) anchor += c == ' ' ? '-' : c;
  return anchor;
}

/// What stands in a section beside the text of summary.md.
struct Panels {
  std::string before, after;
};

Panels panels_of(const Json& analysis, std::string_view heading) {
  if (!analysis.contains("gates")) return {};
  if (heading == "Provenance") {
    return {.before = provenance_panel(analysis),
            .after = "<h3>Attempts</h3>\n" + attempts_panel(analysis) +
                     "<h3>The run over time</h3>\n" + telemetry_panel(analysis)};
  }
  if (heading == "Legs")
    return {.before = "", .after = "<h3>Call laws</h3>\n" + calls_panel(analysis)};
  if (heading == "Kernels")
    return {.before = forest_panel(analysis) + boots_panel(analysis), .after = ""};
  if (heading == "Time per token") return {.before = tokens_panel(analysis), .after = ""};
  if (heading == "GSM8K") {
    return {.before = questions_panel(analysis),
            .after = answers_panel(analysis) + "<h3>What this run could have seen</h3>\n" +
                     power_panel(analysis)};
  }
  return {};
}

std::string section_html(const Json& analysis, const ReportSection& section) {
  std::string html =
      fmt::format("<h2 id=\"{}\">{}</h2>\n", anchor_of(section.heading), section.heading);
  if (section.heading == "Verdict") return html + verdict_panel(analysis);
  // The card has the hypotheses and the truth table already.
  if (section.heading == "Conclusion") return html + html_from_markdown(gates_table(analysis));
  const Panels panels = panels_of(analysis, section.heading);
  return html + panels.before + html_from_markdown(section.body) + panels.after;
}

}  // namespace

std::string report_html(const Json& analysis) {
  const std::vector<ReportSection> sections = summary_sections(analysis);
  const std::string title = escape_html(report_title(analysis));
  std::string body = fmt::format("<h1>{}</h1>\n<nav>", title);
  for (const ReportSection& one : sections) {
    body += fmt::format("<a href=\"#{}\">{}</a> ", anchor_of(one.heading), one.heading);
  }
  body += "</nav>\n";
  for (const ReportSection& one : sections) body += section_html(analysis, one);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</"
      "body>\n</html>\n",
      title, kStyle, body);
}

}  // namespace nvllm::bench
