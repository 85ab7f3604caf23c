#include <fmt/format.h>

#include <map>
#include <tuple>
#include <vector>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

/// A field's last part, before and now.
using Change = std::tuple<std::string, std::string, std::string>;

/// "lower8/profile/git_commit" in every leg alike is one change, not six.
std::map<Change, std::vector<std::string>> grouped_changes(const Json& changed) {
  std::map<Change, std::vector<std::string>> places;
  for (const Json& one : changed) {
    const std::string field = text_of(one, "field");
    if (field.ends_with("/timestamp_iso"))
      continue;  // never the same; the table below has the time of both
    const std::size_t phase = field.find('/'),
                      name = phase == std::string::npos ? phase : field.find('/', phase + 1);
    const bool nested = name != std::string::npos;
    places[{nested ? field.substr(name + 1) : field, text_of(one, "baseline"),
            text_of(one, "candidate")}]
        .push_back(nested ? field.substr(0, name) : "");
  }
  return places;
}

}  // namespace

std::string provenance_panel(const Json& analysis) {
  if (stands_alone(analysis)) return "";
  const auto changes = grouped_changes(analysis.at("comparability").at("changed"));
  if (changes.empty()) return "<p>No field of the metadata that may differ does.</p>\n";
  std::vector<std::vector<std::string>> rows = {{"field that differs", "in", "before", "now"}};
  for (const auto& [change, places] : changes) {
    const auto& [field, before, now] = change;
    std::string where = listed(places);
    if (places.size() > 2) where = fmt::format("{} and {} more", places.front(), places.size() - 1);
    rows.push_back({field, places.front().empty() ? "" : where, before, now});
  }
  return table_html(rows);
}

}  // namespace nvllm::bench
