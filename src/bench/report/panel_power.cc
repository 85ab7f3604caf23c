#include <fmt/format.h>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr double kHeight = 18, kEnough = 0.8;

std::string chance_row(const std::string& label, double chance) {
  std::string body =
      bar(0, 100 * chance, 2, 14, chance >= kEnough ? kBlue : kGrey, fmt::format("{:.2f}", chance));
  body += upright_line(100 * kEnough, kHeight);
  return figure_row(label, drawing(kHeight, label, body), fmt::format("{:.2f}", chance));
}

std::string questions_rows(const Json& analysis) {
  const Json& legs = analysis.at("accuracy").at("legs");
  if (legs.empty()) return "";
  const Json& power = legs[0].at("power");
  const double margin = power.at("noninferiority_margin").get<double>() * 100;
  std::string rows =
      figure_head(fmt::format("questions: chance to show a loss below {:g} pt", margin));
  for (const Json& one : power.at("by_questions")) {
    const auto n = one.at("questions").get<std::size_t>();
    rows += chance_row(
        fmt::format("{} questions{}", n, n == legs[0].at("states").size() ? " (this run)" : ""),
        one.at("power").get<double>());
  }
  return rows;
}

std::string percent_text(double percent) {
  return percent >= 10 ? fmt::format("{:.0f} %", percent) : fmt::format("{:.2g} %", percent);
}

std::string boots_rows(const Json& analysis) {
  std::string rows;
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) {
    const auto found = leg.find("power");
    if (found == leg.end() || found->is_null()) continue;
    const std::string head =
        fmt::format("{}: {} boots, {} scatter of {} a boot", text_of(leg, "leg"),
                    found->at("rounds").get<std::int64_t>(), text_of(*found, "scatter_source"),
                    percent_text(found->at("boot_scatter_pct").get<double>()));
    rows +=
        figure_head(head, found->at("detectable_pct").is_number()
                              ? "finds " + percent_text(found->at("detectable_pct").get<double>())
                              : std::string("one boot finds nothing by itself"));
    for (const Json& one : found->at("by_rounds")) {
      const auto rounds = one.at("rounds").get<std::int64_t>();
      rows += chance_row(
          fmt::format("{} boots{}", rounds, rounds == found->at("rounds") ? " (this run)" : ""),
          one.at("power").get<double>());
    }
  }
  return rows;
}

}  // namespace

std::string power_panel(const Json& analysis) {
  const std::string boots = boots_rows(analysis);
  return figure(questions_rows(analysis),
                "What so many questions show where nothing was lost and 3 % of the answers flip; "
                "dark from 0.8.") +
         figure(
             boots,
             fmt::format(
                 "Chance that so many boots a side show a typical material kernel to be within "
                 "{:g} %, "
                 "where it did not change; \"finds\": the smallest change seen four times in five.",
                 margin_percent(analysis)));
}

}  // namespace nvllm::bench
