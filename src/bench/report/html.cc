#include "bench/report/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/report/figures.h"
#include "bench/report/markdown.h"
#include "bench/report/markdown_html.h"

namespace nvllm::bench {

namespace {

constexpr const char* kStyle = R"(
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ccc; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { border: 1px solid #ccc; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #f2f2f2; } code, pre { font-family: ui-monospace, monospace; font-size: .85em; } pre { overflow-x: auto; }
li, p { overflow-wrap: anywhere; } svg { width: 100%; height: auto; font-size: 12px; } figure { margin: 1rem 0; } figcaption { font-size: .85rem; }
@media print { body { max-width: none; font-size: 10pt; } figure, tr { break-inside: avoid; } .wide { overflow: visible; } }
)";

std::string figure(const std::string& svg, const char* caption) {
  return svg.empty() ? "" : fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n", svg, caption);
}

/// Puts `what` at the end of the section of that heading.
void insert_into(std::string& html, const char* heading, const std::string& what) {
  const std::size_t at = html.find(fmt::format("<h2>{}</h2>", heading));
  if (at == std::string::npos) return;
  const std::size_t end = std::min(html.find("<h2>", at + 4), html.size());
  html.insert(end, what);
}

}  // namespace

std::string report_html(const Json& analysis) {
  std::string body = html_from_markdown(summary_markdown(analysis));
  if (analysis.contains("gates")) {
    insert_into(body, "Kernels",
                figure(forest_figure(analysis), "Change of each material kernel, 90 % interval; shaded: the margin."));
    insert_into(body, "Time per token", figure(token_figure(analysis), "What a token's time is made of, now."));
    insert_into(body, "GSM8K",
                figure(question_figure(analysis), "Every question in every leg.") +
                    figure(power_figure(analysis), "What this many questions could have shown."));
  }
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\">\n<title>Evidence report</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      kStyle, body);
}

}  // namespace nvllm::bench
