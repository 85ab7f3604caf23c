#include <fmt/format.h>

#include "bench/report/facts.h"
#include "bench/report/markdown_html.h"
#include "bench/report/panels.h"
#include "bench/report/question_words.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

std::string cell_html(const Json& one, std::size_t leg, bool alone) {
  const StatusLook before = look_of(text_of(one.at("baseline"), "status")),
                   now = look_of(text_of(one.at("candidate"), "status"));
  const auto number = one.at("question").get<std::int64_t>();
  const std::string title =
      fmt::format("question {}: {}", number, words_of(one, alone ? Sides::kOne : Sides::kBoth));
  // Without its text there is nothing to lead to.
  const std::string place =
      one.contains("asked") ? fmt::format(" href=\"#q{}-{}\"", leg, number) : "";
  std::string halves = alone ? "" : fmt::format("<i class=\"{}\">{}</i>", before.kind, before.sign);
  halves += fmt::format("<i class=\"{}\">{}</i>", now.kind, now.sign);
  return fmt::format("<a{} class=\"q{}{}\" title=\"{}\">{}</a>", place,
                     is_flipped(one) ? " flip" : "", is_other(one) ? " other" : "", title, halves);
}

std::string legend(bool alone) {
  std::string html = "<p class=\"legend\">";
  for (const char* status : {"ok", "wrong", "timeout", "no_answer"}) {
    const StatusLook look = look_of(status);
    html += fmt::format("<span><b class=\"q\"><i class=\"{}\">{}</i></b> {}</span> ", look.kind,
                        look.sign, look.word);
  }
  if (!alone) {
    html +=
        "<span><b class=\"q flip\"><i class=\"ok\"></i><i class=\"wr\">x</i></b> changed (above "
        "before, below now)</span> "
        "<span><b class=\"q other\"><i class=\"ok\"></i><i class=\"ok\"></i></b> other "
        "words</span>";
  }
  return html + "</p>\n";
}

}  // namespace

std::string questions_panel(const Json& analysis) {
  const Json& answers = analysis.at("answers");
  const Json& legs = answers.at("legs");
  if (legs.empty()) return "";
  const bool alone = stands_alone(analysis);
  std::string html;
  for (std::size_t leg = 0; leg < legs.size(); ++leg) {
    html +=
        fmt::format("<div class=\"questions\"><span class=\"label\">{}</span><div class=\"cells\">",
                    escape_html(text_of(legs[leg], "leg")));
    for (const Json& one : legs[leg].at("questions")) html += cell_html(one, leg, alone);
    html += "</div></div>\n";
  }
  return "<figure>\n" + html + legend(alone) +
         "<figcaption>Every question of every leg; a mark leads to its "
         "answers.</figcaption></figure>\n";
}

}  // namespace nvllm::bench
