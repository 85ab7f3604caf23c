#include "bench/report/machine.h"

#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "bench/report/markdown.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

enum class Result { kPassed, kFailed, kSkipped };

/// One gate, or the verdict.
struct Case {
  std::string group, name, outcome, seen;
  Result result = Result::kSkipped;
};

std::string seen_by(const Json& gate) {
  std::string seen;
  for (const Json& line : gate.at("lines")) {
    const std::string leg = text_of(line, "leg");
    seen += fmt::format("{}{}{}{}", seen.empty() ? "" : "\n", leg, leg.empty() ? "" : ": ",
                        text_of(line, "text"));
  }
  return seen.empty() ? text_of(gate, "because") : seen;
}

Case gate_case(const Json& gate) {
  Case one{.group = "gate",
           .name = text_of(gate, "name"),
           .outcome = text_of(gate, "outcome"),
           .seen = seen_by(gate)};
  const bool required = gate.at("required").get<bool>();
  if (gate.at("truth") == "true") one.result = Result::kPassed;
  if (gate.at("truth") == "false" && required) one.result = Result::kFailed;
  if (!required) one.outcome += ", not required";
  return one;
}

Case verdict_case(const Json& verdict) {
  Case one{.group = "verdict",
           .name = text_of(verdict, "id"),
           .outcome = text_of(verdict, "outcome"),
           .seen = text_of(verdict, "text")};
  if (one.outcome == "CONFIRMED") one.result = Result::kPassed;
  if (one.outcome == "NOT_COMPARABLE") one.result = Result::kFailed;
  if (verdict.value("post_hoc", false)) one.outcome += ", post-hoc";
  return one;
}

std::vector<Case> cases_of(const Json& analysis) {
  std::vector<Case> cases = {verdict_case(analysis.at("verdict"))};
  if (!analysis.contains("gates")) return cases;
  for (const Json& gate : analysis.at("gates").at("gates")) cases.push_back(gate_case(gate));
  return cases;
}

/// A text in XML 1.0, which knows no control characters beside tab and line end.
std::string xml(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return safe;
}

/// A text in a workflow command; a property ends at a comma or a colon too.
enum class Place { kMessage, kProperty };
std::string command_text(const std::string& text, Place place) {
  std::string safe;
  for (const char c : text) {
    const bool special =
        c == '%' || c == '\r' || c == '\n' || (place == Place::kProperty && (c == ':' || c == ','));
    safe += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return safe;
}

std::string case_xml(const std::string& suite, const Case& one) {
  std::string text = fmt::format("    <testcase classname=\"{}.{}\" name=\"{}\" time=\"0\">\n",
                                 xml(suite), one.group, xml(one.name));
  if (one.result == Result::kFailed) {
    text += fmt::format("      <failure message=\"{}\">{}</failure>\n", xml(one.outcome),
                        xml(one.seen));
  } else if (one.result == Result::kSkipped) {
    text += fmt::format("      <skipped message=\"{}\"/>\n",
                        xml(one.outcome + (one.seen.empty() ? "" : ": " + one.seen)));
  } else {
    text += fmt::format("      <system-out>{}{}{}</system-out>\n", xml(one.outcome),
                        one.seen.empty() ? "" : ": ", xml(one.seen));
  }
  return text + "    </testcase>\n";
}

}  // namespace

std::string junit_xml(const Json& analysis) {
  const std::vector<Case> cases = cases_of(analysis);
  std::int64_t failures = 0, skipped = 0;
  for (const Case& one : cases) {
    failures += one.result == Result::kFailed;
    skipped += one.result == Result::kSkipped;
  }
  const std::string suite = text_of(analysis.at("comparability").at("sweep"), "name");
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"0\"",
                  cases.size(), failures, skipped);
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" {}>\n  <testsuite "
      "name=\"{}\" {}>\n",
      xml(report_title(analysis)), counts, xml(suite), counts);
  for (const Case& one : cases) text += case_xml(suite, one);
  return text + "  </testsuite>\n</testsuites>\n";
}

std::string github_annotations(const Json& analysis) {
  std::string text;
  for (const Case& one : cases_of(analysis)) {
    const char* level = one.result == Result::kFailed    ? "error"
                        : one.result == Result::kSkipped ? "warning"
                                                         : "notice";
    text += fmt::format(
        "::{} title={}::{}\n", level,
        command_text(fmt::format("{} {}", one.group, one.name), Place::kProperty),
        command_text(one.outcome + (one.seen.empty() ? "" : ": " + one.seen), Place::kMessage));
  }
  return text;
}

}  // namespace nvllm::bench
