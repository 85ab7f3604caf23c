// The parts of a report about the folders themselves: provenance, files, what was planned and done.

#include <fmt/format.h>

#include <set>

#include "bench/report/facts.h"
#include "bench/report/sections.h"
#include "bench/store/git_ignore.h"

namespace nvllm::bench {

namespace {

constexpr const char* kNotRecorded = "not recorded";

/// A metadata field over all legs and phases of a folder: one value, several, or kNotRecorded.
std::string over_legs(const Json& folder, const char* field) {
  std::set<std::string> values;
  for (const Json& leg : folder.at("legs")) {
    for (const char* phase : {"profile", "gsm8k"}) {
      const Json& metadata = leg.at(phase);
      if (metadata.is_object() && metadata.contains(field)) {
        const Json& value = metadata.at(field);
        values.insert(value.is_string() ? value.get<std::string>() : dump_json(value));
      }
    }
  }
  if (values.empty()) return kNotRecorded;
  std::string text;
  for (const std::string& value : values)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", value);
  return text;
}

/// First and last time that the metadata name.
std::string time_span(const Json& folder) {
  std::set<std::string> times;
  for (const Json& leg : folder.at("legs")) {
    for (const char* phase : {"profile", "gsm8k"}) {
      if (const std::string time =
              leg.at(phase).is_object() ? text_of(leg.at(phase), "timestamp_iso") : "";
          !time.empty()) {
        times.insert(time);
      }
    }
  }
  return times.empty() ? kNotRecorded : fmt::format("{} to {}", *times.begin(), *times.rbegin());
}

std::string least_memory(const Json& folder) {
  const Json& provenance = folder.at("provenance");
  if (!provenance.contains("mem_watchdog") ||
      !provenance.at("mem_watchdog").contains("available_gib_min"))
    return kNotRecorded;
  return fmt::format("{:.4g} GiB",
                     provenance.at("mem_watchdog").at("available_gib_min").get<double>());
}

std::string rounds_of(const Json& folder) {
  std::string text;
  for (const Json& leg : folder.at("legs")) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(leg, "leg"),
                        leg.at("rounds").get<std::int64_t>());
  }
  return text;
}

std::string patterns_text() {
  std::vector<std::string> words;
  for (const std::string_view pattern : kIgnoredPatterns)
    words.push_back(fmt::format("`{}`", pattern));
  return listed(words);
}

/// All of a few words; of many the first ones and how many more there are.
std::string some_of(std::vector<std::string> words) {
  constexpr std::size_t kMost = 6;
  if (words.size() <= kMost) return listed(words);
  const std::size_t more = words.size() - kMost;
  words.resize(kMost);
  words.push_back(fmt::format("{} more (comparability.json lists them)", more));
  return listed(words);
}

std::string box(bool ticked, const std::string& text) {
  return fmt::format("- [{}] {}\n", ticked ? "x" : " ", text);
}

}  // namespace

std::string provenance_table(const Json& analysis) {
  const Json& whole = analysis.at("comparability");
  const Json &before = whole.at("baseline"), &now = whole.at("candidate");
  const bool alone = stands_alone(analysis);
  std::string text =
      alone ? "| | this folder |\n| --- | --- |\n" : "| | before | now |\n| --- | --- | --- |\n";
  const auto row = [&](const char* name, const std::string& old_value,
                       const std::string& new_value) {
    text += alone ? fmt::format("| {} | {} |\n", name, cell(new_value))
                  : fmt::format("| {} | {} | {} |\n", name, cell(old_value), cell(new_value));
  };
  std::vector<std::string> unknown;
  row("folder", text_of(before, "name"), text_of(now, "name"));
  row("measured", time_span(before), time_span(now));
  for (const char* field :
       {"git_commit", "image_id", "model", "model_revision", "cudagraph_mode", "kv_cache_dtype",
        "attention_backend", "max_num_seqs", "max_model_len"}) {
    const std::string old_value = over_legs(before, field), new_value = over_legs(now, field);
    if (old_value == kNotRecorded && new_value == kNotRecorded) {
      unknown.push_back(field);
      continue;
    }
    row(field, old_value, new_value);
  }
  row("boots profiled", rounds_of(before), rounds_of(now));
  row("least memory available", least_memory(before), least_memory(now));
  const auto identity = [](const Json& folder) {
    return folder.at("identity").is_string() ? folder.at("identity").get<std::string>()
                                             : std::string("no manifest");
  };
  row("identity", identity(before), identity(now));
  if (!unknown.empty()) text += fmt::format("\nRecorded nowhere: {}.\n", listed(unknown));
  if (alone) return text;
  return text + fmt::format("\nSame host: {}. {}\n", text_of(whole, "same_host"),
                            text_of(whole, "host_note"));
}

std::string deviations_text(const Json& analysis) {
  std::string text;
  for (const auto& [side, name] :
       {std::pair("baseline", "before"), std::pair("candidate", "now")}) {
    const Json& found = analysis.at("comparability").at(side).at("deviations");
    // Beside itself a folder deviates twice in the same way.
    if (stands_alone(analysis) && std::string_view(side) == "candidate") continue;
    const std::string whose = stands_alone(analysis) ? "" : fmt::format("{}: ", name);
    for (const Json& one : found) text += fmt::format("- {}{}.\n", whose, one.get<std::string>());
    for (const Json& one : analysis.at("comparability").at(side).at("notes")) {
      text += fmt::format("- {}met while reading: {}.\n", whose, one.get<std::string>());
    }
  }
  for (const Json& one : analysis.at("comparability").at("changed")) {
    const std::string field = text_of(one, "field");
    if (!field.starts_with("legs/")) continue;
    text += fmt::format("- {}: {} before, {} now, left out.\n", field, text_of(one, "baseline"),
                        text_of(one, "candidate"));
  }
  return text.empty() ? "None found.\n" : text;
}

std::string files_text(const Json& analysis) {
  std::string text;
  for (const auto& [side, name] :
       {std::pair("baseline", "before"), std::pair("candidate", "now")}) {
    if (stands_alone(analysis) && std::string_view(side) == "baseline") continue;
    const Json& folder = analysis.at("comparability").at(side);
    std::vector<std::string> ignored;
    std::int64_t committed = 0, bytes = 0;
    for (const Json& file : folder.at("files")) {
      if (is_git_ignored(text_of(file, "name"))) {
        ignored.push_back(fmt::format("`{}`", text_of(file, "name")));
        continue;
      }
      ++committed;
      bytes += file.at("bytes").get<std::int64_t>();
    }
    text +=
        fmt::format("- {} (`{}`): {} files for git, {} bytes; files here that git ignores: {}.\n",
                    name, text_of(folder, "name"), committed, grouped(bytes), some_of(ignored));
  }
  text += fmt::format("- Git ignores the raw files: {}. ", patterns_text());
  const bool sealed = analysis.at("comparability").at("candidate").at("identity").is_string();
  text += sealed ? "Their digests are in the candidate's MANIFEST.ignored.sha256.\n"
                 : "The candidate has no manifest, so nothing proves which raw trace its tables "
                   "came from.\n";
  return text;
}

std::string test_plan(const Json& analysis) {
  std::string text;
  text +=
      box(analysis.at("comparability").at("comparable").get<bool>(), "the folders can be compared");
  for (const Json& leg : analysis.at("comparability").at("candidate").at("legs")) {
    const auto rounds = leg.at("rounds").get<std::int64_t>(),
               questions = leg.at("questions").get<std::int64_t>();
    text += box(rounds > 0, fmt::format("{}: profiled in {} boot{}", text_of(leg, "leg"), rounds,
                                        rounds == 1 ? "" : "s"));
    text += box(questions > 0, fmt::format("{}: {} questions put", text_of(leg, "leg"), questions));
  }
  if (!analysis.contains("gates")) return text;
  for (const Json& gate : analysis.at("gates").at("gates")) {
    text += box(gate.at("truth") == "true",
                fmt::format("gate {}{}: {}", text_of(gate, "name"),
                            gate.at("required").get<bool>() ? " (required)" : "",
                            text_of(gate, "outcome")));
  }
  const Json& verdict = analysis.at("verdict");
  const bool post_hoc = verdict.value("post_hoc", true);
  text += box(!post_hoc,
              fmt::format("rules registered before the measurement{}{}",
                          post_hoc ? ": post-hoc, " : ": ", text_of(verdict, "post_hoc_reason")));
  text +=
      box(verdict.at("outcome") == "CONFIRMED",
          fmt::format("verdict confirmed by rounds of its own: {}", text_of(verdict, "outcome")));
  return text;
}

}  // namespace nvllm::bench
