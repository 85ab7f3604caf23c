#pragma once

// Analysis files of synthetic folders, for the parts of a report.

#include <string>

#include "bench/analysis/synthetic_folders.h"

namespace nvllm::bench {

/// What a hostile name or text looks like.
inline const std::string kHostile = "</title><script>alert(\"1\")</script><b onclick='x'>&";

/// Four boots a side, nothing changed.
inline Json unchanged() { return compared(folder(4), folder(4)).analysis; }

/// A folder for want of a baseline, as a sweep writes it.
inline Json alone(const EvidenceFolder& now) {
  Json analysis = compared(now, now).analysis;
  analysis["comparability"]["baseline"]["name"] = "no baseline (the folder itself)";
  return analysis;
}

/// How often `part` is found.
inline std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++count;
  return count;
}

}  // namespace nvllm::bench
