#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nvllm::net {

/// One header field. The value is opaque bytes: nothing decodes it.
struct HeaderField {
  std::string name{};
  std::string value{};
};

/// A complete request as it came in.
struct HttpRequest {
  std::string method{};  ///< "GET", "POST", ...
  std::string target{};  ///< as sent, with the query
  std::vector<HeaderField> headers{};
  std::string body{};

  /// The target up to '?'; nothing is percent-decoded.
  std::string_view path() const;
  /// The value of the first field of this name (any case), or nullptr.
  const std::string* header(std::string_view name) const;
};

/// A complete answer, or the head of a streamed one (whose `body` is then the first data).
struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<HeaderField> headers{};
  std::string body{};

  /// The value of the first field of this name (any case), or nullptr.
  const std::string* header(std::string_view name) const;
};

/// "OK", "Not Found", ...; "Unknown" for a status outside the table.
std::string_view reason_phrase(int status);

/// ASCII comparison without regard to case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace nvllm::net
