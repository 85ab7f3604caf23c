#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr double kHeight = 18;

/// Where a step of the fall begins and ends, in ms; the second may lie below the first.
struct Step {
  const char* label;
  const char* fill;
  double from = 0, to = 0;
};

std::string step_row(const Step& step, double most) {
  const double low = std::min(step.from, step.to), high = std::max(step.from, step.to);
  const std::string text = fmt::format("{}: {} ms", step.label, ms_text(step.to - step.from));
  std::string body = bar(100 * low / most, 100 * (high - low) / most, 2, 14, step.fill, text);
  body += upright_line(100 * step.to / most, kHeight);
  return figure_row(step.label, drawing(kHeight, text, body),
                    fmt::format("{} ms", ms_text(step.to - step.from)));
}

std::string coverage_text(const Json& side) {
  if (!side.at("coverage").is_number()) return "kernels / wall: not known";
  return fmt::format("kernels{} / wall {:.1f} %", side.contains("host_ms") ? " and host work" : "",
                     side.at("coverage").get<double>() * 100);
}

std::string leg_rows(const Json& leg, double most, bool alone) {
  const Json& now = leg.at("candidate");
  if (!now.at("kernels_ms").is_number()) return "";
  const double named = number_or(now, "named_ms", 0), kernels = now.at("kernels_ms").get<double>();
  const bool has_wall = now.at("wall_ms").is_number();
  const double wall = number_or(now, "wall_ms", kernels);
  std::string rows = figure_head(text_of(leg, "leg"), coverage_text(now));
  rows += step_row({.label = "named kernels", .fill = kBlue, .from = 0, .to = named}, most);
  rows += step_row({.label = "other kernels", .fill = kSky, .from = named, .to = kernels}, most);
  const double host = number_or(now, "host_ms", 0), known = kernels + host;
  if (host > 0) rows += step_row({.label = "named host work", .fill = kGrey, .from = kernels, .to = known}, most);
  if (has_wall) {
    rows += step_row({.label = wall >= known ? "rest of the wall time" : "kernels beyond the wall time",
                      .fill = wall >= known ? kOrange : kInk,
                      .from = known,
                      .to = wall},
                     most);
  }
  const Json& before = leg.at("baseline");
  std::string whole = fmt::format("{} ms of kernels", ms_text(kernels));
  if (has_wall) whole += fmt::format(", {} ms of wall time", ms_text(wall));
  if (!alone && before.at("kernels_ms").is_number()) {
    whole += fmt::format(" (before: {}", ms_text(before.at("kernels_ms").get<double>()));
    if (before.at("wall_ms").is_number())
      whole += fmt::format(" and {}", ms_text(before.at("wall_ms").get<double>()));
    whole += " ms)";
  }
  return rows + figure_row("together, a token", "", whole);
}

}  // namespace

std::string tokens_panel(const Json& analysis) {
  const Json& legs = analysis.at("aggregate").at("legs");
  double most = 0;
  for (const Json& leg : legs) {
    for (const char* field : {"kernels_ms", "wall_ms"})
      most = std::max(most, number_or(leg.at("candidate"), field, 0));
  }
  if (most <= 0) return "";
  std::string body;
  for (const Json& leg : legs) body += leg_rows(leg, most, stands_alone(analysis));
  return figure(body,
                "What a token's time is made of, each step beginning where the one above ends. "
                "Wall time is the slope "
                "over unprofiled requests; kernels beyond it ran side by side or were slowed by "
                "the profiler.");
}

}  // namespace nvllm::bench
