#pragma once

#include <cstdint>
#include <string>

namespace nvllm::cli {

/// A line on stderr that shows how far a long work has come; silent where stderr is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Units: bytes.
  void show(std::int64_t done, std::int64_t total);

 private:
  std::string label_;
  bool terminal_ = false;
  int shown_percent_ = -1;
};

}  // namespace nvllm::cli
