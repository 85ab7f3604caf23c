#include "bench/rules/say.h"

#include <fmt/format.h>

#include <functional>

namespace nvllm::bench {

namespace {

constexpr std::string_view kWanted =
    "{NAME.est}, {NAME.ci}, {NAME.state}, {flip(NAME)} or {need(NAME)}";

std::string estimate_text(const ComparisonResult& comparison) {
  return comparison.estimate ? format_quantity(*comparison.estimate) : "an unknown amount";
}

std::string interval_text(const ComparisonResult& comparison) {
  if (!comparison.interval || !comparison.estimate) return "no interval: the noise is unknown";
  const Quantity high{.value = comparison.interval->high, .unit = comparison.estimate->unit};
  return fmt::format("{:g} % interval {} to {}", 100 * comparison.interval_level,
                     format_number(comparison.interval->low), format_quantity(high));
}

std::string flip_text(const ComparisonResult& comparison) {
  for (const Flip& flip : comparison.flips) {
    if (flip.fact != comparison.facts.front()) continue;
    // A rise keeps its sign, so that "gets ... cheaper" cannot quietly say the opposite.
    return flip.change_percent < 0 ? fmt::format("{:.1f} %", -flip.change_percent)
                                   : fmt::format("+{:.1f} %", flip.change_percent);
  }
  return "an unknown share";
}

std::string need_text(const ComparisonResult& comparison) {
  return comparison.need ? std::to_string(*comparison.need) : "an unknown number of";
}

std::string for_each_comparison(
    const HypothesisResult& hypothesis,
    const std::function<std::string(const ComparisonResult&)>& text_of) {
  std::string text;
  for (const ComparisonResult& comparison : hypothesis.comparisons) {
    text += (text.empty() ? "" : "; ") + text_of(comparison);
  }
  return text;
}

/// What a placeholder asks for: "est", "ci", "state", "flip" or "need", of which hypothesis.
struct Placeholder {
  std::string_view what;
  std::string_view name;
};

/// Splits "H1.est" or "flip(H1)"; empty parts where it is neither.
Placeholder split(std::string_view inside) {
  if (inside.ends_with(')')) {
    const std::size_t open = inside.find('(');
    if (open == std::string_view::npos) return {};
    return {.what = inside.substr(0, open),
            .name = inside.substr(open + 1, inside.size() - open - 2)};
  }
  const std::size_t dot = inside.rfind('.');
  if (dot == std::string_view::npos) return {};
  return {.what = inside.substr(dot + 1), .name = inside.substr(0, dot)};
}

std::string value_of(const std::string& say, std::size_t position, std::string_view inside,
                     const Outcomes& outcomes) {
  const auto fail = [&](const std::string& problem) {
    throw_rule_error(say, static_cast<std::int64_t>(position), problem);
  };
  const Placeholder placeholder = split(inside);
  const bool call = inside.ends_with(')');
  const auto& [what, name] = placeholder;
  const bool known =
      call ? what == "flip" || what == "need" : what == "est" || what == "ci" || what == "state";
  if (!known) fail(fmt::format("unknown placeholder, wanted {}", kWanted));
  const auto found = outcomes.hypotheses.find(std::string(name));
  if (found == outcomes.hypotheses.end()) fail("this placeholder names no hypothesis of the sweep");
  const HypothesisResult& hypothesis = found->second;
  if (what == "state") return state_text(hypothesis.truth, hypothesis.grade);
  if (what == "est") return for_each_comparison(hypothesis, estimate_text);
  if (what == "flip") return for_each_comparison(hypothesis, flip_text);
  if (what == "need") return for_each_comparison(hypothesis, need_text);
  return for_each_comparison(hypothesis, interval_text);
}

}  // namespace

std::string fill_template(const std::string& say, const Outcomes& outcomes) {
  std::string text;
  for (std::size_t at = 0; at < say.size(); ++at) {
    const char c = say[at];
    if (c != '{' && c != '}') {
      text += c;
      continue;
    }
    if (at + 1 < say.size() && say[at + 1] == c) {
      text += c;
      ++at;
      continue;
    }
    const std::size_t close = c == '{' ? say.find('}', at) : std::string::npos;
    if (close == std::string::npos) {
      throw_rule_error(say, static_cast<std::int64_t>(at),
                       "a lone brace, wanted {{ or }} for the character itself");
    }
    text += value_of(say, at, std::string_view(say).substr(at + 1, close - at - 1), outcomes);
    at = close;
  }
  return text;
}

}  // namespace nvllm::bench
