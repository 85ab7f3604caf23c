#pragma once

#include <string>
#include <string_view>

#include "net/message.h"

namespace nvllm::net {

/// How one answer is put on the wire.
struct ResponseFraming {
  bool chunked = false;     ///< streams use chunks (HTTP/1.1); otherwise the connection's end
  bool keep_alive = false;  ///< the connection goes on afterwards
  bool omit_body = false;   ///< the answer to HEAD
};

/// A complete answer with its length.
std::string write_response(const HttpResponse& response, const ResponseFraming& framing);
/// The head of an answer of unknown length, followed by its `body` as first data.
std::string write_stream_head(const HttpResponse& head, const ResponseFraming& framing);
/// Appends stream data; empty data appends nothing (an empty chunk would end the stream).
void append_stream_data(std::string_view bytes, const ResponseFraming& framing, std::string& out);
/// Appends the proper end of a stream.
void append_stream_end(const ResponseFraming& framing, std::string& out);

}  // namespace nvllm::net
