#include "bench/report/markdown.h"

#include <fmt/format.h>

#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

const Json& folder(const Json& analysis, const char* side) { return analysis.at("comparability").at(side); }

std::string title(const Json& analysis) {
  return fmt::format("{}: {} against {}", text_of(analysis.at("comparability").at("sweep"), "name"),
                     text_of(folder(analysis, "candidate"), "name"), text_of(folder(analysis, "baseline"), "name"));
}

std::string verdict_text(const Json& analysis) {
  const Json& verdict = analysis.at("verdict");
  std::string text = fmt::format("Claim: {}\n\n**{}**, {}", text_of(verdict, "claim"), text_of(verdict, "id"),
                                 text_of(verdict, "outcome"));
  if (verdict.value("post_hoc", false)) text += fmt::format(", post-hoc ({})", text_of(verdict, "post_hoc_reason"));
  text += ".";
  if (const std::string say = text_of(verdict, "text"); !say.empty()) text += fmt::format(" {}", say);
  return text + "\n";
}

/// What made two folders incomparable, in place of every figure.
std::string refusal(const Json& analysis) {
  std::string text = "| field | before | now |\n| --- | --- | --- |\n";
  for (const Json& one : analysis.at("comparability").at("blocking")) {
    text += fmt::format("| {} | {} | {} |\n", cell(text_of(one, "field")), cell(text_of(one, "baseline")),
                        cell(text_of(one, "candidate")));
  }
  return text;
}

std::string legs_table(const Json& analysis) {
  std::string text =
      "| leg | profiled requests | decode steps | expected calls per decode step | questions |\n| --- | ---: | ---: | "
      "--- | ---: |\n";
  for (const Json& leg : folder(analysis, "candidate").at("legs")) {
    std::string calls;
    for (const Json& compared : analysis.at("kernels_ab").at("legs")) {
      if (compared.at("leg") != leg.at("leg")) continue;
      for (const Json& one : compared.at("expected_calls")) {
        calls += fmt::format("{}{} {}", calls.empty() ? "" : ", ", text_of(one, "kernel"),
                             one.at("per_step").get<std::int64_t>());
        if (one.at("seen").is_number() && one.at("seen").get<double>() != one.at("per_step").get<double>()) {
          calls += fmt::format(" (seen {:.3f})", one.at("seen").get<double>());
        }
      }
    }
    text += fmt::format("| {} | {} | {} | {} | {} |\n", text_of(leg, "leg"), leg.value("requests", std::int64_t{0}),
                        grouped(leg.value("decode_steps", std::int64_t{0})), calls,
                        leg.at("questions").get<std::int64_t>());
  }
  return text;
}

std::string truth_table_text(const Json& analysis) {
  std::string text = "| condition | truth | grade | note |\n| --- | --- | --- | --- |\n";
  for (const Json& row : analysis.at("verdict").at("truth_table")) {
    text += fmt::format("| `{}` | {} | {} | {} |\n", cell(text_of(row, "text")), text_of(row, "truth"),
                        text_of(row, "grade"), text_of(row, "note"));
  }
  return text;
}

std::string reproduce(const Json& analysis) {
  return fmt::format(
      "```\nnvllm bench compare {} {} --rules SWEEP.toml --out DIR\n```\n\nSweep file {}, its rules {}. Every figure "
      "above "
      "comes out of `analysis/`; running it again gives the same bytes.\n",
      text_of(folder(analysis, "baseline"), "name"), text_of(folder(analysis, "candidate"), "name"),
      text_of(analysis.at("verdict"), "sweep_hash"), text_of(analysis.at("verdict"), "prereg_hash"));
}

std::string section(const char* heading, const std::string& body) {
  return fmt::format("\n## {}\n\n{}", heading, body);
}

}  // namespace

std::string summary_markdown(const Json& analysis) {
  std::string text = fmt::format("# {}\n", title(analysis));
  text += section("Verdict", verdict_text(analysis));
  if (!analysis.contains("gates")) {
    return text + section("What differs", refusal(analysis)) + section("Provenance", provenance_table(analysis));
  }
  text += section("Provenance", fmt::format("{}\n{}\n{}", provenance_table(analysis), deviations_text(analysis),
                                            files_text(analysis)));
  text += section("Legs", legs_table(analysis));
  text += section("Kernels", kernels_table(analysis, KernelRows::kMaterial) + "\n" + inventory_text(analysis));
  text += section("Time per token", tokens_table(analysis) + "\n" + order_text(analysis));
  text += section("GSM8K", answers_text(analysis) + "\n" + power_text(analysis));
  text += section("Conclusion",
                  gates_table(analysis) + "\n" + hypotheses_text(analysis) + "\n" + truth_table_text(analysis));
  text += section("Reproduce", reproduce(analysis));
  return text;
}

std::string pr_markdown(const Json& analysis) {
  std::string text = fmt::format("# {}\n", title(analysis));
  text += section("Summary", verdict_text(analysis));
  if (!analysis.contains("gates"))
    return text + section("What differs", refusal(analysis)) + section("Test plan", test_plan(analysis));
  text += section("Kernels", kernels_table(analysis, KernelRows::kNamed) + "\n" + inventory_text(analysis));
  text += section("Time per token", tokens_table(analysis) + "\n" + order_text(analysis));
  text += section("GSM8K", answers_text(analysis) + "\n" + power_text(analysis));
  text += section("Gates and bands", gates_table(analysis));
  text += section("What would change the verdict", hypotheses_text(analysis));
  text += section("Provenance", provenance_table(analysis) + "\n" + deviations_text(analysis));
  text += section("Committed and ignored", files_text(analysis));
  text += section("Test plan", test_plan(analysis));
  text += section("Reproduce", reproduce(analysis));
  return text;
}

}  // namespace nvllm::bench
