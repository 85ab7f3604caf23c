#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/report/drawing.h"
#include "bench/report/facts.h"
#include "bench/report/panels.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr double kHeight = 24;

/// One line of the strip: a quantity in every boot of both folders.
struct Strip {
  std::string label;
  const char* unit = "us";
  std::vector<double> before, now;
};

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// What boots are held against: the mean before, or of this folder where it stands alone.
double centre_of(const Strip& strip) {
  return mean_of(strip.before.empty() ? strip.now : strip.before);
}

double percent(double value, double centre) { return (value / centre - 1) * 100; }

std::vector<Strip> strips_of(const Json& analysis, const Json& leg) {
  const bool alone = stands_alone(analysis);
  std::vector<Strip> strips;
  const auto add = [&](const std::string& label, const char* unit, const Json& before,
                       const Json& now) {
    Strip strip{.label = label, .unit = unit, .before = {}, .now = now.get<std::vector<double>>()};
    if (!alone) strip.before = before.get<std::vector<double>>();
    if (!strip.now.empty()) strips.push_back(std::move(strip));
  };
  for (const Json& one : analysis.at("aggregate").at("legs")) {
    if (one.at("leg") != leg.at("leg")) continue;
    add("all kernels, a token", "ms", one.at("baseline").at("boots_ms"),
        one.at("candidate").at("boots_ms"));
  }
  for (const Json& kernel : leg.at("kernels")) {
    if (!kernel.at("material").get<bool>() || !kernel.contains("boots")) continue;
    add(text_of(kernel, "short_name"), "us", kernel.at("boots").at("baseline_us"),
        kernel.at("boots").at("candidate_us"));
  }
  return strips;
}

double reach_of(const std::vector<Strip>& strips) {
  double reach = 0.5;
  for (const Strip& strip : strips) {
    for (const auto* side : {&strip.before, &strip.now}) {
      for (const double value : *side)
        reach = std::max(reach, std::abs(percent(value, centre_of(strip))));
    }
  }
  return 1.05 * reach;
}

std::string spread_text(const std::vector<double>& values) {
  if (values.size() == 1) return ms_text(values[0]);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return fmt::format("{} to {}", ms_text(*low), ms_text(*high));
}

std::string strip_row(const Strip& strip, double reach) {
  const double centre = centre_of(strip);
  std::string body = upright_line(50, kHeight);
  for (const auto& [side, y, filling] :
       {std::tuple(&strip.before, 6.0, Filling::kHollow),
        std::tuple(&strip.now, strip.before.empty() ? 12.0 : 18.0, Filling::kFilled)}) {
    for (std::size_t i = 0; i < side->size(); ++i) {
      const double off = percent((*side)[i], centre);
      body += dot(place_around(off, reach), y, filling,
                  fmt::format("{}, boot {}: {} {} ({:+.2f} %)",
                              filling == Filling::kHollow ? "before" : "now", i + 1,
                              ms_text((*side)[i]), strip.unit, off));
    }
  }
  return figure_row(strip.label, drawing(kHeight, strip.label, body),
                    fmt::format("{} {}", spread_text(strip.now), strip.unit));
}

}  // namespace

std::string boots_panel(const Json& analysis) {
  std::string body;
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) {
    const std::vector<Strip> strips = strips_of(analysis, leg);
    if (strips.empty()) continue;
    const double reach = reach_of(strips);
    body += figure_head(text_of(leg, "leg"));
    for (const Strip& strip : strips) body += strip_row(strip, reach);
    body += figure_row(
        "",
        drawing(16, "scale",
                writing(0, 12, fmt::format("{:+.3g} %", -reach)) + writing(50, 12, "mean") +
                    writing(100, 12, fmt::format("{:+.3g} %", reach))),
        "");
  }
  return figure(body,
                stands_alone(analysis)
                    ? "Every boot of every leg, each mark one boot, around the mean of its line."
                    : "Every boot of every leg, each mark one boot: hollow before, filled now, "
                      "around the mean "
                      "before.");
}

}  // namespace nvllm::bench
