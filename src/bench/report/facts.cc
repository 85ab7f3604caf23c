#include "bench/report/facts.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/report/sections.h"

namespace nvllm::bench {

bool stands_alone(const Json& analysis) {
  return text_of(analysis.at("comparability").at("baseline"), "name").starts_with("no baseline");
}

std::string ms_text(double ms) {
  const double size = std::abs(ms);
  if (size >= 100) return fmt::format("{:.1f}", ms);
  return size >= 10 ? fmt::format("{:.2f}", ms) : fmt::format("{:.3f}", ms);
}

double margin_percent(const Json& analysis) {
  const Json& sweep = analysis.at("comparability").at("sweep");
  if (!sweep.contains("gates")) return 2;
  for (const auto& [name, gate] : sweep.at("gates").items()) {
    const std::string margin = text_of(gate, "margin");
    if (text_of(gate, "kind") == "equivalent" && !margin.empty()) return std::stod(margin);
  }
  return 2;
}

double number_or(const Json& object, const char* key, double otherwise) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_number() ? otherwise : found->get<double>();
}

}  // namespace nvllm::bench
