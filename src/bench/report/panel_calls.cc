#include <fmt/format.h>

#include <vector>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/markdown_html.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t kOpenMax = 15;  ///< unchanged kernels that are listed without being asked for

std::string law_text(const Json& law) {
  if (law.is_null()) return "boots differ";
  if (text_of(law, "proof") == "absent") return "absent";
  if (!law.at("a").is_number())
    return fmt::format("no law, {} calls", grouped(law.at("calls").get<std::int64_t>()));
  return fmt::format("{} and {}", grouped(law.at("a").get<std::int64_t>()),
                     grouped(law.at("b").get<std::int64_t>()));
}

std::string proof_text(const Json& kernel) {
  const Json& law =
      kernel.at("candidate").is_null() ? kernel.at("baseline") : kernel.at("candidate");
  return law.is_null() ? "" : text_of(law, "proof");
}

std::vector<std::string> kernel_cells(const Json& kernel, bool alone) {
  const Json& foretold = kernel.at("foretold");
  std::vector<std::string> cells = {text_of(kernel, "short_name")};
  if (!alone) cells.push_back(law_text(kernel.at("baseline")));
  cells.push_back(law_text(kernel.at("candidate")));
  cells.push_back(foretold.is_number() ? fmt::format("{}", foretold.get<std::int64_t>()) : "");
  cells.push_back(proof_text(kernel));
  if (!alone) cells.push_back(kernel.at("changed").get<bool>() ? "CHANGED" : "same");
  return cells;
}

std::string leg_html(const Json& leg, bool alone) {
  Rows head = {{"kernel", "calls now, a step and a request", "foretold a step", "proof"}};
  if (!alone)
    head = {{"kernel", "before, a step and a request", "now", "foretold a step", "proof", "law"}};
  Rows shown = head, same = head;
  std::vector<std::size_t> marked;
  for (const Json& kernel : leg.at("kernels")) {
    const bool changed = !alone && kernel.at("changed").get<bool>();
    if (changed) marked.push_back(shown.size());
    (changed || kernel.at("foretold").is_number() ? shown : same)
        .push_back(kernel_cells(kernel, alone));
  }
  const std::size_t others = same.size() - 1;
  std::string html = fmt::format("<h3>{}: {} call laws changed</h3>\n",
                                 escape_html(text_of(leg, "leg")), marked.size());
  if (alone) html = fmt::format("<h3>{}</h3>\n", escape_html(text_of(leg, "leg")));
  if (others <= kOpenMax) {
    shown.insert(shown.end(), same.begin() + 1, same.end());
    return html + table_html(shown, marked);
  }
  return html + table_html(shown, marked) +
         fmt::format("<details><summary>{} further kernels{}</summary>{}</details>\n", others,
                     alone ? "" : ", unchanged", table_html(same));
}

}  // namespace

std::string calls_panel(const Json& analysis) {
  const Json& legs = analysis.at("call_law").at("legs");
  std::string html;
  for (const Json& leg : legs) html += leg_html(leg, stands_alone(analysis));
  if (html.empty()) return "";
  return "<p>Calls of a kernel = a x decode steps + b x requests. \"proven\": two bursts of "
         "different length agree; "
         "\"one burst\": the split is a guess, the calls are not.</p>\n" +
         html;
}

}  // namespace nvllm::bench
