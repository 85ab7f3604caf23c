#include "engine/token_stream.h"

#include <iterator>
#include <utility>

namespace nvllm::engine {

namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

StreamEvent TokenStream::poll() {
  const std::lock_guard lock(mutex_);
  return std::exchange(pending_, {});
}

StreamEvent TokenStream::wait() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return !pending_.empty(); });
  return std::exchange(pending_, {});
}

void TokenStream::push(StreamEvent event) {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = event.finish != FinishReason::kNone;
    append(pending_.prompt, event.prompt);
    append(pending_.tokens, event.tokens);
    pending_.cached_tokens += event.cached_tokens;
    pending_.finish = event.finish;
    if (finished_) {
      pending_.stop_id = event.stop_id;
      pending_.error = std::move(event.error);
    }
  }
  ready_.notify_all();
  if (notify_) notify_();
}

}  // namespace nvllm::engine
