#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "server/api.h"
#include "support/fake_generator.h"

namespace nvllm::testing {

inline constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

/// When the model of a served API is there.
enum class Start { kLoaded, kLoading };

/// The whole API over a real socket, with a scripted engine underneath.
class ServedApi {
 public:
  explicit ServedApi(Start start = Start::kLoaded, server::ApiKeys keys = {},
                     net::HttpLimits limits = {}, std::filesystem::path evidence = {})
      : context_({.model_names = {"tiny", "alias"}, .version = "1.2.3", .created = 7, .evidence_dir = std::move(evidence)}),
        api_(context_, std::move(keys)),
        http_({.port = 0, .limits = limits, .error_page = server::Api::error_page()},
              api_.handler()),
        client_(url()) {
    if (start == Start::kLoaded) load();
  }

  void load() {
    auto generator = std::make_unique<FakeGenerator>();
    generator_ = generator.get();
    generator_->set_script(says("hello"));
    load(std::move(generator));
  }
  /// The same with a chat template of the test's own; the tokenizer has <think> and </think>.
  void load_template(const std::string& text, const server::SpeechOptions& options = {}) {
    auto generator = std::make_unique<FakeGenerator>();
    generator_ = generator.get();
    load(std::move(generator), make_thinking_tokenizer(), tokenizer::ChatTemplate(text), options);
  }
  /// The same with an engine of the test's own.
  void load(std::unique_ptr<server::Generator> generator) {
    load(std::move(generator), make_byte_tokenizer(), tokenizer::ChatTemplate(kChatTemplate), {});
  }
  void load(std::unique_ptr<server::Generator> generator, tokenizer::Tokenizer tokenizer,
            std::optional<tokenizer::ChatTemplate> chat_template,
            const server::SpeechOptions& options) {
    const server::ModelSpeech speech = server::speech_of(chat_template, options);
    context_.set_model(std::make_unique<server::ServedModel>(server::ServedModel{
        std::move(generator), std::move(tokenizer), std::move(chat_template), speech}));
  }

  FakeGenerator& generator() { return *generator_; }
  server::ServerContext& context() { return context_; }
  server::Api& api() { return api_; }
  net::HttpServer& http() { return http_; }
  net::HttpClient& client() { return client_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(http_.port()); }

  /// Posts and parses the answer.
  Json post(std::string_view path, const Json& body, int* status = nullptr) {
    return post_text(path, dump_json(body), status);
  }
  Json post_text(std::string_view path, std::string_view body, int* status = nullptr) {
    const net::HttpResponse response = client_.post(path, body);
    if (status != nullptr) *status = response.status;
    return parse_json(response.body, "answer");
  }
  /// The data of all events of a stream.
  std::vector<std::string> stream(std::string_view path, const Json& body) {
    std::vector<std::string> events;
    client_.stream(path, dump_json(body), [&](std::string_view data) {
      events.emplace_back(data);
      return net::Wanted::kMore;
    });
    return events;
  }

 private:
  server::ServerContext context_;
  server::Api api_;
  FakeGenerator* generator_ = nullptr;
  net::HttpServer http_;
  net::HttpClient client_;
};

}  // namespace nvllm::testing
