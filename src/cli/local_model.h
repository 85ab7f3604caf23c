#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/engine_flags.h"
#include "engine/engine.h"
#include "server/text_generation.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace CLI {
class App;
}

namespace nvllm::cli {

/// Flags that every command with a model of its own has.
struct LocalModelFlags {
  std::string model;
  std::string log_level = "warning";  // a person is looking at the answer, not at a service
  EngineFlags engine;
};

/// Declares --model, --log-level and the flags of memory and fusion (cli/engine_flags.h).
void add_local_model_flags(CLI::App& app, LocalModelFlags& flags);

/// A model in this process, without a server: for `generate` and `chat`.
class LocalModel {
 public:
  /// Loads, with a progress bar where stderr is a terminal.  Errors: as engine::open_engine.
  explicit LocalModel(const LocalModelFlags& flags);

  const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  const std::optional<tokenizer::ChatTemplate>& chat_template() const { return chat_template_; }

  /// What one generation came to.
  struct Answer {
    std::string text;
    std::vector<std::int32_t> token_ids;
    std::int64_t prompt_tokens = 0;
    engine::FinishReason finish = engine::FinishReason::kNone;
    double first_token_seconds = 0;
    double seconds = 0;
  };
  /// Generates, handing each piece of text to `show` as it comes.
  Answer generate(const std::vector<std::int32_t>& prompt, const server::GenerationFields& fields,
                  const std::function<void(std::string_view)>& show);

 private:
  tokenizer::Tokenizer tokenizer_;
  std::optional<tokenizer::ChatTemplate> chat_template_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace nvllm::cli
