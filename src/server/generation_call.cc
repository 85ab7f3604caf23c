// The engine thread wakes a call at most once per look: the flag `awake_` folds many notifications
// into one task on the connection's sequence, which then takes everything that is there. Between
// the engine and a slow reader nothing piles up but token ids, whose number the request itself
// bounds.
#include "server/generation_call.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "net/server_sent_events.h"
#include "server/api_error.h"

namespace nvllm::server {
namespace {

using engine::FinishReason;
using engine::SubmitOutcome;

SteadyTime now() { return SystemClock().now(); }

ApiFault fault_of_outcome(SubmitOutcome outcome) {
  switch (outcome) {
    case SubmitOutcome::kQueueFull:
      return {.status = 429,
              .message = "the queue of waiting requests is full; try again later",
              .code = "queue_full",
              .retry_after_seconds = 1};
    case SubmitOutcome::kDraining:
      return {.status = 503,
              .message = "the server is shutting down",
              .code = "draining",
              .retry_after_seconds = 5};
    default:
      return {.status = 503, .message = "the engine has failed", .code = "engine_dead"};
  }
}

/// An end the client did not ask for.
bool is_failure(FinishReason reason) {
  return reason == FinishReason::kError || reason == FinishReason::kCancelled;
}

ApiFault fault_of_end(const ChoiceNews& news) {
  if (news.finish == FinishReason::kCancelled) return fault_of_outcome(SubmitOutcome::kDraining);
  // The engine's own words are for the log, not for strangers.
  return {.status = 500, .message = "the engine failed while it generated", .code = "engine_error"};
}

void append(ChoiceNews& all, ChoiceNews news) {
  const auto move_to = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  move_to(all.prompt, news.prompt);
  move_to(all.tokens, news.tokens);
  if (news.parts) {
    if (!all.parts) all.parts.emplace();
    for (ReplyPart& part : *news.parts) add_part(*all.parts, std::move(part));
  } else {
    all.text += news.text;
  }
  all.finish = news.finish;
  all.stop_reason = std::move(news.stop_reason);
}

}  // namespace

GenerationCall::GenerationCall(CallSetup setup) : setup_(std::move(setup)) {}

void GenerationCall::start(CallSetup setup, std::vector<engine::GenerationRequest> requests) {
  const auto call = std::make_shared<GenerationCall>(std::move(setup));
  call->submit(std::move(requests));
  call->open();
}

void GenerationCall::submit(std::vector<engine::GenerationRequest> requests) {
  if (setup_.context.draining()) throw ApiError(fault_of_outcome(SubmitOutcome::kDraining));
  const std::int64_t inbox = setup_.model.generator->limits().inbox_limit;
  if (inbox > 0 && static_cast<std::int64_t>(requests.size()) > inbox) {
    throw ApiError({.message = fmt::format("the call asks for {} sequences (prompts times n); at "
                                           "most {} can wait at once",
                                           requests.size(), inbox),
                    .param = "n"});
  }
  // Weak: the engine must neither keep a call alive nor be the one who destroys it.
  const auto submissions =
      setup_.model.generator->submit_all(std::move(requests), [self = weak_from_this()] {
        if (const auto call = self.lock()) call->wake();
      });
  for (const engine::Submission& submission : submissions) {
    if (submission.outcome != SubmitOutcome::kAccepted) {
      throw ApiError(fault_of_outcome(submission.outcome));
    }
    tracks_.push_back({Choice(setup_.model.tokenizer, setup_.text, submission.stream)});
  }
}

void GenerationCall::open() {
  const auto self = shared_from_this();
  ticket_ = setup_.context.live_calls().add([weak = weak_from_this()] {
    if (const auto call = weak.lock()) {
      call->setup_.exchange->post([call] { call->end_for_shutdown(); });
    }
  });
  setup_.exchange->watch({.gone = [self] { self->client_left(); },
                          .writable =
                              [self] {
                                self->paused_ = false;
                                self->pump();
                              }});
  if (setup_.delivery.stream) {
    net::HttpResponse head{.content_type = "text/event-stream; charset=utf-8"};
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    setup_.exchange->start_stream(std::move(head));
    for (Json& chunk : setup_.format->opening_chunks()) send(std::move(chunk));
  }
  pump();  // news may have come before the call could be woken
}

void GenerationCall::wake() {
  if (awake_.exchange(true)) return;
  setup_.exchange->post([self = shared_from_this()] { self->pump(); });
}

void GenerationCall::pump() {
  awake_ = false;  // before looking: news that comes from here on wakes again
  for (std::size_t i = 0; i < tracks_.size() && !paused_ && !over_; ++i) {
    if (tracks_[i].choice.finished()) continue;
    ChoiceNews news = tracks_[i].choice.poll();
    if (!news.empty()) take(i, std::move(news));
  }
  if (!over_ && all_finished()) complete();
}

void GenerationCall::take(std::size_t index, ChoiceNews news) {
  Track& track = tracks_[index];
  track.cached_tokens += news.cached_tokens;
  observe(track, news);
  if (!news.error.empty()) log(LogLevel::kError, "server", setup_.id + ": " + news.error);
  if (setup_.delivery.stream) return stream(index, news);
  if (is_failure(news.finish)) {
    const ApiFault fault = fault_of_end(news);
    cancel_unfinished(FinishReason::kCancelled);
    setup_.exchange->respond(error_response(fault));
    return release("error");
  }
  append(track.all, std::move(news));
}

void GenerationCall::observe(Track& track, const ChoiceNews& news) {
  Metrics& metrics = setup_.context.metrics();
  const SteadyTime time = now();
  const auto count = static_cast<std::int64_t>(news.tokens.size());
  if (count > 0) {
    if (track.last_token == SteadyTime{}) {
      const double seconds = seconds_between(setup_.arrived, time);
      metrics.observe_first_token(seconds);
      if (first_token_seconds_ < 0) first_token_seconds_ = seconds;
    } else {
      const double gap = seconds_between(track.last_token, time) / static_cast<double>(count);
      metrics.observe_token_gaps(gap, count);
    }
    track.last_token = time;
  }
  if (news.finish == FinishReason::kNone) return;
  metrics.observe_finish(news.finish, seconds_between(setup_.arrived, time));
  const std::string reason(engine::to_string(news.finish));
  if (reasons_.find(reason) == std::string::npos)
    reasons_ += (reasons_.empty() ? "" : ",") + reason;
}

void GenerationCall::stream(std::size_t index, const ChoiceNews& news) {
  if (is_failure(news.finish)) return send_error(fault_of_end(news));
  for (Json& chunk : setup_.format->chunks(index, news)) send(std::move(chunk));
}

void GenerationCall::send(Json chunk) {
  if (setup_.delivery.continuous_usage) {
    chunk["usage"] = usage();
  } else if (setup_.delivery.include_usage && !chunk.contains("usage")) {
    chunk["usage"] = nullptr;
  }
  const net::SendResult result = setup_.exchange->send(net::sse_event(dump_json(chunk)));
  if (result == net::SendResult::kFull) paused_ = true;
}

void GenerationCall::send_error(const ApiFault& fault) {
  const net::SendResult result = setup_.exchange->send(net::sse_event(error_body(fault)));
  if (result == net::SendResult::kFull) paused_ = true;
}

void GenerationCall::complete() {
  if (!setup_.delivery.stream) {
    std::vector<ChoiceNews> choices;
    for (Track& track : tracks_) choices.push_back(std::move(track.all));
    Json answer = setup_.format->whole(choices);
    answer["usage"] = usage();
    setup_.exchange->respond({.body = dump_json(answer)});
    return release(reasons_);
  }
  if (setup_.delivery.include_usage) {
    Json chunk = setup_.format->empty_chunk();
    chunk["usage"] = usage();
    send(std::move(chunk));
  }
  setup_.exchange->send(net::sse_event("[DONE]"));
  setup_.exchange->finish_stream();
  release(reasons_);
}

void GenerationCall::client_left() {
  if (over_) return;
  cancel_unfinished(FinishReason::kCancelled);
  release("client_left");
}

void GenerationCall::end_for_shutdown() {
  if (over_) return;
  const ApiFault fault = fault_of_outcome(SubmitOutcome::kDraining);
  if (setup_.delivery.stream) {
    for (const Track& track : tracks_) {
      if (!track.choice.finished()) send_error(fault);
    }
    setup_.exchange->send(net::sse_event("[DONE]"));
    setup_.exchange->finish_stream();
  } else {
    setup_.exchange->respond(error_response(fault));
  }
  cancel_unfinished(FinishReason::kCancelled);
  release("shutdown");
}

void GenerationCall::cancel_unfinished(FinishReason reason) {
  const double seconds = seconds_between(setup_.arrived, now());
  for (Track& track : tracks_) {
    if (track.choice.finished()) continue;
    track.choice.cancel();
    setup_.context.metrics().observe_finish(reason, seconds);
  }
}

void GenerationCall::release(std::string_view outcome) {
  over_ = true;
  setup_.context.live_calls().remove(ticket_);
  std::int64_t count = 0;
  for (const Track& track : tracks_) count += track.choice.token_count();
  const double seconds = seconds_between(setup_.arrived, now());
  log(LogLevel::kInfo, "server",
      fmt::format("request id={} choices={} ids_in={} ids_out={} ttft_ms={:.1f} seconds={:.3f} "
                  "tokens_per_second={:.1f} reason={}",
                  setup_.id, tracks_.size(), setup_.prompt_token_count, count,
                  std::max(0.0, first_token_seconds_) * 1e3, seconds,
                  seconds > 0 ? static_cast<double>(count) / seconds : 0.0, outcome));
}

bool GenerationCall::all_finished() const {
  return std::all_of(tracks_.begin(), tracks_.end(),
                     [](const Track& track) { return track.choice.finished(); });
}

Json GenerationCall::usage() const {
  std::int64_t completion = 0, reasoning = 0;
  for (const Track& track : tracks_) {
    completion += track.choice.token_count();
    reasoning += track.choice.reasoning_token_count();
  }
  // As of its tokens, each prompt counts once: what its first sample found.
  std::int64_t cached = 0;
  for (std::size_t i = 0; i < tracks_.size(); i += setup_.samples_per_prompt) cached += tracks_[i].cached_tokens;
  Json object;
  object["prompt_tokens"] = setup_.prompt_token_count;
  object["total_tokens"] = setup_.prompt_token_count + completion;
  object["completion_tokens"] = completion;
  object["prompt_tokens_details"]["cached_tokens"] = cached;
  if (setup_.text.reply && setup_.text.reply->thinking) {
    object["completion_tokens_details"]["reasoning_tokens"] = reasoning;
  }
  return object;
}

}  // namespace nvllm::server
