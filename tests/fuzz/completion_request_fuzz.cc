// Bodies of /v1/completions and /v1/chat/completions: whatever comes, the answer is a request
// within the limits or an ApiError.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/completion_request.h"

namespace {

using namespace nvllm::server;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_fields(const GenerationFields& fields, const RequestBounds& bounds) {
  require(fields.n >= 1 && fields.n <= bounds.limits.n_max);
  require(fields.sampling.temperature >= 0 && fields.sampling.temperature <= 2);
  require(fields.sampling.top_p > 0 && fields.sampling.top_p <= 1);
  require(fields.sampling.min_p >= 0 && fields.sampling.min_p <= 1);
  require(fields.sampling.top_k >= 0 && fields.sampling.top_k < bounds.vocab_size);
  require(fields.sampling.repetition_penalty > 0);
  require(fields.sampling.top_logprobs >= -1 &&
          fields.sampling.top_logprobs <= bounds.limits.top_logprobs_max);
  require(!fields.max_tokens || *fields.max_tokens >= 0);
  for (const auto& [id, bias] : fields.sampling.logit_bias) {
    require(id >= 0 && id < bounds.vocab_size && std::isfinite(bias));
  }
  for (const std::int32_t id : fields.stop_ids) require(id >= 0 && id < bounds.vocab_size);
  for (const std::string& stop : fields.stop) require(!stop.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const RequestBounds bounds{.limits = {}, .vocab_size = 1000};
  try {
    const CompletionRequest request = parse_completion_request(body, bounds);
    check_fields(request.fields, bounds);
    require(!request.prompts.empty());
  } catch (const ApiError& error) {
    require(error.fault().status == 400 && !error_body(error.fault()).empty());
  }
  try {
    const ChatRequest request = parse_chat_request(body, bounds);
    check_fields(request.fields, bounds);
    require(!request.prompt.messages.empty());
  } catch (const ApiError& error) {
    require(error.fault().status == 400 && !error_body(error.fault()).empty());
  }
  return 0;
}
