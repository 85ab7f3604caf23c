#include "kernels/fusion_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/error.h"

namespace nvllm {

namespace {

constexpr std::int64_t kEveryLayer = std::numeric_limits<std::int64_t>::max();

FusionPlan fused(std::string name, std::int64_t beta_layers_end, MlpFusion attention_mlp) {
  return {.name = std::move(name),
          .beta_layers_begin = 0,
          .beta_layers_end = beta_layers_end,
          .other_attention = AttentionFusion::kDecodeKernel,
          .attention_mlp = attention_mlp,
          .other_mlp = MlpFusion::kTwoKernels,
          .fuse_inputs = true,
          .fuse_delta = true};
}

struct MlpName {
  std::string_view name;
  MlpFusion fusion;
};
constexpr std::array<MlpName, 3> kMlpNames = {{{"spelled-out", MlpFusion::kSpelledOut},
                                               {"two-kernels", MlpFusion::kTwoKernels},
                                               {"phase-d", MlpFusion::kPhaseD}}};

std::string_view mlp_name(MlpFusion fusion) {
  for (const MlpName& known : kMlpNames) {
    if (known.fusion == fusion) return known.name;
  }
  return "";
}

std::string beta_name(const FusionPlan& plan) {
  if (plan.beta_layers_begin >= plan.beta_layers_end) return "none";
  if (plan.beta_layers_begin == 0 && plan.beta_layers_end == kEveryLayer) return "all";
  return fmt::format("{}-{}", plan.beta_layers_begin, plan.beta_layers_end - 1);
}

/// One "name=value" of a spec.
struct Piece {
  std::string_view name, value;

  [[noreturn]] void refuse(std::string_view wanted) const {
    throw Error(ErrorKind::kUsage,
                fmt::format("fusion piece '{}={}': '{}' is not one of {}", name, value, value, wanted));
  }
};

bool read_switch(const Piece& piece) {
  if (piece.value != "on" && piece.value != "off") piece.refuse("on, off");
  return piece.value == "on";
}

MlpFusion read_mlp(const Piece& piece) {
  for (const MlpName& known : kMlpNames) {
    if (known.name == piece.value) return known.fusion;
  }
  piece.refuse("spelled-out, two-kernels, phase-d");
}

/// A whole number at the front of `text`, which is shortened by it; nothing if there is none.
std::optional<std::int64_t> take_number(std::string_view& text) {
  constexpr std::int64_t kLayerMax = 1'000'000;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0 || value > kLayerMax) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

void read_beta(const Piece& piece, FusionPlan& plan) {
  plan.beta_layers_begin = 0;
  plan.beta_layers_end = piece.value == "all" ? kEveryLayer : 0;
  if (piece.value == "all" || piece.value == "none") return;
  constexpr std::string_view kWanted = "none, all, or two layer indices such as 0-7, the lower one first";
  std::string_view rest = piece.value;
  const std::optional<std::int64_t> first = take_number(rest);
  if (!first || !rest.starts_with('-')) piece.refuse(kWanted);
  rest.remove_prefix(1);
  const std::optional<std::int64_t> last = take_number(rest);
  if (!last || !rest.empty() || *last < *first) piece.refuse(kWanted);
  plan.beta_layers_begin = *first;
  plan.beta_layers_end = *last + 1;
}

void read_piece(const Piece& piece, FusionPlan& plan) {
  if (piece.name == "beta") return read_beta(piece, plan);
  if (piece.name == "decode") {
    plan.other_attention = read_switch(piece) ? AttentionFusion::kDecodeKernel : AttentionFusion::kSpelledOut;
  } else if (piece.name == "attention-mlp") {
    plan.attention_mlp = read_mlp(piece);
  } else if (piece.name == "other-mlp") {
    plan.other_mlp = read_mlp(piece);
  } else if (piece.name == "inputs") {
    plan.fuse_inputs = read_switch(piece);
  } else if (piece.name == "delta") {
    plan.fuse_delta = read_switch(piece);
  } else {
    throw Error(ErrorKind::kUsage, fmt::format("fusion piece '{}={}': '{}' is not one of beta, decode, attention-mlp, "
                                               "other-mlp, inputs, delta", piece.name, piece.value, piece.name));
  }
}

}  // namespace

FusionPlan parse_fusion(std::string_view spec) {
  FusionPlan plan{.name = std::string(spec)};
  std::vector<std::string_view> seen;
  for (std::string_view rest = spec;;) {
    const std::string_view text = rest.substr(0, rest.find(','));
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) {
      throw Error(ErrorKind::kUsage, fmt::format("fusion piece '{}': wanted name=value, such as beta=0-7", text));
    }
    const Piece piece{text.substr(0, equals), text.substr(equals + 1)};
    if (std::find(seen.begin(), seen.end(), piece.name) != seen.end()) {
      throw Error(ErrorKind::kUsage, fmt::format("fusion piece '{}': '{}' was given before", text, piece.name));
    }
    read_piece(piece, plan);
    seen.push_back(piece.name);
    if (text.size() == rest.size()) return plan;
    rest.remove_prefix(text.size() + 1);
  }
}

std::string fusion_spec(const FusionPlan& plan) {
  const auto on = [](bool value) { return value ? "on" : "off"; };
  return fmt::format("beta={},decode={},attention-mlp={},other-mlp={},inputs={},delta={}", beta_name(plan),
                     on(plan.other_attention == AttentionFusion::kDecodeKernel), mlp_name(plan.attention_mlp),
                     mlp_name(plan.other_mlp), on(plan.fuse_inputs), on(plan.fuse_delta));
}

std::vector<std::string> leg_names() {
  return {"spelled-out", "lower8", "phaseE-off", "all-beta", "every-beta", "default"};
}

FusionPlan named_leg(std::string_view name) {
  if (name == "spelled-out") return {};
  if (name == "lower8") return fused("lower8", 8, MlpFusion::kTwoKernels);
  if (name == "phaseE-off") return fused("phaseE-off", 0, MlpFusion::kPhaseD);
  if (name == "all-beta") return fused("all-beta", 16, MlpFusion::kTwoKernels);
  if (name == "every-beta") return fused("every-beta", kEveryLayer, MlpFusion::kTwoKernels);
  if (name == "default") {
    FusionPlan plan = fused("default", kEveryLayer, MlpFusion::kPhaseD);
    plan.other_mlp = MlpFusion::kPhaseD;
    return plan;
  }
  throw Error(ErrorKind::kUsage, fmt::format("leg '{}' is not known; the legs are {}", name,
                                             fmt::join(leg_names(), ", ")));
}

PhraseCalls phrase_calls(const FusionPlan& plan, const std::vector<std::int64_t>& attention_layers, std::int64_t layer_count) {
  PhraseCalls calls;
  if (plan.other_mlp == MlpFusion::kPhaseD) calls.phase_d_mlp = layer_count - static_cast<std::int64_t>(attention_layers.size());
  for (const std::int64_t layer : attention_layers) {
    switch (plan.attention(layer)) {
      case AttentionFusion::kSpelledOut: break;
      case AttentionFusion::kPhaseEBeta: ++calls.phase_e_beta; continue;
      case AttentionFusion::kDecodeKernel: ++calls.decode_kernel; break;
    }
    if (plan.attention_mlp == MlpFusion::kPhaseD) ++calls.phase_d_mlp;
  }
  return calls;
}

}  // namespace nvllm
