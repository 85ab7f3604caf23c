// The parts of a report about right answers.

#include <fmt/format.h>

#include "bench/report/facts.h"
#include "bench/report/sections.h"

namespace nvllm::bench {

namespace {

/// "questions 8 and 24", "question 11", or nothing.
std::string questions(const Json& list) {
  std::vector<std::string> words;
  for (const Json& one : list) words.push_back(fmt::format("{}", one.get<std::int64_t>()));
  if (words.empty()) return "";
  return (words.size() == 1 ? "question " : "questions ") + listed(words);
}

std::int64_t count(const Json& leg, const char* side, const char* field) {
  return leg.at(side).at(field).get<std::int64_t>();
}

std::string answers_row(const Json& leg) {
  const auto bounds = [&](const char* side) {
    const Json& found = leg.at(side).at("bounds");
    return found[0] == found[1] ? fmt::format("{:.0f} %", found[0].get<double>() * 100)
                                : fmt::format("{:.0f} to {:.0f} %", found[0].get<double>() * 100,
                                              found[1].get<double>() * 100);
  };
  return fmt::format(
      "| {} | {} to {} of {} | {} to {} | {}; {} | {:.2f} | {:+.1f} to {:+.1f} pt | {} |\n",
      text_of(leg, "leg"), count(leg, "baseline", "right"), count(leg, "candidate", "right"),
      count(leg, "candidate", "total"), count(leg, "baseline", "censored"),
      count(leg, "candidate", "censored"), bounds("baseline"), bounds("candidate"),
      leg.at("mcnemar_p").get<double>(), leg.at("change_ci90")[0].get<double>() * 100,
      leg.at("change_ci90")[1].get<double>() * 100, text_of(leg, "outcome"));
}

/// Where a question left its status, by name: the sentence that was once written by hand, and
/// wrong.
std::string transitions_line(const Json& leg) {
  std::string text = fmt::format("- **{}**: ", text_of(leg, "leg"));
  const std::string lost = questions(leg.at("lost")), gained = questions(leg.at("gained"));
  text += (lost.empty() ? "nothing lost" : lost + " lost") + ", " +
          (gained.empty() ? "nothing gained" : gained + " gained");
  if (const auto& both = leg.at("timed_out_both"); both.size() > 10) {
    text += fmt::format("; {} questions timed out in both folders", both.size());
  } else if (!both.empty()) {
    text += fmt::format("; {} timed out in both folders", questions(both));
  }
  for (const Json& one : leg.at("transitions")) {
    if (leg.at("transitions").size() > 10) break;
    text += fmt::format("; {}: {} to {}", one.at("question").get<std::int64_t>(),
                        text_of(one, "from"), text_of(one, "to"));
  }
  text += fmt::format(". Both finished: {} of {}", leg.at("both_finished").get<std::int64_t>(),
                      leg.at("states").size());
  if (const std::string by = text_of(leg, "identical_by"); !by.empty()) {
    text += fmt::format("; the same {}: {}", by, leg.at("identical").get<std::int64_t>());
  }
  const Json &before = leg.at("baseline").at("completion_tokens_mean"),
             &now = leg.at("candidate").at("completion_tokens_mean");
  if (before.is_number() && now.is_number()) {
    // A model that answers in other lengths is another model, however many answers are right.
    const double ratio = now.get<double>() / before.get<double>();
    text += fmt::format("; finished answers hold {:.0f} to {:.0f} tokens on average{}",
                        before.get<double>(), now.get<double>(),
                        ratio < 0.9 || ratio > 1.1 ? ", **beyond +-10 %**" : "");
  }
  text += ".";
  if (const std::string why = text_of(leg, "undecided_because"); !why.empty()) {
    text += fmt::format(" Accuracy INCONCLUSIVE: {}.", why);
  }
  return text + "\n";
}

/// A folder without a baseline: how many were right, and nothing about change.
std::string alone_text(const Json& legs) {
  if (legs.empty()) return "No questions were put.\n";
  std::string text =
      "| leg | right | cut off by the deadline | between | tokens of a finished answer, mean |\n"
      "| --- | --- | ---: | --- | ---: |\n";
  for (const Json& leg : legs) {
    const Json& side = leg.at("candidate");
    text +=
        fmt::format("| {} | {} of {} | {} | {:.0f} to {:.0f} % | {} |\n", text_of(leg, "leg"),
                    count(leg, "candidate", "right"), count(leg, "candidate", "total"),
                    count(leg, "candidate", "censored"), side.at("bounds")[0].get<double>() * 100,
                    side.at("bounds")[1].get<double>() * 100,
                    side.at("completion_tokens_mean").is_number()
                        ? fmt::format("{:.0f}", side.at("completion_tokens_mean").get<double>())
                        : "-");
  }
  return text + "\nNo baseline: nothing is said about change.\n";
}

}  // namespace

std::string answers_text(const Json& analysis) {
  const Json& legs = analysis.at("accuracy").at("legs");
  if (stands_alone(analysis)) return alone_text(legs);
  if (legs.empty()) return "No questions were put in both folders.\n";
  std::string text =
      "| leg | right | cut off by the deadline | between (before; now) | exact p | change, 90 % "
      "interval | accuracy |\n"
      "| --- | --- | --- | --- | ---: | --- | --- |\n";
  for (const Json& leg : legs) text += answers_row(leg);
  text += "\n";
  for (const Json& leg : legs) text += transitions_line(leg);
  return text;
}

std::string power_text(const Json& analysis) {
  const Json& legs = analysis.at("accuracy").at("legs");
  if (legs.empty()) return "";
  const Json& power = legs[0].at("power");
  const std::size_t n = legs[0].at("states").size();
  const double margin = power.at("noninferiority_margin").get<double>() * 100;
  std::string text = fmt::format("What {} questions can show: ", n);
  if (power.at("detectable_net_loss").is_number()) {
    text += fmt::format(
        "a net loss of {:.1f} points is found four times in five (1 % benign flips a side); ",
        power.at("detectable_net_loss").get<double>() * 100);
  }
  return text + fmt::format(
                    "a loss below {:g} points is shown with probability {:.2f} where nothing was "
                    "lost and 3 % flip; "
                    "without any "
                    "flip {} questions are needed for {:g} points.\n",
                    margin, power.at("noninferiority_power").get<double>(),
                    power.at("questions_without_loss").get<std::int64_t>(), margin);
}

}  // namespace nvllm::bench
