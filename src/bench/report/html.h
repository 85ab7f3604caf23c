#pragma once

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// report.html: the summary with its figures, in one file that loads nothing.
std::string report_html(const Json& analysis);

}  // namespace nvllm::bench
