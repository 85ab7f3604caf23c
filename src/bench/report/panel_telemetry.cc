#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr double kHeight = 48;
constexpr std::size_t kTime = 0;

/// A column of the points over time, from zero (or from its least value) to its greatest.
struct Curve {
  std::size_t column;
  const char *label, *unit;
};

constexpr Curve kCurves[] = {
    {1, "memory available", "GiB"}, {2, "server's memory", "GiB"}, {3, "memory pressure", "%"}};

/// One curve as a line; interrupted where nothing was read.
std::string curve_row(const Json& points, const Curve& curve, double begin_s, double seconds) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Json& point : points) {
    if (!point[curve.column].is_number()) continue;
    low = std::min(low, point[curve.column].get<double>());
    high = std::max(high, point[curve.column].get<double>());
  }
  if (high < low) return "";
  const double top = std::max(high * 1.1, 1e-9);
  std::string path;
  bool pen_down = false;
  for (const Json& point : points) {
    if (!point[curve.column].is_number()) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M",
                        1000 * (point[kTime].get<double>() - begin_s) / seconds,
                        kHeight - 2 - (kHeight - 4) * point[curve.column].get<double>() / top);
    pen_down = true;
  }
  const std::string drawn = fmt::format(
      "<svg class=\"draw\" width=\"100%\" height=\"{0:.0f}\" viewBox=\"0 0 1000 {0:.0f}\" "
      "preserveAspectRatio=\"none\" "
      "role=\"img\" aria-label=\"{1}\"><path d=\"{2}\" fill=\"none\" stroke=\"{3}\" "
      "stroke-width=\"1.5\" "
      "vector-effect=\"non-scaling-stroke\"/></svg>",
      kHeight, curve.label, path, kBlue);
  return figure_row(curve.label, drawn, fmt::format("{:.3g} to {:.3g} {}", low, high, curve.unit));
}

const char* fill_of(const std::string& state) {
  if (state == "MEASURING") return kBlue;
  if (state == "WARMING") return kSky;
  return kGrey;
}

/// What ran when, a line for each leg.
std::string phase_rows(const Json& phases, double begin_s, double seconds) {
  std::map<std::string, std::string> legs;
  for (const Json& one : phases) {
    const std::string unit = text_of(one, "unit"), state = text_of(one, "state");
    if (unit.empty()) continue;
    const double from = one.at("from_s").get<double>(), to = one.at("to_s").get<double>();
    legs[unit.substr(0, unit.find('/'))] +=
        bar(100 * (from - begin_s) / seconds, std::max(0.15, 100 * (to - from) / seconds), 3, 12,
            fill_of(state), fmt::format("{} {}, {:.0f} to {:.0f} s", unit, state, from, to));
  }
  std::string rows;
  for (const auto& [leg, bars] : legs) rows += figure_row(leg, drawing(18, leg, bars), "");
  return rows;
}

std::string folder_html(const Json& telemetry, const char* name) {
  if (telemetry.is_null()) return "";
  const Json& points = telemetry.at("points");
  const double begin_s = points.front()[kTime].get<double>();
  const double seconds = std::max(telemetry.at("seconds").get<double>(), 1e-3);
  std::string body =
      figure_head(name, fmt::format("{} looks", telemetry.at("looks").get<std::int64_t>()));
  for (const Curve& curve : kCurves) body += curve_row(points, curve, begin_s, seconds);
  body += phase_rows(telemetry.at("phases"), begin_s, seconds);
  return body + figure_row("",
                           drawing(16, "scale",
                                   writing(0, 12, "0 s") +
                                       writing(100, 12, fmt::format("{:.0f} s", seconds))),
                           "");
}

}  // namespace

std::string telemetry_panel(const Json& analysis) {
  const Json& run = analysis.at("run");
  std::string body;
  if (!stands_alone(analysis)) body += folder_html(run.at("baseline").at("telemetry"), "before");
  body += folder_html(run.at("candidate").at("telemetry"), "now");
  if (body.empty()) return "<p>Neither folder kept the watchdog's telemetry.</p>\n";
  return figure(body,
                "The watchdog's looks, one a second: the worst of each piece of time. Below: what "
                "ran when (dark: "
                "measuring, light blue: warming up, grey: starting, stopping and reading out).");
}

}  // namespace nvllm::bench
