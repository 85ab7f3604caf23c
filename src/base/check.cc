#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace nvllm::detail {

void check_failed(const char* condition, const std::string& values, std::source_location where) {
  std::fprintf(stderr, "%s:%u: check failed: %s%s%s\n", where.file_name(),
               static_cast<unsigned>(where.line()), condition, values.empty() ? "" : ": ",
               values.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace nvllm::detail
