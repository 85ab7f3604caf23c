#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/message.h"

namespace nvllm::net {

/// What became of bytes handed to a stream.
enum class SendResult {
  kSent,  ///< taken
  kFull,  ///< taken, but the client reads slowly: wait for `writable` before sending more
  kGone,  ///< dropped: the client left or the answer was already over
};

/// What the owner of an exchange wants to hear about. Both run on the connection's own sequence.
struct ExchangeEvents {
  std::function<void()> gone{};      ///< once, if the client leaves before the answer is complete
  std::function<void()> writable{};  ///< after kFull, when there is room again
};

/// One request and the answer it is owed. The client is watched for leaving all the time, also
/// while nothing is written; a half-closed connection counts as left. All functions may be called
/// from any thread. An exchange that is dropped without an answer answers 500 by itself.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  /// Answers completely. The first answer wins; later calls do nothing.
  virtual void respond(HttpResponse response) = 0;
  /// Begins an answer of unknown length.
  virtual SendResult start_stream(HttpResponse head) = 0;
  virtual SendResult send(std::string_view bytes) = 0;
  /// Ends the stream properly.
  virtual void finish_stream() = 0;
  /// Ends the connection without the end mark, so that the client sees a transport error and never
  /// takes a half answer for a whole one.
  virtual void abort() = 0;
  /// Replaces the events. If the client has already left, `gone` is still called.
  virtual void watch(ExchangeEvents events) = 0;
  virtual bool gone() const = 0;
  /// Runs a task on the connection's own sequence: never at the same time as its other tasks, its
  /// events or its handler. Tasks still run after the client left.
  virtual void post(std::function<void()> task) = 0;
};

/// Answers requests. Called on the connection's sequence; long work belongs elsewhere.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

}  // namespace nvllm::net
