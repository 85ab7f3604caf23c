#include "bench/run/templates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace nvllm::bench {

namespace {

constexpr const char* kHead =
    R"(# A sweep file: what is measured, what is claimed, and the rules by which the data will decide.
# `nvllm bench schema` lists every key; `nvllm bench plan FILE` says what so many rounds can show.
# Hypotheses, gates and verdict are hashed before the first measurement: later changes are seen.

schema = "nvllm.sweep/v1"
)";

constexpr const char* kRun = R"(
[model]
path = "models/demo"    # or --model DIR

[schedule]
rounds     = { profile = 6, gsm8k = 1 }    # server boots per leg; one boot proves nothing about noise
order      = "williams"                    # every leg in every place, after every other leg
on_failure = "continue"                    # or "stop"

[profile]
warmup_tokens  = 96
bursts         = [{ requests = 4, max_tokens = 64 }, { requests = 4, max_tokens = 32 }]    # two lengths prove the law
overhead_probe = true                      # what listening costs, and whether the budget closes

[gsm8k]
dataset    = { path = "models/demo/heldout.jsonl" }
n          = 50        # 50 is a smoke test; 200 shows 4 points, 1319 show 2
prompt     = "demo"    # demo, reference or chat
score      = "strict"
max_tokens = 512
deadline_s = 180       # an answer cut off is neither right nor wrong

# [baseline]
# path = "evidence/NAME/DATE"
)";

constexpr const char* kGates = R"(
[gates]
calls = { kind = "identity", required = true }
# Against a baseline:
# kernels = { kind = "equivalent", margin = "2%", vs = "baseline", required = true }
# quality = { kind = "noninferior", margin = "4pt", vs = "baseline" }
)";

constexpr const char* kThreeLegs = R"(name   = "three-leg"
claim  = "Deeper fusion does not pay"

# Calls per decode step follow from plan and geometry; expect_kernels may state them again.
[legs.lower8]
arguments = ["--leg", "lower8"]
[legs.phaseE-off]
arguments = ["--leg", "phaseE-off"]
[legs.all-beta]
arguments = ["--leg", "all-beta"]
)";

constexpr const char* kThreeRules = R"(
[hypotheses]
H1 = { expr = "ms_per_token(all-beta) - ms_per_token(lower8) > 0" }

[[verdict]]
when = "H1 == CONFIRMED"
id   = "does-not-pay"
say  = "A token takes {H1.est} ({H1.ci}) longer with every layer fused."
[[verdict]]
when = "H1 == REFUTED"
id   = "pays"
[[verdict]]
when = "true"
id   = "inconclusive"
say  = "{need(H1)} more rounds would settle it."
)";

constexpr const char* kTwoLegs = R"(name   = "ab"
claim  = "The candidate is faster"

[legs.before]
arguments = ["--leg", "spelled-out"]
[legs.after]
arguments = ["--leg", "default"]
)";

constexpr const char* kTwoRules = R"(
[hypotheses]
H1 = { expr = "ms_per_token(before) - ms_per_token(after) > 0" }

[[verdict]]
when = "H1 == CONFIRMED"
id   = "faster"
say  = "A token takes {H1.est} ({H1.ci}) less."
[[verdict]]
when = "H1 == REFUTED"
id   = "not-faster"
[[verdict]]
when = "true"
id   = "inconclusive"
say  = "{need(H1)} more rounds would settle it."
)";

constexpr const char* kSameLegs = R"(name   = "aa"
claim  = "Two boots of the same leg do not differ"

# The same leg under two names: what differs is noise. `nvllm bench noise FILE` runs it and keeps the noise.
[legs.a]
arguments = ["--leg", "default"]
[legs.b]
arguments = ["--leg", "default"]
)";

constexpr const char* kSameRules = R"(
[hypotheses]
H1 = { expr = "ms_per_token(a) - ms_per_token(b) > 0", alpha = 0.025 }
H2 = { expr = "ms_per_token(b) - ms_per_token(a) > 0", alpha = 0.025 }

[[verdict]]
when = "H1 == CONFIRMED || H2 == CONFIRMED"
id   = "false-alarm"
[[verdict]]
when = "true"
id   = "no-alarm"
)";

}  // namespace

std::vector<std::string> template_names() { return {"3leg", "ab", "aa"}; }

std::string sweep_template(std::string_view name) {
  const auto whole = [](const char* legs, const char* rules) {
    return std::string(kHead) + legs + kRun + kGates + rules;
  };
  if (name == "3leg") return whole(kThreeLegs, kThreeRules);
  if (name == "ab") return whole(kTwoLegs, kTwoRules);
  if (name == "aa") return whole(kSameLegs, kSameRules);
  throw Error(ErrorKind::kUsage, fmt::format("no template '{}', wanted one of: {}", name,
                                             fmt::join(template_names(), ", ")));
}

}  // namespace nvllm::bench
