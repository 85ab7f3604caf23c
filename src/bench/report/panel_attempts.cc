#include <fmt/format.h>

#include <vector>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

std::string attempts_panel(const Json& analysis) {
  std::vector<std::vector<std::string>> rows = {
      {"folder", "unit", "attempt", "ended", "exit code", "kept in"}};
  for (const auto& [side, name] :
       {std::pair("baseline", "before"), std::pair("candidate", "now")}) {
    if (stands_alone(analysis) && std::string_view(side) == "baseline") continue;
    for (const Json& one : analysis.at("run").at(side).at("attempts")) {
      rows.push_back({name, text_of(one, "unit"),
                      fmt::format("{}", one.at("attempt").get<std::int64_t>()),
                      text_of(one, "state"), fmt::format("{}", one.at("exit").get<std::int64_t>()),
                      text_of(one, "kept_in")});
    }
  }
  if (rows.size() == 1) return "<p>No attempt failed or was superseded.</p>\n";
  return fmt::format("<p>{} attempts failed or were superseded.</p>\n", rows.size() - 1) +
         table_html(rows);
}

}  // namespace nvllm::bench
