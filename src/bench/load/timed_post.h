#pragma once

// One POST whose answer is timed event by event and cut off at a deadline. net::HttpClient limits
// the silence between two bytes; a promise of "180 seconds, all in all" needs a limit of the whole,
// and a stamp taken as the bytes arrive, before anything is parsed.

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace nvllm::bench {

/// How a request ended.
enum class PostEnd {
  kComplete,  ///< the whole answer, whatever its status
  kDeadline,  ///< cut off: the connection was closed at the deadline
  kRefused,   ///< no connection
  kBroke,     ///< the connection ended within the answer, or what came was no HTTP
};

/// What came back.
struct PostResult {
  PostEnd end = PostEnd::kRefused;
  int status = 0;             ///< 0: no head came
  std::string body;           ///< of an answer that was no event stream
  std::string error;          ///< in words, unless kComplete
  SteadyTime sent{}, done{};  ///< before connecting, and after the last byte
};

/// Where and as whom.
struct PostTarget {
  std::string url;      ///< "http://host[:port][/prefix]"
  std::string api_key;  ///< may be empty
};

/// Called for each event of an event stream, with the time its bytes arrived.
using OnTimedEvent = std::function<void(std::string_view data, SteadyTime at)>;

/// Posts JSON over a connection of its own and reads until the answer ends or `deadline` has come.
///   Errors: Error(kUsage) for a bad URL; everything else is in the result.
[[nodiscard]] PostResult timed_post(const PostTarget& target, std::string_view path, std::string_view json_body,
                                    SteadyTime deadline, const OnTimedEvent& on_event);

}  // namespace nvllm::bench
