#include "bench/report/markdown.h"

#include <fmt/format.h>

#include "bench/report/facts.h"
#include "bench/report/notes.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

const Json& folder(const Json& analysis, const char* side) {
  return analysis.at("comparability").at(side);
}

std::string verdict_text(const Json& analysis) {
  const Json& verdict = analysis.at("verdict");
  std::string text = fmt::format("Claim: {}\n\n**{}**, {}", text_of(verdict, "claim"),
                                 text_of(verdict, "id"), text_of(verdict, "outcome"));
  if (verdict.value("post_hoc", false))
    text += fmt::format(", post-hoc ({})", text_of(verdict, "post_hoc_reason"));
  text += ".";
  if (const std::string say = text_of(verdict, "text"); !say.empty())
    text += fmt::format(" {}", say);
  return text + "\n";
}

/// What made two folders incomparable, in place of every figure.
std::string refusal(const Json& analysis) {
  std::string text = "| field | before | now |\n| --- | --- | --- |\n";
  for (const Json& one : analysis.at("comparability").at("blocking")) {
    text += fmt::format("| {} | {} | {} |\n", cell(text_of(one, "field")),
                        cell(text_of(one, "baseline")), cell(text_of(one, "candidate")));
  }
  return text;
}

std::string legs_table(const Json& analysis) {
  std::string text =
      "| leg | profiled requests | decode steps | expected calls per decode step | questions |\n| "
      "--- | ---: | ---: | "
      "--- | ---: |\n";
  for (const Json& leg : folder(analysis, "candidate").at("legs")) {
    std::string calls;
    for (const Json& compared : analysis.at("kernels_ab").at("legs")) {
      if (compared.at("leg") != leg.at("leg")) continue;
      for (const Json& one : compared.at("expected_calls")) {
        calls += fmt::format("{}{} {}", calls.empty() ? "" : ", ", text_of(one, "kernel"),
                             one.at("per_step").get<std::int64_t>());
        if (one.at("seen").is_number() &&
            one.at("seen").get<double>() != one.at("per_step").get<double>()) {
          calls += fmt::format(" (seen {:.3f})", one.at("seen").get<double>());
        }
      }
    }
    text += fmt::format("| {} | {} | {} | {} | {} |\n", text_of(leg, "leg"),
                        leg.value("requests", std::int64_t{0}),
                        grouped(leg.value("decode_steps", std::int64_t{0})), calls,
                        leg.at("questions").get<std::int64_t>());
  }
  return text;
}

std::string truth_table_text(const Json& analysis) {
  std::string text = "| condition | truth | grade | note |\n| --- | --- | --- | --- |\n";
  for (const Json& row : analysis.at("verdict").at("truth_table")) {
    text += fmt::format("| `{}` | {} | {} | {} |\n", cell(text_of(row, "text")),
                        text_of(row, "truth"), text_of(row, "grade"), text_of(row, "note"));
  }
  return text;
}

std::string reproduce(const Json& analysis) {
  const std::string now = text_of(folder(analysis, "candidate"), "name");
  const std::string command =
      stands_alone(analysis) ? fmt::format("nvllm bench verify {} --level 1", now)
                             : fmt::format("nvllm bench compare {} {} --rules SWEEP.toml --out DIR",
                                           text_of(folder(analysis, "baseline"), "name"), now);
  return fmt::format(
      "```\n{}\n```\n\nSweep file {}, its rules {}. Every figure above comes out of `analysis/`; "
      "running it again gives "
      "the same bytes.\n",
      command, text_of(analysis.at("verdict"), "sweep_hash"),
      text_of(analysis.at("verdict"), "prereg_hash"));
}

std::string joined(const Json& analysis, const std::vector<ReportSection>& sections) {
  std::string text = fmt::format("# {}\n", report_title(analysis));
  for (const ReportSection& one : sections)
    text += fmt::format("\n## {}\n\n{}", one.heading, one.body);
  return text;
}

void add_notes(const Json& analysis, std::vector<ReportSection>& sections) {
  if (analysis.contains("notes"))
    sections.push_back({"Human notes", notes_text(analysis.at("notes"))});
}

}  // namespace

std::string report_title(const Json& analysis) {
  const std::string name = text_of(analysis.at("comparability").at("sweep"), "name"),
                    now = text_of(folder(analysis, "candidate"), "name");
  if (stands_alone(analysis)) return fmt::format("{}: {}", name, now);
  return fmt::format("{}: {} against {}", name, now, text_of(folder(analysis, "baseline"), "name"));
}

std::vector<ReportSection> summary_sections(const Json& analysis) {
  std::vector<ReportSection> sections = {{"Verdict", verdict_text(analysis)}};
  if (!analysis.contains("gates")) {
    sections.push_back({"What differs", refusal(analysis)});
    sections.push_back({"Provenance", provenance_table(analysis)});
    add_notes(analysis, sections);
    return sections;
  }
  sections.push_back({"Provenance", fmt::format("{}\n**Deviations**\n\n{}\n**Files**\n\n{}",
                                                provenance_table(analysis),
                                                deviations_text(analysis), files_text(analysis))});
  sections.push_back({"Legs", legs_table(analysis)});
  sections.push_back({"Kernels", kernels_table(analysis, KernelRows::kMaterial) + "\n" +
                                     drift_text(analysis) + inventory_text(analysis)});
  sections.push_back({"Time per token", tokens_table(analysis) + "\n" + order_text(analysis)});
  sections.push_back({"GSM8K", answers_text(analysis) + "\n" + power_text(analysis)});
  sections.push_back({"Conclusion", gates_table(analysis) + "\n" + hypotheses_text(analysis) +
                                        "\n" + truth_table_text(analysis)});
  add_notes(analysis, sections);
  sections.push_back({"Reproduce", reproduce(analysis)});
  return sections;
}

std::string summary_markdown(const Json& analysis) {
  return joined(analysis, summary_sections(analysis));
}

std::string pr_markdown(const Json& analysis) {
  std::vector<ReportSection> sections = {{"Summary", verdict_text(analysis)}};
  if (!analysis.contains("gates")) {
    sections.push_back({"What differs", refusal(analysis)});
    add_notes(analysis, sections);
    sections.push_back({"Test plan", test_plan(analysis)});
    return joined(analysis, sections);
  }
  sections.push_back({"Kernels", kernels_table(analysis, KernelRows::kNamed) + "\n" +
                                     drift_text(analysis) + inventory_text(analysis)});
  sections.push_back({"Time per token", tokens_table(analysis) + "\n" + order_text(analysis)});
  sections.push_back({"GSM8K", answers_text(analysis) + "\n" + power_text(analysis)});
  sections.push_back({"Gates and bands", gates_table(analysis)});
  sections.push_back({"What would change the verdict", hypotheses_text(analysis)});
  sections.push_back({"Provenance", provenance_table(analysis) + "\n" + deviations_text(analysis)});
  sections.push_back({"Committed and ignored", files_text(analysis)});
  add_notes(analysis, sections);
  sections.push_back({"Test plan", test_plan(analysis)});
  sections.push_back({"Reproduce", reproduce(analysis)});
  return joined(analysis, sections);
}

}  // namespace nvllm::bench
