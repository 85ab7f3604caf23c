#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "checkpoint/inspection.h"
#include "cli/command_table.h"
#include "cli/engine_flags.h"
#include "engine/memory_plan.h"

namespace nvllm::cli {

namespace {

using checkpoint::Inspection;
using checkpoint::LayerKind;
using checkpoint::ModelConfig;

struct InspectFlags {
  std::string folder;
  EngineFlags engine;
  bool json = false;
};

/// What serve would plan, or why it would not.
struct Plan {
  std::optional<engine::MemoryPlan> memory;
  std::string refusal;
};

/// Only a sound checkpoint can be planned for: of others the sizes are not known.
Plan plan_of(const InspectFlags& flags, const Inspection& found) {
  if (!found.problems.empty()) return {};
  try {
    return {.memory = engine::plan_engine(flags.folder, engine_options(flags.engine)), .refusal = ""};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOutOfBudget) throw;
    return {.memory = std::nullopt, .refusal = error.what()};
  }
}

std::string_view family_name(checkpoint::Family family) {
  switch (family) {
    case checkpoint::Family::kQwen35:
      return "qwen3_5";
    case checkpoint::Family::kQwen3:
      return "qwen3";
    case checkpoint::Family::kLlama:
      return "llama";
  }
  return "";
}

std::string_view scaling_name(checkpoint::RopeConfig::Scaling scaling) {
  switch (scaling) {
    case checkpoint::RopeConfig::Scaling::kNone:
      return "none";
    case checkpoint::RopeConfig::Scaling::kLlama3:
      return "llama3";
    case checkpoint::RopeConfig::Scaling::kYarn:
      return "yarn";
  }
  return "";
}

Json geometry_json(const ModelConfig& c) {
  Json json;
  json["family"] = family_name(c.family);
  json["vocab_size"] = c.vocab_size;
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.intermediate_size;
  json["layer_count"] = c.layer_count();
  json["full_attention_layer_count"] = std::ranges::count(c.layers, LayerKind::kFullAttention);
  json["head_count"] = c.head_count;
  json["kv_head_count"] = c.kv_head_count;
  json["head_dim"] = c.head_dim;
  json["rope_theta"] = c.rope.theta;
  json["rotary_dims"] = c.rope.rotary_dims;
  json["rope_scaling"] = scaling_name(c.rope.scaling);
  json["key_head_count"] = c.key_head_count;
  json["value_head_count"] = c.value_head_count;
  json["key_head_dim"] = c.key_head_dim;
  json["value_head_dim"] = c.value_head_dim;
  json["conv_taps"] = c.conv_taps;
  json["tied_head"] = c.tied_head;
  json["mtp_layer_count"] = c.mtp_layer_count;
  json["max_positions"] = c.max_positions;
  json["eos_ids"] = c.eos_ids;
  return json;
}

Json plan_json(const Plan& plan) {
  Json json;
  json["refusal"] = plan.refusal.empty() ? Json(nullptr) : Json(plan.refusal);
  if (!plan.memory) return json;
  const engine::MemoryPlan& memory = *plan.memory;
  json["budget_bytes"] = memory.budget_bytes;
  json["total_bytes"] = memory.total_bytes;
  json["state_bytes_per_sequence"] = memory.state_bytes_per_sequence;
  json["kv_bytes_per_token"] = memory.kv_bytes_per_token;
  json["lines"] = Json::array();
  for (const engine::MemoryLine& line : memory.lines) {
    json["lines"].push_back(Json{{"what", line.what}, {"bytes", line.bytes}});
  }
  json["requests"] = Json::array();
  for (const std::int64_t context : memory.shown_contexts()) {
    json["requests"].push_back(Json{{"context_tokens", context}, {"request_count", memory.requests_at(context)}});
  }
  return json;
}

void print_json(const Inspection& found, const Plan& plan) {
  Json json;
  json["file_count"] = found.file_count;
  json["tensor_count"] = found.tensor_count;
  json["tensor_bytes"] = found.tensor_bytes;
  json["weight_bytes"] = found.weight_bytes;
  json["geometry"] = nullptr;
  json["tensors"] = Json::array();
  for (const checkpoint::TensorTotal& total : found.totals) {
    Json row;
    row["kind"] = total.kind;
    row["format"] = total.format;
    row["count"] = total.count;
    row["bytes"] = total.bytes;
    json["tensors"].push_back(row);
  }
  if (found.config) json["geometry"] = geometry_json(*found.config);
  json["memory_plan"] = found.problems.empty() ? plan_json(plan) : Json(nullptr);
  json["problems"] = found.problems;
  fmt::print("{}\n", dump_json(json));
}

void print_geometry(const ModelConfig& c) {
  const auto full = std::ranges::count(c.layers, LayerKind::kFullAttention);
  fmt::print("family        {}\n", family_name(c.family));
  fmt::print("layers        {} ({} full attention, {} Gated DeltaNet), {} draft-token\n",
             c.layer_count(), full, c.layer_count() - full, c.mtp_layer_count);
  fmt::print("width         hidden {}, feed forward {}, vocabulary {} ({} head)\n", c.hidden_size,
             c.intermediate_size, c.vocab_size, c.tied_head ? "tied" : "separate");
  fmt::print(
      "attention     {} query heads, {} key/value heads of {}; {} dims turn, theta {}, scaling "
      "{}\n",
      c.head_count, c.kv_head_count, c.head_dim, c.rope.rotary_dims, c.rope.theta,
      scaling_name(c.rope.scaling));
  if (full < c.layer_count()) {
    fmt::print("DeltaNet      {} key heads of {}, {} value heads of {}, convolution of {} taps\n",
               c.key_head_count, c.key_head_dim, c.value_head_count, c.value_head_dim, c.conv_taps);
  }
  fmt::print("positions     {}\nstop ids      {}\n", c.max_positions, fmt::join(c.eos_ids, ", "));
}

void print_plan(const Plan& plan) {
  if (!plan.memory) return fmt::print("\n{}\n", plan.refusal);
  const engine::MemoryPlan& memory = *plan.memory;
  fmt::print("\nmemory plan, within {}: state {} a sequence, keys and values {} a token\n",
             format_bytes(memory.budget_bytes), format_bytes(memory.state_bytes_per_sequence),
             format_bytes(memory.kv_bytes_per_token));
  for (const std::string& row : memory.describe()) fmt::print("{}\n", row);
}

void print_text(const InspectFlags& flags, const Inspection& found, const Plan& plan) {
  fmt::print("folder        {}\n", flags.folder);
  if (found.config) print_geometry(*found.config);
  fmt::print("\nfiles         {} with {} tensors, {}\n", found.file_count, found.tensor_count,
             format_bytes(found.tensor_bytes));
  for (const checkpoint::TensorTotal& total : found.totals) {
    fmt::print("  {:<30}{:<28}{:>6}  {:>10}\n", total.kind, total.format, total.count,
               format_bytes(total.bytes));
  }
  if (found.problems.empty()) print_plan(plan);
  fmt::print("\n{}\n", found.problems.empty() ? "No problems: this checkpoint can be served."
                                              : fmt::format("{} problems:", found.problems.size()));
  for (const std::string& problem : found.problems) fmt::print("  {}\n", problem);
}

int inspect(const InspectFlags& flags) {
  const Inspection found = checkpoint::inspect(flags.folder);
  const Plan plan = plan_of(flags, found);
  if (flags.json) {
    print_json(found, plan);
  } else {
    print_text(flags, found, plan);
  }
  if (!found.problems.empty()) return kGateFailed;
  // Without a budget of the caller's the question was what the model needs, not whether it fits here.
  return plan.memory || flags.engine.memory_budget.empty() ? kDone : kHostUnfit;
}

}  // namespace

void configure_inspect(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<InspectFlags>();
  app.add_option("folder", flags->folder, "Folder of a checkpoint")->required();
  add_memory_flags(app, flags->engine);
  add_batch_flags(app, flags->engine);
  add_prefix_flags(app, flags->engine);
  app.add_flag("--json", flags->json, "Print one JSON object");
  app.footer("Exits with 1 if the checkpoint has problems, with 6 if it does not fit --memory-budget.");
  action = [flags] { return inspect(*flags); };
}

}  // namespace nvllm::cli
