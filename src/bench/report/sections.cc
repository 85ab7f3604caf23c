#include "bench/report/sections.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "bench/report/facts.h"

namespace nvllm::bench {

namespace {

/// "p = 0.002", or that it is smaller than anyone should print.
std::string p_text(double p) { return p < 1e-6 ? "p < 0.000001" : fmt::format("p = {:.2g}", p); }

std::string ms_or_dash(const Json& value) {
  return value.is_number() ? ms_text(value.get<double>()) : "-";
}

std::string ratio_text(const Json& gap) {
  return fmt::format("{:.3f} ({:.3f} to {:.3f})", gap.at("ratio").get<double>(),
                     gap.at("ci90")[0].get<double>(), gap.at("ci90")[1].get<double>());
}

std::string tokens_row(const std::string& leg, const char* folder, const Json& side) {
  const bool by_boot = side.contains("wall_boots");
  const std::string of = by_boot ? fmt::format("{} boots", side.at("wall_boots").get<std::int64_t>())
                                 : fmt::format("{} answers", side.at("wall_answers").get<std::int64_t>());
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} |\n", leg, folder, ms_or_dash(side.at("named_ms")),
      ms_or_dash(side.at("kernels_ms")),
      side.at("wall_ms").is_number()
          ? fmt::format("{} ({})", ms_text(side.at("wall_ms").get<double>()), of)
          : "-",
      side.at("coverage").is_number()
          ? fmt::format("{:.1f} %", side.at("coverage").get<double>() * 100)
          : "-");
}

}  // namespace

std::string grouped(std::int64_t number) {
  if (number < 0) return fmt::format("-{}", grouped(-number));
  if (number < 1000) return fmt::format("{}", number);
  return fmt::format("{},{:03}", grouped(number / 1000), number % 1000);
}

std::string listed(const std::vector<std::string>& words) {
  if (words.empty()) return "none";
  std::string text = words[0];
  for (std::size_t i = 1; i < words.size(); ++i)
    text += fmt::format("{}{}", i + 1 == words.size() ? " and " : ", ", words[i]);
  return text;
}

std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|') safe += '\\';
    safe += c == '\n' ? ' ' : c;
  }
  return safe;
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::string gates_table(const Json& analysis) {
  std::string text = "| gate | outcome | required | seen |\n| --- | --- | --- | --- |\n";
  for (const Json& gate : analysis.at("gates").at("gates")) {
    std::string seen;
    for (const Json& line : gate.at("lines")) {
      const std::string leg = text_of(line, "leg");
      seen += fmt::format("{}{}{}{}", seen.empty() ? "" : "<br>", leg, leg.empty() ? "" : ": ",
                          text_of(line, "text"));
    }
    if (seen.empty()) seen = text_of(gate, "because");
    text += fmt::format("| {} | {} | {} | {} |\n", text_of(gate, "name"), text_of(gate, "outcome"),
                        gate.at("required").get<bool>() ? "yes" : "no", seen);
  }
  return text;
}

std::string tokens_table(const Json& analysis) {
  std::string text =
      "| leg | folder | named kernels, ms/token | all kernels, ms/token | wall, ms/token | kernels "
      "/ wall |\n"
      "| --- | --- | ---: | ---: | ---: | ---: |\n";
  for (const Json& leg : analysis.at("aggregate").at("legs")) {
    if (!stands_alone(analysis))
      text += tokens_row(text_of(leg, "leg"), "before", leg.at("baseline"));
    text += tokens_row(text_of(leg, "leg"), "now", leg.at("candidate"));
  }
  return text;
}

std::string order_text(const Json& analysis) {
  std::string text;
  for (const Json& order : analysis.at("order").at("orders")) {
    text +=
        fmt::format("Expected: {} in {}.\n", text_of(order, "expect"), text_of(order, "metric"));
    for (const auto& [side, name] :
         {std::pair("baseline", "Before"), std::pair("candidate", "Now")}) {
      if (stands_alone(analysis) && std::string_view(side) == "baseline") continue;
      const Json& one = order.at(side);
      if (one.at("p").is_null()) {
        text += fmt::format("{}: not tested, {}.\n", name, text_of(one, "untested_because"));
        continue;
      }
      text += fmt::format("{}: ", name);
      for (std::size_t i = 0; i < one.at("ms_per_token").size(); ++i) {
        text += fmt::format("{}{} ms", i == 0 ? "" : ", ",
                            ms_text(one.at("ms_per_token")[i].get<double>()));
      }
      text += "; each over the one before it: ";
      for (std::size_t i = 0; i < one.at("gaps").size(); ++i)
        text += fmt::format("{}{}", i == 0 ? "" : ", ", ratio_text(one.at("gaps")[i]));
      text += fmt::format("; all gaps together {} ({} noise).\n", p_text(one.at("p").get<double>()),
                          order.at("se_source") == "borrowed" ? "borrowed" : "rounds'");
    }
  }
  return text;
}

std::string hypotheses_text(const Json& analysis) {
  std::string text;
  for (const Json& one : analysis.at("verdict").at("hypotheses")) {
    text += fmt::format("- **{}** {}: `{}`", text_of(one, "name"), text_of(one, "state"),
                        text_of(one, "text"));
    for (const Json& comparison : one.at("comparisons")) {
      if (!comparison.contains("estimate")) {
        text += fmt::format("; unknown: {}", text_of(comparison, "unknown_because"));
        continue;
      }
      text += fmt::format("; estimate {}", text_of(comparison.at("estimate"), "text"));
      for (const Json& flip : comparison.at("flips")) {
        const double change = flip.at("change_percent").get<double>();
        text += fmt::format("; flips if {} {} by {:.1f} % to {}", text_of(flip, "fact"),
                            change < 0 ? "falls" : "rises", std::abs(change),
                            text_of(flip.at("at_flip"), "text"));
      }
    }
    text += "\n";
  }
  return text;
}

}  // namespace nvllm::bench
