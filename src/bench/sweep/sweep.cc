#include "bench/sweep/sweep.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "base/files.h"
#include "bench/store/canonical_json.h"
#include "bench/sweep/gates.h"
#include "bench/sweep/run_sections.h"
#include "bench/sweep/section.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kSweepBytesMax = 1 << 20;

/// What two folders have to share unless the sweep says otherwise.
const std::vector<std::string> kMustMatch = {"model",          "model_revision",    "cudagraph_mode",
                                             "max_num_seqs",   "max_model_len",     "max_num_batched_tokens",
                                             "kv_cache_dtype", "attention_backend", "env"};

/// Errors of the rules language become errors of the file and line.
template <class Act>
auto with_place(const Section& section, std::string_view key, const Act& act) {
  try {
    return act();
  } catch (const Error& error) {
    section.refuse(key, error.what());
  }
}

SweepLeg read_leg(const std::string& name, Section section) {
  SweepLeg leg;
  leg.name = name;
  if (const auto env = section.table("env")) {
    for (const auto& [key, value] : env->node().members) {
      if (value.kind != NodeKind::kText) env->refuse(key, fmt::format("is {}, wanted a text", describe(value.kind)));
      leg.env[key] = value.text;
    }
  }
  leg.command = section.texts("command").value_or(std::vector<std::string>{});
  leg.url = section.text("url").value_or("");
  leg.arguments = section.texts("arguments").value_or(std::vector<std::string>{});
  if (auto expect = section.table("expect_kernels")) {
    for (const auto& [key, value] : expect->node().members) {
      leg.expect_kernels.emplace_back(key, *expect->integer(key, 0, 1'000'000));
    }
  }
  leg.repeats_may_differ = section.truth("repeats_may_differ").value_or(false);
  section.refuse_unknown();
  return leg;
}

void read_noise(Section section, Sweep& sweep) {
  BorrowedNoise noise;
  const auto sigma = section.share("boot_sigma", "%", 0, 1);
  if (!sigma) section.refuse("boot_sigma", "is missing, wanted a share such as \"0.1%\"");
  noise.boot_sigma = *sigma;
  if (section.required_text("kind") != "borrowed") {
    section.refuse("kind", "is not \"borrowed\": noise of the folder's own rounds is computed, not typed");
  }
  noise.source = section.required_text("source");
  section.refuse_unknown();
  sweep.noise = noise;
}

void read_comparability(Section section, Sweep& sweep) {
  if (const auto fields = section.texts("must_match")) sweep.must_match = *fields;
  sweep.material = section.share("material", "%", 0, 1).value_or(sweep.material);
  sweep.censored_max = section.share("censored_max", "%", 0, 1).value_or(sweep.censored_max);
  section.refuse_unknown();
}

SweepHypothesis read_hypothesis(const std::string& name, Section section) {
  SweepHypothesis hypothesis;
  hypothesis.name = name;
  hypothesis.place = section.node().place;
  const std::string text = section.required_text("expr");
  hypothesis.rule = with_place(section, "expr", [&] { return parse_rule(text); });
  hypothesis.alpha = section.number("alpha", 1e-6, 0.2).value_or(0.05);
  hypothesis.effect = section.share("effect", "%", 0.0001, 1);
  section.refuse_unknown();
  return hypothesis;
}

VerdictRule read_verdict_rule(Section section) {
  VerdictRule rule;
  rule.id = section.required_text("id");
  const std::string when = section.required_text("when");
  rule.when = with_place(section, "when", [&] { return parse_rule(when); });
  rule.say = section.text("say").value_or("");
  section.refuse_unknown();
  return rule;
}

/// All [[verdict]] tables, checked against the hypotheses and gates there are.
void read_verdict(Section& file, Sweep& sweep) {
  const Node* list = file.find("verdict");
  if (list == nullptr || list->kind != NodeKind::kArray || list->items.empty()) {
    file.refuse("verdict", "is missing, wanted at least one [[verdict]] table");
  }
  std::vector<std::string> hypotheses, gates;
  for (const SweepHypothesis& one : sweep.hypotheses) hypotheses.push_back(one.name);
  for (const Gate& one : sweep.gates) gates.push_back(one.name);
  std::set<std::string> ids;
  for (const Node& item : list->items) {
    const Section section(item, "verdict", sweep.what);
    sweep.verdict.push_back(read_verdict_rule(section));
    if (!ids.insert(sweep.verdict.back().id).second) section.refuse("id", "is that of an earlier rule");
    with_place(section, "when", [&] { check_verdict_rules({sweep.verdict.back()}, hypotheses, gates); });
  }
}

/// Calls `read(name, section)` for every table in a table of tables.
template <class Read>
void for_each_table(Section& file, const char* key, const Read& read) {
  const auto section = file.table(key);
  if (!section) return;
  for (const auto& [name, member] : section->node().members) {
    read(name, Section(member, fmt::format("{}.{}", key, name), file.what()));
  }
}

std::string rules_hash(const Json& canonical) {
  Json rules = Json::object();
  for (const char* key : {"hypotheses", "verdict", "gates", "noise", "comparability"}) {
    if (canonical.contains(key)) rules[key] = canonical.at(key);
  }
  return canonical_hash(rules);
}

}  // namespace

Sweep parse_sweep(std::string_view text, const std::string& what) {
  const Node root = parse_toml(text, what);
  Section file(root, "", what);
  Sweep sweep;
  sweep.what = what;
  sweep.must_match = kMustMatch;
  if (const std::string schema = file.required_text("schema"); schema != kSweepSchema) {
    file.refuse("schema", fmt::format("is \"{}\", wanted \"{}\"", schema, kSweepSchema));
  }
  sweep.name = file.required_text("name");
  sweep.claim = file.required_text("claim");
  for_each_table(file, "legs", [&](const std::string& name, const Section& section) {
    sweep.legs.push_back(read_leg(name, section));
  });
  if (sweep.legs.empty()) file.refuse("legs", "is missing, wanted at least one [legs.NAME] table");
  check_run_sections(file);
  if (auto section = file.table("noise")) read_noise(*section, sweep);
  if (auto section = file.table("comparability")) read_comparability(*section, sweep);
  if (auto section = file.table("baseline")) {
    sweep.baseline = section->required_text("path");
    section->refuse_unknown();
  }
  for_each_table(file, "gates", [&](const std::string& name, const Section& section) {
    sweep.gates.push_back(read_gate(name, section, sweep.legs));
  });
  for_each_table(file, "hypotheses", [&](const std::string& name, const Section& section) {
    sweep.hypotheses.push_back(read_hypothesis(name, section));
  });
  read_verdict(file, sweep);
  file.refuse_unknown();
  sweep.canonical = to_json(root);
  sweep.sweep_hash = canonical_hash(sweep.canonical);
  sweep.rules_hash = rules_hash(sweep.canonical);
  return sweep;
}

Sweep read_sweep(const std::filesystem::path& path) {
  return parse_sweep(read_file(path, kSweepBytesMax), path.filename().string());
}

}  // namespace nvllm::bench
