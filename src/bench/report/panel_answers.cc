#include <fmt/format.h>

#include <array>

#include "bench/report/facts.h"
#include "bench/report/markdown_html.h"
#include "bench/report/panels.h"
#include "bench/report/question_words.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

std::string side_html(const char* name, const Json& side) {
  const std::string output = text_of(side, "output");
  return fmt::format("<div><p>{}: {}, read as \"{}\", {} tokens, {:.1f} s</p><pre>{}</pre></div>\n",
                     name, look_of(text_of(side, "status")).word,
                     escape_html(text_of(side, "read_as")), side.at("tokens").get<std::int64_t>(),
                     side.at("wall_s").get<double>(),
                     output.empty() ? "(no text kept)" : escape_html(output));
}

std::string answer_html(const Json& one, const std::string& leg_name, std::size_t leg, bool alone) {
  const auto number = one.at("question").get<std::int64_t>();
  std::string html =
      fmt::format("<details><summary>{}, question {}: {}</summary>\n<div id=\"q{}-{}\">\n",
                  escape_html(leg_name), number, words_of(one, alone ? Sides::kOne : Sides::kBoth),
                  leg, number);
  const std::string asked = text_of(one, "asked");
  html += fmt::format("<p>Wanted: {}</p>\n<pre>{}</pre>\n<div class=\"pair\">\n",
                      escape_html(text_of(one, "wanted")),
                      asked.empty() ? "(the question's text was not kept)" : escape_html(asked));
  const bool once = alone || (one.at("same") == true && !is_flipped(one) &&
                              one.at("baseline").at("output") == one.at("candidate").at("output"));
  if (!once) html += side_html("before", one.at("baseline"));
  html += side_html(alone ? "answer" : once ? "the same in both" : "now", one.at("candidate"));
  return html + "</div>\n</div></details>\n";
}

/// What is read first: what changed (alone: what is not right), then other words, then the rest.
enum Group : std::size_t { kTelling, kOtherWords, kRest, kGroups };

Group group_of(const Json& one, bool alone) {
  if (alone) return text_of(one.at("candidate"), "status") != "ok" ? kTelling : kRest;
  return is_flipped(one) ? kTelling : is_other(one) ? kOtherWords : kRest;
}

std::string folded(std::size_t count, const char* what, const std::string& html) {
  if (count == 0) return "";
  return fmt::format("<details><summary>{} {}</summary>\n{}</details>\n", count, what, html);
}

}  // namespace

std::string answers_panel(const Json& analysis) {
  const Json& answers = analysis.at("answers");
  const Json& legs = answers.at("legs");
  if (legs.empty()) return "";
  const bool alone = stands_alone(analysis);
  std::array<std::string, kGroups> html;
  std::array<std::size_t, kGroups> count{};
  for (std::size_t leg = 0; leg < legs.size(); ++leg) {
    for (const Json& one : legs[leg].at("questions")) {
      if (!one.contains("asked")) continue;
      const Group group = group_of(one, alone);
      html[group] += answer_html(one, text_of(legs[leg], "leg"), leg, alone);
      ++count[group];
    }
  }
  std::string text = "<div class=\"answers\">\n<h3>Answers in words</h3>\n" + html[kTelling];
  text +=
      folded(count[kOtherWords], "answers in other words to the same effect", html[kOtherWords]);
  text += folded(count[kRest], alone ? "right answers" : "answers the same, or not known to differ",
                 html[kRest]);
  if (const auto left_out = answers.at("left_out").get<std::int64_t>(); left_out > 0) {
    text += fmt::format(
        "<p>{} answers are not shown: their folder keeps no text, or there was no room left.</p>\n",
        left_out);
  }
  return text + "</div>\n";
}

}  // namespace nvllm::bench
