// Error texts are fixed words plus field names and numbers; bytes of the request are never echoed.
#include "server/api_error.h"

#include <new>

#include "base/json.h"

namespace nvllm::server {
namespace {

ErrorKind kind_of(int status) {
  if (status == 404) return ErrorKind::kNotFound;
  if (status == 429 || status == 503) return ErrorKind::kUnavailable;
  return status >= 500 ? ErrorKind::kInternal : ErrorKind::kUsage;
}

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

ApiError::ApiError(ApiFault fault, std::source_location where)
    : Error(kind_of(fault.status), fault.message, where), fault_(std::move(fault)) {}

ApiError bad_field(std::string_view param, std::string_view problem) {
  return ApiError(
      {.message = std::string(param) + " " + std::string(problem), .param = std::string(param)});
}

std::string error_body(const ApiFault& fault) {
  Json error;
  error["message"] = fault.message;
  error["type"] = type_of(fault.status);
  error["param"] = text_or_null(fault.param);
  error["code"] = text_or_null(fault.code);
  Json body;
  body["error"] = std::move(error);
  return dump_json(body);
}

net::HttpResponse error_response(const ApiFault& fault) {
  net::HttpResponse response{.status = fault.status, .body = error_body(fault)};
  if (fault.retry_after_seconds > 0) {
    response.headers.push_back({"Retry-After", std::to_string(fault.retry_after_seconds)});
  }
  if (fault.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

ApiFault fault_of(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return api->fault();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {.status = 503, .message = "out of memory for this request", .retry_after_seconds = 1};
  }
  const auto* house = dynamic_cast<const Error*>(&error);
  if (house != nullptr && house->kind() == ErrorKind::kUsage) return {.message = house->what()};
  if (house != nullptr && house->kind() == ErrorKind::kUnsupported)
    return {.message = house->what()};
  if (house != nullptr && house->kind() == ErrorKind::kUnavailable) {
    return {.status = 503, .message = house->what(), .retry_after_seconds = 1};
  }
  return {.status = 500, .message = "the request failed inside the server"};
}

}  // namespace nvllm::server
