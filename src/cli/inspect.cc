#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "base/json.h"
#include "base/units.h"
#include "checkpoint/inspection.h"
#include "checkpoint/memory_needs.h"
#include "cli/command_table.h"

namespace nvllm::cli {

namespace {

using checkpoint::Inspection;
using checkpoint::LayerKind;
using checkpoint::ModelConfig;

struct InspectFlags {
  std::string folder, memory_budget;
  bool json = false;
};

/// Contexts the memory plan is shown for; those beyond the model's own are left out.
constexpr std::array<std::int64_t, 5> kContexts = {1024, 4096, 16384, 65536, 262144};

std::vector<std::int64_t> contexts(const ModelConfig& config) {
  std::vector<std::int64_t> result;
  for (const std::int64_t context : kContexts) {
    if (context < config.max_positions) result.push_back(context);
  }
  result.push_back(config.max_positions);
  return result;
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

/// One line of the memory plan.
struct PlanRow {
  std::int64_t context = 0, bytes = 0, requests = 0;
};

std::vector<PlanRow> memory_plan(const Inspection& found, std::int64_t budget_bytes) {
  const ModelConfig& config = *found.config;
  std::vector<PlanRow> rows;
  for (const std::int64_t context : contexts(config)) {
    const std::int64_t bytes = checkpoint::state_bytes_per_sequence(config) +
                               context * checkpoint::kv_bytes_per_token(config, 2);
    rows.push_back({context, bytes,
                    checkpoint::requests_that_fit(config, {.budget_bytes = budget_bytes,
                                                           .weight_bytes = found.weight_bytes,
                                                           .context_tokens = context})});
  }
  return rows;
}

void print_json(const Inspection& found, std::int64_t budget_bytes) {
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
  if (found.config) {
    json["geometry"] = geometry_json(*found.config);
    json["state_bytes_per_sequence"] = checkpoint::state_bytes_per_sequence(*found.config);
    json["kv_bytes_per_token"] = checkpoint::kv_bytes_per_token(*found.config, 2);
    json["memory_budget_bytes"] = budget_bytes > 0 ? Json(budget_bytes) : Json(nullptr);
    json["memory_plan"] = Json::array();
    for (const PlanRow& plan : memory_plan(found, budget_bytes)) {
      Json row;
      row["context_tokens"] = plan.context;
      row["bytes_per_request"] = plan.bytes;
      row["request_count"] = budget_bytes > 0 ? Json(plan.requests) : Json(nullptr);
      json["memory_plan"].push_back(row);
    }
  }
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

void print_plan(const Inspection& found, std::int64_t budget_bytes) {
  const ModelConfig& config = *found.config;
  fmt::print("\nmemory        weights {}, state {} a sequence, keys and values {} a token (BF16)\n",
             format_bytes(found.weight_bytes),
             format_bytes(checkpoint::state_bytes_per_sequence(config)),
             format_bytes(checkpoint::kv_bytes_per_token(config, 2)));
  fmt::print("{:>12}  {:>14}  {}\n", "context", "a request",
             budget_bytes > 0 ? "requests within " + format_bytes(budget_bytes)
                              : "(--memory-budget SIZE shows how many fit)");
  for (const PlanRow& row : memory_plan(found, budget_bytes)) {
    fmt::print("{:>12}  {:>14}  {}\n", row.context, format_bytes(row.bytes),
               budget_bytes > 0 ? std::to_string(row.requests) : "");
  }
}

void print_text(const InspectFlags& flags, const Inspection& found, std::int64_t budget_bytes) {
  fmt::print("folder        {}\n", flags.folder);
  if (found.config) print_geometry(*found.config);
  fmt::print("\nfiles         {} with {} tensors, {}\n", found.file_count, found.tensor_count,
             format_bytes(found.tensor_bytes));
  for (const checkpoint::TensorTotal& total : found.totals) {
    fmt::print("  {:<30}{:<28}{:>6}  {:>10}\n", total.kind, total.format, total.count,
               format_bytes(total.bytes));
  }
  if (found.config) print_plan(found, budget_bytes);
  fmt::print("\n{}\n", found.problems.empty() ? "No problems: this checkpoint can be served."
                                              : fmt::format("{} problems:", found.problems.size()));
  for (const std::string& problem : found.problems) fmt::print("  {}\n", problem);
}

int inspect(const InspectFlags& flags) {
  const std::int64_t budget_bytes =
      flags.memory_budget.empty() ? 0 : parse_bytes(flags.memory_budget, "--memory-budget");
  const Inspection found = checkpoint::inspect(flags.folder);
  if (flags.json) {
    print_json(found, budget_bytes);
  } else {
    print_text(flags, found, budget_bytes);
  }
  return found.problems.empty() ? kDone : kGateFailed;
}

}  // namespace

void configure_inspect(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<InspectFlags>();
  app.add_option("folder", flags->folder, "Folder of a checkpoint")->required();
  app.add_option("--memory-budget", flags->memory_budget,
                 "Plan for this much memory, e.g. 16GiB: how many requests fit at which context");
  app.add_flag("--json", flags->json, "Print one JSON object");
  app.footer("Exits with 1 if the checkpoint has problems.");
  action = [flags] { return inspect(*flags); };
}

}  // namespace nvllm::cli
