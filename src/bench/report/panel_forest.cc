#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr const char* kModerated =
    "#606060";  // the colour of that interval and of nothing else here
constexpr double kHeight = 24,
                 kReachMax = 60;  // per cent: beyond, a scale would flatten all others

bool is_shown(const Json& kernel) {
  return kernel.at("material").get<bool>() && kernel.contains("test");
}

double reach_of(const Json& legs, double margin) {
  double reach = 1.5 * margin;
  for (const Json& leg : legs) {
    for (const Json& kernel : leg.at("kernels")) {
      if (!is_shown(kernel)) continue;
      for (const Json& end : kernel.at("test").at("ci90_pct"))
        reach = std::max(reach, std::abs(end.get<double>()));
    }
  }
  return std::min(1.1 * reach, kReachMax);
}

std::string kernel_row(const Json& kernel, double margin, double reach) {
  const Json& test = kernel.at("test");
  const double at = test.at("delta_pct").get<double>();
  const double low = test.at("ci90_pct")[0].get<double>(),
               high = test.at("ci90_pct")[1].get<double>();
  std::string body =
      bar(place_around(-margin, reach), place_around(margin, reach) - place_around(-margin, reach),
          0, kHeight, kBand, fmt::format("margin of {:g} %", margin));
  body += upright_line(50, kHeight);
  body += level_line(place_around(low, reach), place_around(high, reach), 9, 3, kBlue);
  body += dot(place_around(at, reach), 9, Filling::kFilled,
              fmt::format("{:+.2f} % ({:+.2f} to {:+.2f} %)", at, low, high));
  if (test.contains("moderated")) {
    const Json& ends = test.at("moderated").at("ci90_pct");
    body += level_line(place_around(ends[0].get<double>(), reach),
                       place_around(ends[1].get<double>(), reach), 18, 1.5, kModerated);
  }
  const std::string name = text_of(kernel, "short_name");
  return figure_row(
      name, drawing(kHeight, fmt::format("{}: {:+.2f} %", name, at), body),
      fmt::format("{:+.2f} % ({:+.2f} to {:+.2f}) {}", at, low, high, text_of(kernel, "outcome")));
}

std::string scale_row(double margin, double reach) {
  std::string body;
  // The margin's marks, or the ends' where the margin is too small a part of the scale to be
  // written beside zero.
  const double mark = margin / reach < 0.3 ? reach : margin;
  for (const double tick : {-mark, 0.0, mark}) {
    body += writing(place_around(tick, reach), 12,
                    tick == 0 ? std::string("0 %") : fmt::format("{:+.3g} %", tick));
  }
  return figure_row("", drawing(16, "scale", body), "");
}

}  // namespace

std::string forest_panel(const Json& analysis) {
  if (stands_alone(analysis)) return "";
  const Json& legs = analysis.at("kernels_ab").at("legs");
  const double margin = margin_percent(analysis), reach = reach_of(legs, margin);
  std::string body;
  for (const Json& leg : legs) {
    std::string rows;
    for (const Json& kernel : leg.at("kernels")) {
      if (is_shown(kernel)) rows += kernel_row(kernel, margin, reach);
    }
    if (!rows.empty()) body += figure_head(text_of(leg, "leg")) + rows;
  }
  if (body.empty()) return "";
  std::string caption = fmt::format(
      "Change of each material kernel's time with its 90 % interval; shaded: the margin of {:g} %. "
      "Clock cycles are not recorded, so a change of the clock shows here as one of the kernel.",
      margin);
  if (body.find(kModerated) != std::string::npos)
    caption += " The thin line below is the moderated interval, which decides nothing.";
  if (reach >= kReachMax)
    caption += fmt::format(" What lies beyond {:g} % is drawn at the edge.", kReachMax);
  return figure(body + scale_row(margin, reach), caption);
}

}  // namespace nvllm::bench
