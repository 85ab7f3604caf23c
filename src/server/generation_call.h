#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "net/exchange.h"
#include "server/api_error.h"
#include "server/reply_format.h"
#include "server/server_context.h"

namespace nvllm::server {

/// What a call brings with it.
struct CallSetup {
  std::shared_ptr<net::Exchange> exchange;
  ServerContext& context;
  const ServedModel& model;
  std::string id{};
  DeliveryFields delivery{};
  TextOptions text{};
  std::unique_ptr<ReplyFormat> format{};
  std::int64_t prompt_token_count = 0;  ///< each prompt once, whatever n
  std::size_t samples_per_prompt = 1;
  SteadyTime arrived{};
};

/// One call to a completion endpoint, from admission to the last byte. Lives on its connection's
/// own sequence: the engine only wakes it. Every choice ends exactly once, by a finish reason or an
/// error; when the client leaves, all its sequences are cancelled at once.
class GenerationCall : public std::enable_shared_from_this<GenerationCall> {
 public:
  /// Submits the requests and begins to answer.
  ///   Errors: ApiError 429 if the queue is full, 503 if draining or dead, 400 if the engine cannot
  ///           take a prompt.
  static void start(CallSetup setup, std::vector<engine::GenerationRequest> requests);

  explicit GenerationCall(CallSetup setup);
  GenerationCall(const GenerationCall&) = delete;
  GenerationCall& operator=(const GenerationCall&) = delete;

 private:
  /// One sequence of the call.
  struct Track {
    Choice choice;
    ChoiceNews all{};  ///< collected, when the answer is not streamed
    SteadyTime last_token{};
    std::int64_t cached_tokens = 0;
  };

  void submit(std::vector<engine::GenerationRequest> requests);
  void open();
  void wake();
  void pump();
  void take(std::size_t index, ChoiceNews news);
  void observe(Track& track, const ChoiceNews& news);
  void stream(std::size_t index, const ChoiceNews& news);
  void send(Json chunk);
  void send_error(const ApiFault& fault);
  void complete();
  void client_left();
  void end_for_shutdown();
  void cancel_unfinished(engine::FinishReason reason);
  void release(std::string_view outcome);
  bool all_finished() const;
  Json usage() const;

  CallSetup setup_;
  std::vector<Track> tracks_;
  std::atomic<bool> awake_{false};
  bool paused_ = false;
  bool over_ = false;
  std::int64_t ticket_ = 0;
  double first_token_seconds_ = -1;
  std::string reasons_;
};

}  // namespace nvllm::server
