#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// One part of a report.
struct ReportSection {
  std::string heading, body;  ///< Markdown
};

/// What the report is about: "three-leg: today against yesterday".
std::string report_title(const Json& analysis);

/// The parts of summary.md.
std::vector<ReportSection> summary_sections(const Json& analysis);

/// summary.md: verdict, provenance, legs, kernels, time per token, GSM8K, conclusion, reproduce.
std::string summary_markdown(const Json& analysis);

/// The same evidence as the text of a pull request: the rows that the sweep names, the gates and
/// bands, what is committed, and the plan with its boxes.
std::string pr_markdown(const Json& analysis);

}  // namespace nvllm::bench
