#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/generator.h"
#include "server/limits.h"
#include "server/metrics.h"
#include "server/model_speech.h"
#include "server/profiler.h"
#include "server/side_thread.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::server {

/// A model that is ready to serve.
struct ServedModel {
  std::unique_ptr<Generator> generator;
  tokenizer::Tokenizer tokenizer;
  std::optional<tokenizer::ChatTemplate> chat_template;
  ModelSpeech speech{};
  std::unique_ptr<Profiler> profiler{};  ///< null: profiling is off. Last: it listens to the generator
};

/// Calls that still produce tokens, so that a shutdown can end them.
class LiveCalls {
 public:
  /// `end` is called by end_all, from its thread.
  std::int64_t add(std::function<void()> end);
  void remove(std::int64_t ticket);
  void end_all();
  std::int64_t count() const;

 private:
  mutable std::mutex mutex_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, std::function<void()>> ends_;
};

/// Makes ids that differ within a process and, by their random beginning, between processes.
class IdSource {
 public:
  IdSource();
  /// "cmpl-" and 32 hexadecimal digits.
  std::string next(const std::string& prefix);

 private:
  const std::uint64_t seed_;
  std::atomic<std::uint64_t> counter_{0};
};

/// Names and rules that hold from the first moment on, before a model is there.
struct ServerIdentity {
  std::vector<std::string> model_names;  ///< the first one is shown; at least one
  std::string version;
  std::int64_t created = 0;  ///< when the server started, in seconds since 1970
  ServerLimits limits{};
  std::filesystem::path evidence_dir{};  ///< whose folders' reports are shown; empty: none are
};

/// What all endpoints share. Outlives the HTTP server.
class ServerContext {
 public:
  explicit ServerContext(ServerIdentity identity) : identity_(std::move(identity)) {}

  const ServerIdentity& identity() const { return identity_; }
  const ServerLimits& limits() const { return identity_.limits; }
  /// The model, or nullptr while it loads.
  const ServedModel* model() const { return ready_.load(std::memory_order_acquire); }
  /// The model.
  ///   Errors: ApiError 503 while it loads.
  const ServedModel& require_model() const;
  /// Makes the model known; once.
  void set_model(std::unique_ptr<ServedModel> model);

  /// Refuses new generation from now on.
  void begin_drain();
  bool draining() const { return draining_; }

  Metrics& metrics() { return metrics_; }
  LiveCalls& live_calls() { return live_calls_; }
  IdSource& ids() { return ids_; }
  SideThread& aside() { return aside_; }

 private:
  const ServerIdentity identity_;
  std::unique_ptr<ServedModel> model_;
  std::atomic<const ServedModel*> ready_{nullptr};
  std::atomic<bool> draining_{false};
  Metrics metrics_;
  LiveCalls live_calls_;
  IdSource ids_;
  SideThread aside_;  // last: its tasks use the rest
};

/// Checks the model a request names; "" is the served one.
///   Errors: ApiError 404.
void check_model_name(const ServerContext& context, const std::string& name);

}  // namespace nvllm::server
