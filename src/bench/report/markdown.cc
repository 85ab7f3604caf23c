#include "bench/report/markdown.h"

#include <fmt/format.h>

namespace nvllm::bench {

std::string summary_markdown(const Json& analysis) {
  const Json& verdict = analysis.at("verdict");
  return fmt::format("# {}\n\n{}\n", verdict.at("id").get<std::string>(), verdict.at("text").get<std::string>());
}

}  // namespace nvllm::bench
