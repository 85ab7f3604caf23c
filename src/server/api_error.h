#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/message.h"

namespace nvllm::server {

/// What a client is told when its call is refused.
struct ApiFault {
  int status = 400;
  std::string message{};
  std::string param{};  ///< the field at fault; "" if none
  std::string code{};   ///< a word for programs, such as "model_not_found"; "" if none
  std::int64_t retry_after_seconds = 0;  ///< 0: no Retry-After header
};

/// Thrown while a request is read or admitted; ends in an answer of OpenAI's error shape.
class ApiError : public Error {
 public:
  explicit ApiError(ApiFault fault, std::source_location where = std::source_location::current());
  const ApiFault& fault() const { return fault_; }

 private:
  ApiFault fault_;
};

/// A 400 about one field. `problem` follows the field's name: "must be ...".
ApiError bad_field(std::string_view param, std::string_view problem);

/// {"error": {"message", "type", "param", "code"}} on one line.
std::string error_body(const ApiFault& fault);
net::HttpResponse error_response(const ApiFault& fault);

/// What an exception that ended a request tells the client. Faults of our own are told without
/// details; those belong into the log.
ApiFault fault_of(const std::exception& error);

}  // namespace nvllm::server
