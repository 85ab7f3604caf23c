// The server's life: listen at once (so that /health can say "loading"), load in the background,
// serve until a signal, finish what is running, leave. Signals are waited for, not handled: all
// threads block them and the main thread asks for the next one.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "bench/profile/engine_profiler.h"
#include "cli/command_table.h"
#include "cli/engine_flags.h"
#include "cli/progress_bar.h"
#include "engine/engine.h"
#include "server/api.h"

namespace nvllm::cli {
namespace {

constexpr std::chrono::milliseconds kLookInterval{100};
constexpr std::chrono::seconds kLastWordsTime{2};

struct ServeOptions {
  std::string model;
  std::string tokenizer;
  std::string host = "127.0.0.1";
  std::int64_t port = 8000;
  std::vector<std::string> served_model_names;
  std::vector<std::string> allowed_hosts;
  std::string api_key_file;
  std::string log_level = "info";
  std::string profile_dir;
  std::string evidence_dir;
  std::int64_t io_threads = 2;
  double shutdown_timeout_seconds = 30;
  std::int64_t step_timeout_seconds = std::chrono::seconds(server::ServerLimits{}.step_time_max).count();
  bool without_key = false;
  server::SpeechOptions speech;
  EngineFlags engine;
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

server::ApiKeys load_keys(const ServeOptions& options) {
  if (!options.api_key_file.empty()) return server::ApiKeys::load(options.api_key_file);
  if (!is_loopback(options.host) && !options.without_key) {
    throw Error(ErrorKind::kUsage,
                "--host " + options.host +
                    " can be reached from other machines: give --api-key-file FILE, or "
                    "--no-api-key if everyone who reaches it may use it");
  }
  return {};
}

std::vector<std::string> model_names(const ServeOptions& options) {
  if (!options.served_model_names.empty()) return options.served_model_names;
  const std::filesystem::path path(options.model);
  const std::filesystem::path name = path.has_filename() ? path.filename()
                                                         : path.parent_path().filename();
  return {name.empty() || name == "." ? options.model : name.string()};
}

std::unique_ptr<server::ServedModel> load_model(const ServeOptions& options) {
  const bool synthetic = options.model.starts_with("synthetic:");
  if (synthetic && options.tokenizer.empty()) {
    throw Error(ErrorKind::kUsage,
                options.model + " has no tokenizer of its own: give --tokenizer DIR");
  }
  const std::string folder = options.tokenizer.empty() ? options.model : options.tokenizer;
  // The small files first: a wrong folder should not cost the time of loading weights.
  auto tokenizer = tokenizer::Tokenizer::load(folder);
  auto chat_template = tokenizer::ChatTemplate::load(folder);
  const server::ModelSpeech speech = server::speech_of(chat_template, options.speech);
  ProgressBar bar("loading " + options.model);
  auto engine = engine::open_engine(
      options.model, engine_options(options.engine),
      [&bar](std::int64_t done, std::int64_t total) { bar.show(done, total); });
  const engine::EngineLimits& limits = engine->limits();
  if (tokenizer.vocab_size() > limits.vocab_size) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: the tokenizer has {} tokens, but the model knows only {}", folder,
                            tokenizer.vocab_size(), limits.vocab_size));
  }
  log(LogLevel::kInfo, "server",
      fmt::format("loaded model={} device=\"{}\" leg={} sequences={} context={} kv_blocks={} "
                  "state_slots={} {}",
                  options.model, limits.device, limits.leg, limits.max_num_seqs,
                  limits.max_model_len, limits.kv_block_count, limits.state_slot_count,
                  server::to_string(speech)));
  std::unique_ptr<server::Profiler> profiler;
  if (!options.profile_dir.empty()) {
    profiler = std::make_unique<bench::EngineProfiler>(
        *engine, bench::EngineProfilerOptions{.root = options.profile_dir,
                                              .model = model_names(options).front(),
                                              .version = NVLLM_VERSION});
  }
  return std::make_unique<server::ServedModel>(
      server::ServedModel{std::make_unique<server::EngineGenerator>(std::move(engine)),
                          std::move(tokenizer), std::move(chat_template), speech,
                          std::move(profiler)});
}

/// SIGTERM and SIGINT, blocked in every thread that is started from here on.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  /// Whether one came within the time.
  bool wait(std::chrono::milliseconds time) const {
    const timespec limit{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  sigset_t set_;
};

/// Loads on a thread of its own and keeps what became of it.
class Loader {
 public:
  Loader(server::ServerContext& context, const ServeOptions& options)
      : thread_([this, &context, &options] {
          try {
            context.set_model(load_model(options));
          } catch (...) {
            error_ = std::current_exception();
          }
          finished_ = true;
        }) {}
  ~Loader() { thread_.join(); }

  bool finished() const { return finished_; }
  void rethrow_failure() const {
    if (finished_ && error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

bool all_answered(server::ServerContext& context, const net::HttpServer& http) {
  return context.live_calls().count() == 0 && http.active_exchange_count() == 0;
}

/// Finishes what is running, within the limit or until the next signal, and ends the rest with an
/// error that clients can read.
void drain(server::ServerContext& context, const net::HttpServer& http, const Signals& signals,
           std::chrono::duration<double> limit) {
  context.begin_drain();
  log(LogLevel::kInfo, "server",
      fmt::format("shutting down: {} calls are finishing, at most {} s",
                  context.live_calls().count(), limit.count()));
  const SteadyTime begin = SystemClock().now();
  while (!all_answered(context, http)) {
    if (signals.wait(kLookInterval)) break;
    if (seconds_between(begin, SystemClock().now()) > limit.count()) break;
  }
  const std::int64_t unfinished = context.live_calls().count();
  if (unfinished == 0) return;
  log(LogLevel::kWarning, "server", fmt::format("ending {} unfinished calls", unfinished));
  context.live_calls().end_all();
  const SteadyTime last = SystemClock().now();
  while (!all_answered(context, http) &&
         seconds_between(last, SystemClock().now()) < kLastWordsTime.count()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

/// Tells every client, and ends the process without the engine's thread, which would have to be waited for.
[[noreturn]] void leave_hung_engine(server::ServerContext& context, const net::HttpServer& http, const ServeOptions& options) {
  log(LogLevel::kError, "server",
      fmt::format("a step has not ended in {} s; exiting so that the server can be restarted (--step-timeout)", options.step_timeout_seconds));
  context.begin_drain();
  context.live_calls().end_all();
  const SteadyTime begin = SystemClock().now();
  while (!all_answered(context, http) && seconds_between(begin, SystemClock().now()) < kLastWordsTime.count()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::fflush(nullptr);
  std::_Exit(kFault);
}

/// Serves until a signal or the engine's death; returns the exit code.
int serve_until_signal(server::ServerContext& context, const net::HttpServer& http,
                       const Signals& signals, const ServeOptions& options) {
  const Loader loader(context, options);
  while (true) {
    const bool signalled = signals.wait(kLookInterval);
    loader.rethrow_failure();
    if (signalled && !loader.finished()) {
      log(LogLevel::kInfo, "server", "stopped while loading");
      std::_Exit(kDone);  // nothing is being served, and packing weights cannot be interrupted
    }
    if (signalled) break;
    const server::ServedModel* model = context.model();
    if (model == nullptr) continue;
    const engine::EngineStats stats = model->generator->stats();
    if (stats.alive && stats.seconds_since_step > static_cast<double>(options.step_timeout_seconds)) leave_hung_engine(context, http, options);
    if (stats.alive) continue;
    log(LogLevel::kError, "server", "the engine has failed; exiting so that it can be restarted");
    drain(context, http, signals, std::chrono::duration<double>(kLastWordsTime));
    return kFault;
  }
  drain(context, http, signals, std::chrono::duration<double>(options.shutdown_timeout_seconds));
  return kDone;
}

int serve(ServeOptions options) {
  set_log_level(parse_log_level(options.log_level));
  static_cast<void>(engine_options(options.engine));  // a bad value is refused before the port is taken
  if (!options.profile_dir.empty()) bench::require_profile_root(options.profile_dir);
  server::ApiKeys keys = load_keys(options);
  const Signals signals;
  server::ServerContext context(
      {.model_names = model_names(options), .version = NVLLM_VERSION, .created = server::unix_time(),
       .limits = {.step_time_max = std::chrono::seconds(options.step_timeout_seconds)}, .evidence_dir = options.evidence_dir});
  server::Api api(context, std::move(keys));
  net::HttpServer http({.host = options.host,
                        .port = static_cast<std::uint16_t>(options.port),
                        .thread_count = options.io_threads,
                        .allowed_hosts = options.allowed_hosts,
                        .error_page = server::Api::error_page()},
                       api.handler());
  log(LogLevel::kInfo, "server",
      fmt::format("listening on http://{}:{} model={}", options.host, http.port(),
                  context.identity().model_names.front()));
  // For scripts that asked for port 0: the only line on stdout.
  fmt::print("http://{}:{}\n", options.host, http.port());
  std::fflush(stdout);
  const int code = serve_until_signal(context, http, signals, options);
  context.aside().finish();  // its tasks answer on connections
  http.stop();
  log(LogLevel::kInfo, "server", "stopped");
  return code;
}

}  // namespace

void configure_serve(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ServeOptions>();
  app.add_option("--model", options->model, "Checkpoint folder, or synthetic:NAME")->required();
  app.add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer, if not the model's");
  app.add_option("--host", options->host, "Address to listen on")->capture_default_str();
  app.add_option("--port", options->port, "Port; 0 takes any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--served-model-name", options->served_model_names,
                 "Names requests may use; the first is shown");
  add_memory_flags(app, options->engine);
  add_batch_flags(app, options->engine);
  add_prefix_flags(app, options->engine);
  add_fusion_flags(app, options->engine);
  app.add_option("--max-waiting", options->engine.options.inbox_limit,
                 "Sequences that may wait; beyond, 429")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--io-threads", options->io_threads, "Threads for connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--api-key-file", options->api_key_file, "File with one key per line");
  app.add_flag("--no-api-key", options->without_key,
               "Listen beyond this machine without keys");
  app.add_option("--allowed-host", options->allowed_hosts,
                 "Further names a Host or Origin header may carry");
  app.add_option("--shutdown-timeout", options->shutdown_timeout_seconds,
                 "Seconds to finish running requests after SIGTERM")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--reasoning-parser", options->speech.reasoning_parser,
                 "How thoughts are told from answers: auto (by the chat template), think or none")
      ->check(CLI::IsMember({"auto", "think", "qwen3", "deepseek_r1", "none"}))
      ->capture_default_str();
  app.add_option("--tool-call-parser", options->speech.tool_call_parser,
                 "How calls of functions are written: auto (by the chat template), hermes, "
                 "qwen3_xml or none")
      ->check(CLI::IsMember({"auto", "hermes", "qwen3_xml", "qwen3_coder", "none"}))
      ->capture_default_str();
  app.add_option("--step-timeout", options->step_timeout_seconds,
                 "Seconds that a step may take; then /health says so, every call ends, and the program with status 9")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--profile-dir", options->profile_dir,
                 "Folder for kernel profiles; turns on POST /start_profile and /stop_profile");
  app.add_option("--evidence-dir", options->evidence_dir,
                 "Folder of evidence folders, whose reports the page at / shows")
      ->check(CLI::ExistingDirectory);
  app.add_option("--log-level", options->log_level, "debug, info, warning, error or off")
      ->capture_default_str();
  action = [options] { return serve(*options); };
}

}  // namespace nvllm::cli
