#include "bench/sweep/run_sections.h"

#include <fmt/format.h>

namespace nvllm::bench {

namespace {

constexpr std::int64_t kCountMax = 1'000'000;
constexpr double kSecondsMax = 7 * 86'400;

void check_server(Section section) {
  section.choice("kind", {"nvllm", "vllm", "sglang", "llama.cpp", "external"});
  section.texts("command");
  section.text("url");
  section.text("traces");
  if (auto ready = section.table("ready")) {
    ready->text("url");
    ready->number("timeout_s", 1, kSecondsMax);
    ready->number("poll_s", 0.01, 3600);
    ready->refuse_unknown();
  }
  if (auto stop = section.table("stop")) {
    stop->choice("signal", {"TERM", "INT"});
    stop->number("grace_s", 0, 3600);
    stop->choice("then", {"KILL"});
    stop->refuse_unknown();
  }
  section.refuse_unknown();
}

void check_model(Section section) {
  section.text("id");
  section.text("path");
  if (const auto revision = section.text("revision")) {
    if (revision->size() != 40 || revision->find_first_not_of("0123456789abcdef") != std::string::npos) {
      section.refuse("revision", fmt::format("is \"{}\", wanted 40 lower-case hexadecimal digits", *revision));
    }
  }
  section.refuse_unknown();
}

void check_schedule(Section section) {
  const auto max_rounds = section.integer("max_rounds", 1, 1000);
  if (auto rounds = section.table("rounds")) {
    for (const char* phase : {"profile", "gsm8k"}) {
      const auto count = rounds->integer(phase, 0, 1000);
      if (count && max_rounds && *count > *max_rounds) {
        rounds->refuse(phase, fmt::format("is {}, more than max_rounds = {}", *count, *max_rounds));
      }
    }
    rounds->refuse_unknown();
  }
  section.choice("order", {"williams", "sequential"});
  section.number("power", 0.5, 0.999);
  section.integer("seed", 0, INT64_MAX);
  section.choice("on_failure", {"continue", "stop"});
  section.refuse_unknown();
}

void check_bursts(Section& section) {
  const Node* bursts = section.find("bursts");
  if (bursts == nullptr) return;
  if (bursts->kind != NodeKind::kArray) section.refuse("bursts", "is no array, wanted an array of tables");
  for (const Node& item : bursts->items) {
    Section burst(item, "profile.bursts", section.what());
    if (!burst.integer("requests", 1, kCountMax)) burst.refuse("requests", "is missing, wanted a whole number");
    // One token comes from the prefill: two are the fewest that decode at all.
    if (!burst.integer("max_tokens", 2, kCountMax)) burst.refuse("max_tokens", "is missing, wanted a whole number");
    burst.refuse_unknown();
  }
}

void check_profile(Section section) {
  section.choice("method", {"auto", "in-process", "inject", "torch", "nsys"});
  section.text("library");
  section.integer("warmup_tokens", 0, INT64_MAX);
  check_bursts(section);
  section.number("deadline_s", 0.001, kSecondsMax);
  section.text("prompt_file");
  section.truth("ignore_eos");
  section.truth("overhead_probe");
  section.texts("anchors");
  section.refuse_unknown();
}

void check_gsm8k(Section section) {
  if (auto dataset = section.table("dataset")) {
    dataset->text("path");
    dataset->text("sha256");
    dataset->refuse_unknown();
  }
  section.integer("n", 1, kCountMax);
  section.integer("seed", 0, INT64_MAX);
  section.choice("rng", {"python-random-sample", "first"});
  section.text("endpoint");
  section.choice("prompt", {"reference", "demo", "chat"});
  section.integer("max_tokens", 1, kCountMax);
  section.number("deadline_s", 0.001, kSecondsMax);
  section.choice("on_deadline", {"censor"});
  section.choice("score", {"strict", "first_marker", "flexible", "legacy"});
  if (auto futility = section.table("futility")) {
    futility->integer("after", 1, kCountMax);
    futility->number("censored_share", 0, 1);
    futility->refuse_unknown();
  }
  section.truth("teacher_forced");
  section.refuse_unknown();
}

}  // namespace

void check_run_sections(Section& file) {
  if (const auto section = file.table("server")) check_server(*section);
  if (const auto section = file.table("model")) check_model(*section);
  if (const auto section = file.table("schedule")) check_schedule(*section);
  if (const auto section = file.table("profile")) check_profile(*section);
  if (const auto section = file.table("gsm8k")) check_gsm8k(*section);
}

}  // namespace nvllm::bench
