#include "bench/sweep/gates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace nvllm::bench {

namespace {

constexpr std::array<std::pair<GateKind, std::string_view>, 7> kKinds = {{
    {GateKind::kIdentity, "identity"},
    {GateKind::kEquivalent, "equivalent"},
    {GateKind::kNoninferior, "noninferior"},
    {GateKind::kCountWithin, "count_within"},
    {GateKind::kCountAtLeast, "count_at_least"},
    {GateKind::kOrder, "order"},
    {GateKind::kClosure, "closure"},
}};

GateKind read_kind(Section& section) {
  std::vector<std::string_view> words;
  for (const auto& [kind, word] : kKinds) words.push_back(word);
  const auto found = section.choice("kind", words);
  if (!found) section.refuse("kind", fmt::format("is missing, wanted one of: {}", fmt::join(words, ", ")));
  return std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& k) { return k.second == *found; })->first;
}

void check_leg(const Section& section, std::string_view key, const std::string& leg,
               const std::vector<SweepLeg>& legs) {
  for (const SweepLeg& one : legs) {
    if (one.name == leg) return;
  }
  section.refuse(key, fmt::format("names leg '{}', which the sweep does not have", leg));
}

/// "baseline", or a leg of the same folder.
void read_vs(Section& section, const std::vector<SweepLeg>& legs, Gate& gate) {
  const std::string vs = section.text("vs").value_or("baseline");
  if (vs == "baseline") return;
  check_leg(section, "vs", vs, legs);
  gate.vs_leg = vs;
}

/// "lower8 < all-beta ~ phaseE-off": legs and what stands between them.
void read_order(Section& section, const std::vector<SweepLeg>& legs, Gate& gate) {
  gate.metric = section.choice("metric", {"ms_per_token.named", "ms_per_token.kernels", "ms_per_token.wall"})
                    .value_or("ms_per_token.kernels")
                    .substr(std::string_view("ms_per_token.").size());
  gate.expect = section.required_text("expect");
  std::istringstream words(gate.expect);
  std::string word;
  for (bool leg_next = true; words >> word; leg_next = !leg_next) {
    if (leg_next) {
      check_leg(section, "expect", word, legs);
      gate.order.push_back(word);
      continue;
    }
    if (word != "<" && word != "~")
      section.refuse("expect", fmt::format("has '{}' between legs, wanted '<' or '~'", word));
    gate.tied.push_back(word == "~");
  }
  if (gate.order.size() < 2 || gate.tied.size() + 1 != gate.order.size()) {
    section.refuse("expect", fmt::format("is \"{}\", wanted \"LEG < LEG < LEG\"", gate.expect));
  }
}

template <class T>
T needed(const Section& section, const char* key, const std::optional<T>& value, const char* wanted) {
  if (!value) section.refuse(key, fmt::format("is missing, wanted {}", wanted));
  return *value;
}

}  // namespace

std::string_view to_string(GateKind kind) {
  for (const auto& [one, word] : kKinds) {
    if (one == kind) return word;
  }
  return "unknown";
}

bool speaks_of(const Gate& gate, std::string_view leg) {
  return gate.legs.empty() || std::find(gate.legs.begin(), gate.legs.end(), leg) != gate.legs.end();
}

Gate read_gate(const std::string& name, Section section, const std::vector<SweepLeg>& legs) {
  Gate gate;
  gate.name = name;
  gate.kind = read_kind(section);
  gate.required = section.truth("required").value_or(false);
  gate.legs = section.texts("legs").value_or(std::vector<std::string>{});
  for (const std::string& leg : gate.legs) check_leg(section, "legs", leg, legs);
  switch (gate.kind) {
    case GateKind::kIdentity:
      section.choice("scope", {"material"});
      break;
    case GateKind::kEquivalent:
      section.choice("scope", {"material"});
      read_vs(section, legs, gate);
      gate.margin = needed(section, "margin", section.share("margin", "%", 0.0001, 1), "a share such as \"2%\"");
      break;
    case GateKind::kNoninferior:
      section.choice("vs", {"baseline"});
      gate.margin = needed(section, "margin", section.share("margin", "pt", 0.0001, 0.99), "points such as \"4pt\"");
      break;
    case GateKind::kCountWithin:
      section.choice("vs", {"baseline"});
      gate.count = needed(section, "k", section.integer("k", 0, 1'000'000), "a whole number");
      break;
    case GateKind::kCountAtLeast:
      gate.count = needed(section, "right", section.integer("right", 0, 1'000'000), "a whole number");
      if (section.choice("censored", {"unknown", "as-wrong"}) == "as-wrong") gate.censored = CensoredAs::kWrong;
      break;
    case GateKind::kOrder:
      read_order(section, legs, gate);
      gate.margin = section.share("tie_margin", "%", 0.0001, 1).value_or(0.02);
      break;
    case GateKind::kClosure:
      gate.lo = needed(section, "lo", section.share("lo", "%", 0, 2), "a share such as \"95%\"");
      gate.hi = needed(section, "hi", section.share("hi", "%", gate.lo, 2), "a share such as \"101%\"");
      break;
  }
  section.refuse_unknown();
  return gate;
}

}  // namespace nvllm::bench
