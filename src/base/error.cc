#include "base/error.h"

namespace nvllm {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage: return "usage";
    case ErrorKind::kNotFound: return "not_found";
    case ErrorKind::kBadFile: return "bad_file";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kOutOfBudget: return "out_of_budget";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kDevice: return "device";
    case ErrorKind::kInternal: return "internal";
  }
  return "unknown";
}

}  // namespace nvllm
