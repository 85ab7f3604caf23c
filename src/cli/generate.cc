#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "base/json.h"
#include "cli/command_table.h"
#include "cli/local_model.h"

namespace nvllm::cli {

namespace {

struct GenerateFlags {
  LocalModelFlags model;
  std::string prompt;
  std::int64_t max_tokens = 256;
  double temperature = 0;
  std::int64_t seed = -1;
  std::vector<std::string> stop;
  bool json = false;
};

server::GenerationFields fields_of(const GenerateFlags& flags) {
  server::GenerationFields fields;
  fields.max_tokens = flags.max_tokens;
  fields.sampling.temperature = flags.temperature;
  if (flags.seed >= 0) fields.sampling.seed = static_cast<std::uint64_t>(flags.seed);
  fields.stop = flags.stop;
  return fields;
}

void print_json(const LocalModel::Answer& answer) {
  Json json;
  json["text"] = answer.text;
  json["token_ids"] = answer.token_ids;
  json["finish_reason"] = engine::to_string(answer.finish);
  json["prompt_tokens"] = answer.prompt_tokens;
  json["completion_tokens"] = answer.token_ids.size();
  json["first_token_seconds"] = answer.first_token_seconds;
  json["seconds"] = answer.seconds;
  fmt::print("{}\n", dump_json(json));
}

int generate(GenerateFlags flags) {
  if (flags.prompt == "-") {
    flags.prompt.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  LocalModel model(flags.model);
  const std::vector<std::int32_t> prompt =
      model.tokenizer().encode(flags.prompt, tokenizer::AddedTokens::kParse, tokenizer::TextFrame::kPostProcessor);
  const LocalModel::Answer answer = model.generate(prompt, fields_of(flags), [&](std::string_view text) {
    if (flags.json) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  });
  if (flags.json) {
    print_json(answer);
  } else {
    std::fputc('\n', stdout);
  }
  return kDone;
}

}  // namespace

void configure_generate(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<GenerateFlags>();
  add_local_model_flags(app, flags->model);
  app.add_option("--prompt", flags->prompt, "The text to continue; - reads standard input")->required();
  app.add_option("--max-tokens", flags->max_tokens, "Tokens to generate at the most")
      ->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--temperature", flags->temperature, "0 takes the most likely token")
      ->check(CLI::Range(0.0, 2.0))->capture_default_str();
  app.add_option("--seed", flags->seed, "Makes a sampled answer repeatable");
  app.add_option("--stop", flags->stop, "Text that ends the answer (repeatable)")->take_all();
  app.add_flag("--json", flags->json, "Print one JSON object");
  action = [flags] { return generate(*flags); };
}

}  // namespace nvllm::cli
