#pragma once

// Reports are pure functions of the analysis files: no figure is typed, and running twice gives the
// same bytes.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// Every file that a comparison may leave below analysis/: "analysis/verdict.json" and so on.
std::vector<std::string> analysis_files();

/// Reads analysis/*.json of a folder that `compare` wrote.
///   Errors: Error(kNotFound), Error(kBadFile) naming the file.
Json read_analysis(const std::filesystem::path& folder);

/// A report: "summary" and "pr" are Markdown, "html" is one file without any link to elsewhere,
/// "junit" is XML and "github" lines for GitHub's runner.
///   Errors: Error(kUsage) for another format; Error(kBadFile) for analysis files that lack a
///   field.
std::string render_report(const Json& analysis, std::string_view format);

/// The files that `compare` leaves beside the analysis: summary.md, report.html and junit.xml.
std::map<std::string, std::string> render_reports(const Json& analysis);

/// A few lines for the terminal: verdict, gates, flip distances.
std::string terminal_report(const Json& analysis);

}  // namespace nvllm::bench
