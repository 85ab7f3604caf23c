// The parts of a report about kernels.

#include <fmt/format.h>

#include <cmath>

#include "bench/report/facts.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

/// "p = 0.002", or that it is smaller than anyone should print.
std::string p_text(double p) { return p < 1e-6 ? "p < 0.000001" : fmt::format("p = {:.2g}", p); }

bool carried(const Json& kernel, KernelRows which) {
  return kernel.at(which == KernelRows::kNamed ? "named" : "material").get<bool>();
}

std::string side_text(const Json& side, const char* field) {
  return side.is_null() ? std::string("-") : ms_text(side.at(field).get<double>());
}

std::string calls_text(const Json& side) {
  return side.is_null() ? std::string("-") : grouped(side.at("calls").get<std::int64_t>());
}

std::string interval_text(const Json& ends) {
  return fmt::format("{:+.2f} to {:+.2f} %", ends[0].get<double>(), ends[1].get<double>());
}

/// "2.10 (3)": t and its degrees of freedom; those of borrowed noise are without end.
std::string t_text(const Json& test) {
  if (!test.at("t").is_number()) return "-";
  const double t = test.at("t").get<double>();
  return test.at("df").is_number() ? fmt::format("{:.2f} ({:.3g})", t, test.at("df").get<double>())
                                   : fmt::format("{:.2f} (inf)", t);
}

/// Columns that only some tables have.
struct Extra {
  bool moderated = false, drift = false;
};

Extra extra_columns(const Json& analysis) {
  Extra extra;
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) {
    extra.drift |= !leg.at("common_drift").is_null();
    for (const Json& kernel : leg.at("kernels"))
      extra.moderated |= kernel.contains("test") && kernel.at("test").contains("moderated");
  }
  return extra;
}

std::string head_of(const Extra& extra) {
  return fmt::format(
      "| leg | kernel | calls before | calls now | mean us before | mean us now | change | 90 % "
      "interval | t (df) |{}{} "
      "outcome |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |{}{} --- |\n",
      extra.moderated ? " moderated 90 % interval | moderated t (df) |" : "",
      extra.drift ? " drift-adjusted |" : "", extra.moderated ? " --- | ---: |" : "",
      extra.drift ? " ---: |" : "");
}

std::string test_cells(const Json& kernel, const Extra& extra) {
  const bool tested = kernel.contains("test");
  const Json& test = tested ? kernel.at("test") : kernel;
  const bool moderated = tested && test.contains("moderated");
  std::string cells = tested
                          ? fmt::format("{:+.2f} % | {} | {}", test.at("delta_pct").get<double>(),
                                        interval_text(test.at("ci90_pct")), t_text(test))
                          : "- | - | -";
  if (extra.moderated) {
    cells += moderated
                 ? fmt::format(" | {} | {}", interval_text(test.at("moderated").at("ci90_pct")),
                               t_text(test.at("moderated")))
                 : " | - | -";
  }
  if (!extra.drift) return cells;
  const bool adjusted = tested && test.contains("drift_adjusted_pct");
  return cells + (adjusted
                      ? fmt::format(" | {:+.2f} %", test.at("drift_adjusted_pct").get<double>())
                      : " | -");
}

std::string kernel_row(const std::string& leg, const Json& kernel, const Extra& extra) {
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} | {} | {} |\n", leg, cell(text_of(kernel, "short_name")),
      calls_text(kernel.at("baseline")), calls_text(kernel.at("candidate")),
      side_text(kernel.at("baseline"), "mean_us"), side_text(kernel.at("candidate"), "mean_us"),
      test_cells(kernel, extra), text_of(kernel, "outcome"));
}

/// A folder without a baseline: what its kernels took, and nothing about change.
std::string alone_row(const std::string& leg, const Json& kernel) {
  const Json& side = kernel.at("candidate");
  std::string boots;
  for (const Json& one : kernel.at("boots").at("candidate_us"))
    boots += fmt::format("{}{}", boots.empty() ? "" : ", ", ms_text(one.get<double>()));
  return fmt::format("| {} | {} | {} | {} | {:.2f} % | {} |\n", leg,
                     cell(text_of(kernel, "short_name")), calls_text(side),
                     ms_text(side.at("mean_us").get<double>()),
                     side.at("share").get<double>() * 100, boots);
}

std::string inventory_line(const Json& leg) {
  const Json& found = leg.at("inventory");
  const double before = leg.at("baseline_ms").get<double>(),
               after = leg.at("candidate_ms").get<double>();
  const auto count = [&](const char* key) { return found.at(key).get<std::int64_t>(); };
  double changed_ms = 0;
  for (const Json& kernel : leg.at("kernels")) {
    const std::string outcome = text_of(kernel, "outcome");
    const bool counted = outcome == "NEW" || outcome == "GONE" || outcome == "COUNT_CHANGED";
    const Json& side = kernel.at(kernel.at("candidate").is_null() ? "baseline" : "candidate");
    if (counted) changed_ms += side.at("total_ms").get<double>();
  }
  return fmt::format(
      "- **{}**: {:.1f} to {:.1f} ms of kernel time ({:+.3f} %); {} kernels carry 99 % of it. {} "
      "and {} kernels, {} "
      "shared, {} of these with the same calls, {} only before, {} only now: what came, went or "
      "changed its calls is "
      "{:.3f} % of the time. {} slower, {} faster (sign test {}, descriptive: kernels of one boot "
      "share its clock and "
      "heat).\n",
      text_of(leg, "leg"), before, after, (after / before - 1) * 100,
      leg.at("rows_for_99_pct").get<std::int64_t>(), count("baseline_rows"),
      count("candidate_rows"), count("shared"), count("same_count"),
      count("baseline_rows") - count("shared"), count("candidate_rows") - count("shared"),
      changed_ms / after * 100, count("slower"), count("faster"),
      p_text(found.at("sign_p").get<double>()));
}

std::string borrowed_text(const Json& analysis) {
  const Json& noise = analysis.at("verdict").at("borrowed_noise");
  return fmt::format(
      "\nOne boot a side: the intervals rest on **borrowed** noise of {:.3f} % ({}). PROVISIONAL "
      "at best.\n",
      noise.at("boot_sigma").get<double>() * 100, text_of(noise, "source"));
}

std::string drift_line(const std::string& what, const Json& drift) {
  std::vector<std::string> kernels;
  for (const Json& one : drift.at("kernels")) kernels.push_back(cell(one.get<std::string>()));
  return fmt::format(
      "- {}: {:+.2f} % in common ({}){}.\n", what, drift.at("pct").get<double>(), listed(kernels),
      drift.at("alarm").get<bool>() ? ", **ALARM: above 0.5 %**, the machine was not the same"
                                    : "");
}

}  // namespace

std::string kernels_table(const Json& analysis, KernelRows which) {
  const bool alone = stands_alone(analysis);
  const Extra extra = extra_columns(analysis);
  bool borrowed = false;
  std::string text =
      alone ? "| leg | kernel | calls | mean us | share of the leg | mean us of each boot |\n"
              "| --- | --- | ---: | ---: | ---: | --- |\n"
            : head_of(extra);
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) {
    for (const Json& kernel : leg.at("kernels")) {
      if (!carried(kernel, which)) continue;
      text += alone ? alone_row(text_of(leg, "leg"), kernel)
                    : kernel_row(text_of(leg, "leg"), kernel, extra);
      borrowed |= kernel.contains("test") && kernel.at("test").at("se_source") == "borrowed";
    }
  }
  if (alone) return text + "\nNo baseline: nothing is said about change.\n";
  if (extra.moderated) {
    text +=
        "\nModerated: the variance of each kernel shrunk toward that of its leg's kernels of like "
        "weight. Shown beside "
        "the plain t; outcomes and gates rest on the plain one.\n";
  }
  return borrowed ? text + borrowed_text(analysis) : text;
}

std::string drift_text(const Json& analysis) {
  std::string text;
  const Json& kernels = analysis.at("kernels_ab");
  if (!stands_alone(analysis)) {
    for (const Json& leg : kernels.at("legs")) {
      const Json& drift = leg.at("common_drift");
      if (!drift.is_null())
        text += drift_line(fmt::format("**{}**, now over before", text_of(leg, "leg")), drift);
    }
  }
  for (const Json& pair : kernels.at("drift_between_legs")) {
    text += drift_line(fmt::format("**{}** over {}", text_of(pair, "leg"), text_of(pair, "over")),
                       pair);
  }
  return text.empty() ? "" : "Anchors, whose code did not change:\n\n" + text + "\n";
}

std::string inventory_text(const Json& analysis) {
  if (stands_alone(analysis)) return "";
  std::string text;
  for (const Json& leg : analysis.at("kernels_ab").at("legs")) text += inventory_line(leg);
  return text;
}

}  // namespace nvllm::bench
