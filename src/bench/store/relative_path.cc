#include "bench/store/relative_path.h"

namespace nvllm::bench {

bool stays_below(std::string_view relative) {
  while (true) {
    const std::size_t slash = relative.find('/');
    const std::string_view part = relative.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    relative.remove_prefix(slash + 1);
  }
}

}  // namespace nvllm::bench
