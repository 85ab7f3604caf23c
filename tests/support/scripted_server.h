#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "net/http_server.h"
#include "net/server_sent_events.h"

namespace nvllm::testing {

/// How one generation is answered.
struct ScriptedReply {
  std::vector<std::string> pieces = {"hello"};  ///< one token and one event each
  std::chrono::milliseconds delay{0};           ///< before each piece
  std::string finish_reason = "stop";
  int status = 200;                 ///< another one: `body` is the answer
  std::string body{};               ///< not empty with status 200: sent as it is, instead of JSON
  int hang_after = -1;              ///< pieces after which nothing comes any more; -1: never
  int abort_after = -1;             ///< pieces after which the connection breaks; -1: never
  std::string event_after_first{};  ///< data of one more event behind the first piece
};

/// What the server can do.
struct ScriptedFeatures {
  bool streaming = true, stream_usage = true, token_ids = true, ignore_eos = true, metrics = true, profile = false;
  /// Whether a field that it cannot do is a 400; otherwise it is ignored.
  bool refuses_unknown = false;
};

/// An OpenAI-like server that answers as it was told, over real sockets. A request whose client has
/// left stops counting as running after `let_go`.
class ScriptedServer {
 public:
  using Script = std::function<ScriptedReply(const Json& request)>;

  explicit ScriptedServer(Script script, ScriptedFeatures features = {})
      : script_(std::move(script)),
        features_(features),
        http_(std::make_unique<net::HttpServer>(net::HttpServerOptions{.port = 0},
                                                [this](std::shared_ptr<net::Exchange> e) { handle(std::move(e)); })),
        port_(http_->port()) {}

  ~ScriptedServer() {
    ending_ = true;
    die();  // waits for a script that does so
    http_.reset();
    for (std::thread& thread : threads_) thread.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// No more connections, as if the process had died.
  void die() {
    const std::lock_guard lock(dying_);
    http_->stop();
  }
  /// The Authorization header of the last generation, or "".
  std::string last_key() const {
    const std::lock_guard lock(mutex_);
    return last_key_;
  }
  std::vector<Json> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// How often that path was asked for.
  int calls(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(path);
    return found == calls_.end() ? 0 : found->second;
  }
  /// How often a profile was started or stopped.
  int profile_actions() const { return profile_actions_; }
  /// Most generations at once.
  int most_running() const { return most_running_; }
  std::chrono::milliseconds let_go{0};

 private:
  using ExchangePtr = std::shared_ptr<net::Exchange>;

  void handle(ExchangePtr exchange) {
    const std::string path(exchange->request().path());
    {
      const std::lock_guard lock(mutex_);
      ++calls_[path];
    }
    if (path == "/v1/completions" || path == "/v1/chat/completions") {
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, exchange] { answer(exchange); });
    } else {
      exchange->respond(page(path, exchange->request().method));
    }
  }

  net::HttpResponse page(const std::string& path, const std::string& method) {
    if (path == "/health") return {.body = ""};
    if (path == "/version") return {.body = R"({"version":"9.9"})"};
    if (path == "/v1/models") return {.body = R"({"object":"list","data":[{"id":"scripted"}]})"};
    if (path == "/metrics" && features_.metrics) {
      return {.content_type = "text/plain",
              .body = "# HELP x\nvllm:num_requests_running{model_name=\"scripted\"} " + std::to_string(running_) +
                      "\nvllm:num_requests_waiting{model_name=\"scripted\"} 0.0\n"};
    }
    if (features_.profile && path.ends_with("_profile")) {
      // As SGLang: any GET or POST acts, other methods do not.
      if (method != "GET" && method != "POST") return {.status = 405, .body = ""};
      ++profile_actions_;
      return {.body = path == "/stop_profile" ? profile_answer() : ""};
    }
    return {.status = 404, .body = R"({"error":{"message":"no such page"}})"};
  }

  /// Set by tests that profile.
  std::string profile_answer() const { return on_stop_profile ? on_stop_profile() : ""; }

  static bool wants(const Json& request, const char* key) {
    const auto found = request.find(key);
    return found != request.end() && !found->is_null() && *found != false;
  }

  /// The field that this server does not know, or "".
  std::string unknown_field(const Json& request) const {
    const std::pair<const char*, bool> fields[] = {{"stream", features_.streaming},
                                                   {"stream_options", features_.stream_usage},
                                                   {"return_token_ids", features_.token_ids},
                                                   {"ignore_eos", features_.ignore_eos}};
    for (const auto& [name, known] : fields) {
      if (wants(request, name) && !known) return name;
    }
    return "";
  }

  void answer(const ExchangePtr& exchange) {
    const Json request = parse_json(exchange->request().body, "request");
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      const std::string* key = exchange->request().header("Authorization");
      last_key_ = key == nullptr ? "" : *key;
    }
    Running running(*this);
    const std::string unknown = unknown_field(request);
    if (features_.refuses_unknown && !unknown.empty()) {
      running.end();
      exchange->respond({.status = 400, .body = R"({"error":{"message":"unknown field )" + unknown + "\"}}"});
    } else {
      play(exchange, request, script_(request), running);
    }
  }

  /// A generation that counts as running until it ends: before its last byte is sent, since the client
  /// may ask again as soon as it has read that one.
  class Running {
   public:
    explicit Running(ScriptedServer& server) : server_(server) {
      const int now = ++server_.running_;
      int most = server_.most_running_;
      while (now > most && !server_.most_running_.compare_exchange_weak(most, now)) {
      }
    }
    ~Running() { end(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    void end() {
      if (!std::exchange(ended_, true)) --server_.running_;
    }

   private:
    ScriptedServer& server_;
    bool ended_ = false;
  };

  void play(const ExchangePtr& exchange, const Json& request, const ScriptedReply& reply, Running& running) {
    const bool chat = exchange->request().path() == "/v1/chat/completions";
    if (reply.status != 200 || !reply.body.empty()) {
      running.end();
      exchange->respond({.status = reply.status, .body = reply.body});
    } else if (wants(request, "stream") && features_.streaming) {
      stream(exchange, request, reply, chat, running);
    } else {
      whole(exchange, request, reply, chat, running);
    }
  }

  /// Pieces that the request's max_tokens allows.
  static int piece_count(const Json& request, const ScriptedReply& reply) {
    const auto most = request.find("max_tokens");
    const auto count = static_cast<int>(reply.pieces.size());
    return most == request.end() ? count : std::min(count, most->get<int>());
  }

  Json usage(int tokens) const {
    return Json{{"prompt_tokens", 7}, {"completion_tokens", tokens}, {"total_tokens", 7 + tokens}};
  }

  /// False once the client has left.
  bool wait(const ExchangePtr& exchange, std::chrono::milliseconds time) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end && !exchange->gone() && !ending_) {
      std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(
          std::chrono::milliseconds(1), end - std::chrono::steady_clock::now()));
    }
    return !exchange->gone() && !ending_;
  }

  void hang(const ExchangePtr& exchange) const {
    while (wait(exchange, std::chrono::hours(1))) {
    }
    const auto end = std::chrono::steady_clock::now() + let_go;
    while (std::chrono::steady_clock::now() < end && !ending_)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  static Json choice_of(const std::string& text, bool chat, const char* part) {
    Json choice;
    choice["index"] = 0;
    if (chat) {
      choice[part] = Json{{"content", text}};
    } else {
      choice["text"] = text;
    }
    choice["finish_reason"] = nullptr;
    return choice;
  }

  void stream(const ExchangePtr& exchange, const Json& request, const ScriptedReply& reply, bool chat,
              Running& running) const {
    exchange->start_stream({.content_type = "text/event-stream", .headers = {}, .body = ""});
    const auto send = [&](const Json& choices, const Json& extra) {
      Json chunk = extra;
      chunk["id"] = "gen-1";
      chunk["choices"] = choices;
      exchange->send(net::sse_event(dump_json(chunk)));
    };
    const int count = piece_count(request, reply);
    for (int i = 0; i <= count; ++i) {
      if (i == reply.hang_after) return hang(exchange);
      if (i == reply.abort_after) return exchange->abort();
      if (i == count) break;
      if (!wait(exchange, reply.delay)) return;
      Json choice = choice_of(reply.pieces[static_cast<std::size_t>(i)], chat, "delta");
      if (wants(request, "return_token_ids") && features_.token_ids) choice["token_ids"] = Json::array({100 + i});
      if (i + 1 == count)
        choice["finish_reason"] = count < static_cast<int>(reply.pieces.size()) ? "length" : reply.finish_reason;
      send(Json::array({choice}), Json::object());
      if (i == 0 && !reply.event_after_first.empty()) exchange->send(net::sse_event(reply.event_after_first));
    }
    if (wants(request, "stream_options") && features_.stream_usage) send(Json::array(), Json{{"usage", usage(count)}});
    running.end();
    exchange->send(net::sse_event("[DONE]"));
    exchange->finish_stream();
  }

  void whole(const ExchangePtr& exchange, const Json& request, const ScriptedReply& reply, bool chat,
             Running& running) const {
    const int count = piece_count(request, reply);
    std::string text;
    Json ids = Json::array();
    for (int i = 0; i < count; ++i) {
      if (i == reply.hang_after) return hang(exchange);
      if (i == reply.abort_after) return exchange->abort();
      if (!wait(exchange, reply.delay)) return;
      text += reply.pieces[static_cast<std::size_t>(i)];
      ids.push_back(100 + i);
    }
    if (reply.hang_after >= count) return hang(exchange);
    Json choice = choice_of(text, chat, "message");
    if (wants(request, "return_token_ids") && features_.token_ids) choice["token_ids"] = ids;
    choice["finish_reason"] = reply.finish_reason;
    running.end();
    exchange->respond(
        {.body = dump_json(Json{{"id", "gen-1"}, {"choices", Json::array({choice})}, {"usage", usage(count)}})});
  }

 public:
  std::function<std::string()> on_stop_profile{};

 private:
  const Script script_;
  const ScriptedFeatures features_;
  mutable std::mutex mutex_;
  std::mutex dying_;
  std::vector<std::thread> threads_;
  std::vector<Json> requests_;
  std::string last_key_;
  std::map<std::string, int> calls_;
  std::atomic<int> running_{0}, most_running_{0}, profile_actions_{0};
  std::atomic<bool> ending_{false};
  std::unique_ptr<net::HttpServer> http_;
  std::uint16_t port_;
};

/// Always the same reply.
inline ScriptedServer::Script always(ScriptedReply reply) {
  return [reply](const Json&) { return reply; };
}

}  // namespace nvllm::testing
