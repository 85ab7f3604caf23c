#include "bench/sweep/schema.h"

#include <fmt/format.h>

#include "bench/sweep/sweep.h"

namespace nvllm::bench {

namespace {

const SchemaKey kRequired = {"required", "true: the exit code depends on it"};
const SchemaKey kLegs = {"legs", "leg names; all where absent"};
const SchemaKey kScope = {"scope", "\"material\""};
const SchemaKey kVs = {"vs", "\"baseline\""};

}  // namespace

const std::vector<SchemaSection>& sweep_schema() {
  static const std::vector<SchemaSection> kSchema = {
      {"",
       {{"schema", "\"nvllm.sweep/v1\""},
        {"name", "of the sweep"},
        {"claim", "the sentence on trial"},
        {"legs", "tables"},
        {"server", "table"},
        {"model", "table"},
        {"schedule", "table"},
        {"profile", "table"},
        {"gsm8k", "table"},
        {"noise", "table"},
        {"comparability", "table"},
        {"baseline", "table"},
        {"gates", "tables"},
        {"hypotheses", "tables"},
        {"verdict", "array of tables; the first rule that is true is the verdict"}}},
      {"server",
       {{"kind", "nvllm, vllm, sglang, llama.cpp, external"},
        {"command", "texts; ${port}, ${model.path}, ${model.id} and ${traces} are filled in"},
        {"url", "of an external server, or the fixed one of a server that is started"},
        {"traces", "folder where the server writes torch traces"},
        {"ready", "table"},
        {"stop", "table"}}},
      {"server.ready", {{"url", "path that answers when ready"}, {"timeout_s", "seconds"}, {"poll_s", "seconds"}}},
      {"server.stop", {{"signal", "TERM, INT"}, {"grace_s", "seconds"}, {"then", "KILL"}}},
      {"model", {{"id", "name"}, {"path", "folder"}, {"revision", "40 hexadecimal digits"}}},
      {"legs.NAME",
       {{"env", "table of texts"},
        {"command", "texts, in place of the server's"},
        {"arguments", "texts, behind the command"},
        {"url", "in place of the server's"},
        {"expect_kernels", "calls per decode step by kernel"},
        {"repeats_may_differ", "true: one prompt may bring other tokens each time (a planted fault)"}}},
      {"schedule",
       {{"rounds", "table"},
        {"order", "williams, sequential"},
        {"seed", "whole number"},
        {"max_rounds", "whole number"},
        {"power", "0.8: the chance with which plan wants to find what is there"},
        {"on_failure", "continue, stop: after a unit that failed"}}},
      {"schedule.rounds", {{"profile", "server boots"}, {"gsm8k", "server boots"}}},
      {"profile",
       {{"method", "auto, in-process, inject, torch, nsys"},
        {"library", "to inject; libnvllm_profile.so beside nvllm where absent"},
        {"warmup_tokens", "whole number"},
        {"bursts", "array of tables"},
        {"deadline_s", "seconds, of one request"},
        {"prompt_file", "path"},
        {"ignore_eos", "true or false"},
        {"overhead_probe", "true or false"},
        {"anchors", "kernels whose code did not change"}}},
      {"profile.bursts", {{"requests", "whole number"}, {"max_tokens", "whole number from 2"}}},
      {"gsm8k",
       {{"dataset", "table"},
        {"n", "questions"},
        {"seed", "whole number"},
        {"rng", "python-random-sample, first"},
        {"endpoint", "path"},
        {"prompt", "reference, demo, chat: what stands around a question"},
        {"max_tokens", "whole number"},
        {"deadline_s", "seconds"},
        {"on_deadline", "censor"},
        {"score", "strict, first_marker, flexible, legacy"},
        {"futility", "table"},
        {"teacher_forced", "true or false"}}},
      {"gsm8k.dataset", {{"path", "file"}, {"sha256", "of the file"}}},
      {"gsm8k.futility", {{"after", "questions"}, {"censored_share", "0 to 1"}}},
      {"noise",
       {{"kind", "\"borrowed\""},
        {"boot_sigma", "\"0.1%\", of one boot's log time"},
        {"source", "where it was measured"}}},
      {"comparability",
       {{"must_match", "metadata fields"},
        {"material", "\"0.1%\" of leg time"},
        {"censored_max", "\"2%\" of answers"}}},
      {"baseline", {{"path", "folder"}}},
      {"gates.NAME identity", {{"kind", "calls of material kernels are identical"}, kRequired, kLegs, kScope}},
      {"gates.NAME equivalent",
       {{"kind", "times of material kernels within the margin"}, kRequired, kLegs, kScope,
        {"vs", "\"baseline\", or a leg of the same folder"}, {"margin", "\"2%\""}}},
      {"gates.NAME noninferior",
       {{"kind", "fewer lost answers than the margin"}, kRequired, kLegs, kVs, {"margin", "\"4pt\""}}},
      {"gates.NAME count_within",
       {{"kind", "right answers differ by k at most"}, kRequired, kLegs, kVs, {"k", "whole number"}}},
      {"gates.NAME count_at_least",
       {{"kind", "so many right answers"},
        kRequired,
        kLegs,
        {"right", "whole number"},
        {"censored", "unknown, as-wrong"}}},
      {"gates.NAME order",
       {{"kind", "legs in this order, in both folders"},
        kRequired,
        kLegs,
        {"metric", "ms_per_token.named, .kernels or .wall"},
        {"expect", "\"LEG < LEG ~ LEG\""},
        {"tie_margin", "\"2%\""}}},
      {"gates.NAME closure",
       {{"kind", "kernel time is this share of wall time"}, kRequired, kLegs, {"lo", "\"95%\""}, {"hi", "\"101%\""}}},
      {"hypotheses.NAME",
       {{"expr", "a comparison"}, {"alpha", "0.05"}, {"effect", "\"3%\": what plan wants to find"}}},
      {"verdict",
       {{"id", "name"},
        {"when", "of hypotheses and gates"},
        {"say", "sentence with {H1.est}, {H1.ci}, {flip(H1)}, {need(H1)}"}}},
  };
  return kSchema;
}

std::string schema_text() {
  std::string text = fmt::format("{} (TOML)\n", kSweepSchema);
  for (const SchemaSection& section : sweep_schema()) {
    text += section.name.empty() ? "\n" : fmt::format("\n[{}]\n", section.name);
    for (const SchemaKey& key : section.keys) text += fmt::format("  {:<16} {}\n", key.key, key.meaning);
  }
  return text;
}

}  // namespace nvllm::bench
