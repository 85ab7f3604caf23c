#include "bench/store/git_ignore.h"

#include <fnmatch.h>

namespace nvllm::bench {

std::string git_ignore_text() {
  std::string text = "# Raw files: too large for git. MANIFEST.ignored.sha256 holds their digests.\n";
  for (const std::string_view pattern : kIgnoredPatterns) {
    text += pattern;
    text += '\n';
  }
  return text;
}

bool is_git_ignored(std::string_view relative_path) {
  const std::size_t slash = relative_path.rfind('/');
  const std::string name(slash == std::string_view::npos ? relative_path : relative_path.substr(slash + 1));
  for (const std::string_view pattern : kIgnoredPatterns) {
    if (::fnmatch(std::string(pattern).c_str(), name.c_str(), 0) == 0) return true;
  }
  return false;
}

}  // namespace nvllm::bench
