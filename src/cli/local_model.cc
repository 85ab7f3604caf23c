#include "cli/local_model.h"

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/progress_bar.h"

namespace nvllm::cli {

namespace {

std::unique_ptr<engine::Engine> open(const LocalModelFlags& flags) {
  engine::EngineOptions options = engine_options(flags.engine);
  options.max_num_seqs = 1;
  set_log_level(parse_log_level(flags.log_level));
  ProgressBar bar("loading " + flags.model);
  return engine::open_engine(flags.model, options, [&bar](std::int64_t done, std::int64_t total) { bar.show(done, total); });
}

}  // namespace

void add_local_model_flags(CLI::App& app, LocalModelFlags& flags) {
  app.add_option("--model", flags.model, "Folder of a checkpoint")->required();
  add_memory_flags(app, flags.engine);
  add_fusion_flags(app, flags.engine);
  app.add_option("--log-level", flags.log_level, "debug, info, warning, error or off")->capture_default_str();
}

LocalModel::LocalModel(const LocalModelFlags& flags)
    : tokenizer_(tokenizer::Tokenizer::load(flags.model)),
      chat_template_(tokenizer::ChatTemplate::load(flags.model)),
      engine_(open(flags)) {}

LocalModel::Answer LocalModel::generate(const std::vector<std::int32_t>& prompt, const server::GenerationFields& fields,
                                        const std::function<void(std::string_view)>& show) {
  const engine::EngineLimits& limits = engine_->limits();
  std::vector<engine::GenerationRequest> requests = server::make_requests(
      fields, prompt, {.max_model_len = limits.max_model_len, .eos_ids = limits.eos_ids}, "local");
  const SystemClock clock;
  const SteadyTime begin = clock.now();
  const engine::Submission submission = engine_->submit(std::move(requests.front()));
  server::Choice choice(tokenizer_, server::text_options_of(fields), submission.stream);
  Answer answer;
  answer.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  while (!choice.finished()) {
    const server::ChoiceNews news = choice.wait();
    if (answer.token_ids.empty() && !news.tokens.empty()) {
      answer.first_token_seconds = seconds_between(begin, clock.now());
    }
    for (const engine::ScoredToken& token : news.tokens) answer.token_ids.push_back(token.id);
    answer.text += news.text;
    answer.finish = news.finish;
    if (!news.text.empty()) show(news.text);
    if (!news.error.empty()) throw Error(ErrorKind::kInternal, news.error);
  }
  answer.seconds = seconds_between(begin, clock.now());
  return answer;
}

}  // namespace nvllm::cli
