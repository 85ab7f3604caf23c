#include "bench/report/report.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "bench/report/html.h"
#include "bench/report/machine.h"
#include "bench/report/markdown.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64 << 20;
constexpr const char* kFiles[] = {"comparability", "kernels_ab", "aggregate", "accuracy",
                                  "order",         "call_law",   "answers",   "run",
                                  "gates",         "verdict"};

}  // namespace

std::vector<std::string> analysis_files() {
  std::vector<std::string> files = {"analysis/kernels_ab.csv"};
  for (const char* name : kFiles) files.push_back(fmt::format("analysis/{}.json", name));
  return files;
}

Json read_analysis(const fs::path& folder) {
  Json analysis = Json::object();
  for (const char* name : kFiles) {
    const fs::path path = folder / "analysis" / fmt::format("{}.json", name);
    if (!fs::exists(path)) continue;  // a comparison that was refused has no more than two
    analysis[name] = parse_json(read_file(path, kFileBytesMax), path.string(),
                                {.depth_max = 32, .nodes_max = 5'000'000});
  }
  if (!analysis.contains("verdict") || !analysis.contains("comparability")) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: no analysis/verdict.json and comparability.json, wanted what "
                            "`bench compare` wrote to --out",
                            folder.string()));
  }
  return analysis;
}

std::string render_report(const Json& analysis, std::string_view format) {
  try {
    if (format == "summary") return summary_markdown(analysis);
    if (format == "pr") return pr_markdown(analysis);
    if (format == "html") return report_html(analysis);
    if (format == "junit") return junit_xml(analysis);
    if (format == "github") return github_annotations(analysis);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("the analysis files lack something: {}", error.what()));
  }
  throw Error(
      ErrorKind::kUsage,
      fmt::format("no report format '{}', wanted summary, pr, html, junit or github", format));
}

std::map<std::string, std::string> render_reports(const Json& analysis) {
  return {{"summary.md", render_report(analysis, "summary")},
          {"report.html", render_report(analysis, "html")},
          {"junit.xml", render_report(analysis, "junit")}};
}

std::string terminal_report(const Json& analysis) {
  const Json& verdict = analysis.at("verdict");
  std::string text = fmt::format("verdict: {} ({}){}\n", verdict.at("id").get<std::string>(),
                                 verdict.at("outcome").get<std::string>(),
                                 verdict.value("post_hoc", false) ? ", post-hoc" : "");
  if (const auto say = verdict.at("text").get<std::string>(); !say.empty())
    text += fmt::format("  {}\n", say);
  if (!analysis.contains("gates")) return text;
  for (const Json& gate : analysis.at("gates").at("gates")) {
    text += fmt::format("gate {:<10} {:<20} {}\n", gate.at("name").get<std::string>(),
                        gate.at("outcome").get<std::string>(),
                        gate.at("required").get<bool>() ? "required" : "");
  }
  return text;
}

}  // namespace nvllm::bench
