#include "bench/report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "bench/report/markdown_html.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

constexpr double kWidth = 720, kRow = 22, kLabel = 250, kRight = 30;

std::string svg(double height, const char* title, const std::string& body) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">{}</svg>\n", kWidth, height,
                     title, body);
}

std::string text_at(double x, double y, const std::string& text, const char* anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", x, y, anchor, escape_html(text));
}

std::string bar(double x, double y, double width, double height, const char* fill, const std::string& title) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"><title>{}</title></rect>", x, y,
      std::max(0.0, width), height, fill, escape_html(title));
}

std::string upright(double x, double top, double bottom, const char* style) {
  return fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" {3}/>", x, top, bottom, style);
}

/// The margin of the first equivalence gate, in per cent; 2 where there is none.
double margin_percent(const Json& analysis) {
  const Json& sweep = analysis.at("comparability").at("sweep");
  if (!sweep.contains("gates")) return 2;
  for (const auto& [name, gate] : sweep.at("gates").items()) {
    if (text_of(gate, "kind") == "equivalent") return std::stod(text_of(gate, "margin"));
  }
  return 2;
}

struct ForestRow {
  std::string label;
  double at = 0, low = 0, high = 0;
};

std::vector<ForestRow> forest_rows(const Json& analysis) {
  std::vector<ForestRow> rows;
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) {
    for (const Json& kernel : leg.at("kernels")) {
      if (!kernel.at("material").get<bool>() || !kernel.contains("test")) continue;
      const Json& test = kernel.at("test");
      rows.push_back({.label = fmt::format("{} {}", text_of(leg, "leg"), text_of(kernel, "short_name")).substr(0, 40),
                      .at = test.at("delta_pct").get<double>(),
                      .low = test.at("ci90_pct")[0].get<double>(),
                      .high = test.at("ci90_pct")[1].get<double>()});
    }
  }
  return rows;
}

const char* fill_of(const std::string& status) {
  if (status == "ok") return "#0072b2";
  if (status == "wrong") return "#e69f00";
  if (status == "timeout") return "#c8c8c8";
  return "#404040";
}

}  // namespace

std::string forest_figure(const Json& analysis) {
  const std::vector<ForestRow> rows = forest_rows(analysis);
  if (rows.empty()) return "";
  const double margin = margin_percent(analysis);
  double reach = margin;
  for (const ForestRow& row : rows) reach = std::max({reach, std::abs(row.low), std::abs(row.high)});
  reach *= 1.15;
  const double bottom = kRow * static_cast<double>(rows.size()) + 6;
  const auto x = [&](double percent) { return kLabel + (percent + reach) / (2 * reach) * (kWidth - kLabel - kRight); };
  std::string body =
      bar(x(-margin), 2, x(margin) - x(-margin), bottom - 2, "#e3eef6", fmt::format("margin of {:g} %", margin));
  body += upright(x(0), 2, bottom, "stroke=\"#606060\" stroke-dasharray=\"3 3\"");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double y = kRow * (static_cast<double>(i) + 0.5) + 4;
    body += text_at(4, y + 4, rows[i].label);
    body += fmt::format(
        "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#0072b2\" stroke-width=\"3\"/>",
        x(rows[i].low), x(rows[i].high), y, y);
    body += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"#003a5c\"><title>{:+.2f} % ({:+.2f} to {:+.2f} "
        "%)</title></circle>",
        x(rows[i].at), y, rows[i].at, rows[i].low, rows[i].high);
  }
  for (const double tick : {-margin, 0.0, margin})
    body += text_at(x(tick), bottom + 16, fmt::format("{:+g} %", tick), "middle");
  return svg(bottom + 24, "change of the material kernels", body);
}

std::string token_figure(const Json& analysis) {
  const Json& legs = analysis.at("aggregate").at("legs");
  double most = 0;
  for (const Json& leg : legs) {
    for (const char* field : {"kernels_ms", "wall_ms"}) {
      if (leg.at("candidate").at(field).is_number()) most = std::max(most, leg.at("candidate").at(field).get<double>());
    }
  }
  if (most <= 0) return "";
  std::string body;
  double y = 4;
  for (const Json& leg : legs) {
    const Json& side = leg.at("candidate");
    if (!side.at("kernels_ms").is_number()) continue;
    const double kernels = side.at("kernels_ms").get<double>();
    const double named = side.at("named_ms").is_number() ? side.at("named_ms").get<double>() : 0;
    const double wall = side.at("wall_ms").is_number() ? side.at("wall_ms").get<double>() : kernels;
    const double scale = (kWidth - 110 - 190) / most;
    body += text_at(4, y + 15, text_of(leg, "leg"));
    body += bar(110, y, named * scale, 18, "#0072b2", fmt::format("named kernels {:.1f} ms", named));
    body += bar(110 + named * scale, y, (kernels - named) * scale, 18, "#7fbbe0",
                fmt::format("other kernels {:.1f} ms", kernels - named));
    body += bar(110 + kernels * scale, y, (wall - kernels) * scale, 18, "#e69f00",
                fmt::format("rest of the wall time {:.1f} ms", wall - kernels));
    body += text_at(116 + std::max(wall, kernels) * scale, y + 14,
                    fmt::format("{:.1f} / {:.1f} / {:.1f} ms", named, kernels, wall));
    y += kRow + 4;
  }
  body += text_at(110, y + 14, "named kernels / all kernels / wall time, per token");
  return svg(y + 22, "time per token", body);
}

std::string question_figure(const Json& analysis) {
  constexpr std::size_t kColumns = 50;
  constexpr double kCell = 11.5;
  std::string body;
  double y = 14;
  for (const Json& leg : analysis.at("accuracy").at("legs")) {
    const Json& states = leg.at("states");
    for (std::size_t start = 0; start < states.size(); start += kColumns) {
      body += text_at(4, y + 14, start == 0 ? text_of(leg, "leg") : "");
      for (std::size_t i = start; i < std::min(start + kColumns, states.size()); ++i) {
        const std::string state = states[i].get<std::string>();
        const std::string before = state.substr(0, state.find('>')), now = state.substr(state.find('>') + 1);
        const double x = 110 + kCell * static_cast<double>(i - start);
        const std::string title = fmt::format("question {}: {} to {}", i + 1, before, now);
        body += bar(x, y, kCell - 1.5, 9, fill_of(before), title) + bar(x, y + 10, kCell - 1.5, 9, fill_of(now), title);
        if (before != now) {
          body += fmt::format(
              "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"22\" fill=\"none\" stroke=\"#d00000\" "
              "stroke-width=\"1.5\"/>",
              x - 1, y - 1.5, kCell + 0.5);
        }
      }
      y += 28;
    }
  }
  if (body.empty()) return "";
  double x = 110;
  for (const auto& [status, word] :
       {std::pair("ok", "right"), std::pair("wrong", "wrong"), std::pair("timeout", "cut off by the deadline"),
        std::pair("other", "no answer")}) {
    body += bar(x, y, 10, 10, fill_of(status), word) + text_at(x + 14, y + 10, word);
    x += 40 + 6.6 * static_cast<double>(std::string_view(word).size());
  }
  body += text_at(110, y + 28, "upper row before, lower row now; framed: changed");
  return svg(y + 36, "answers by question and leg", body);
}

std::string power_figure(const Json& analysis) {
  const Json& legs = analysis.at("accuracy").at("legs");
  if (legs.empty()) return "";
  std::string body;
  double y = 4;
  const auto line = [&](const std::string& label, double power) {
    body += text_at(4, y + 14, label);
    body += bar(kLabel + 60, y, (kWidth - kLabel - 160) * power, 16, power >= 0.8 ? "#0072b2" : "#c8c8c8",
                fmt::format("{:.2f}", power));
    body += text_at(kLabel + 66 + (kWidth - kLabel - 160) * power, y + 13, fmt::format("{:.2f}", power));
    y += kRow;
  };
  const Json& power = legs[0].at("power");
  const double margin = power.at("noninferiority_margin").get<double>() * 100;
  for (const Json& one : power.at("by_questions")) {
    line(fmt::format("{} questions show a loss below {:g} pt", one.at("questions").get<std::int64_t>(), margin),
         one.at("power").get<double>());
  }
  body += text_at(4, y + 14, "chance, where nothing was lost and 3 % of the answers flip; dark from 0.8");
  return svg(y + 22, "what so many questions can show", body);
}

}  // namespace nvllm::bench
