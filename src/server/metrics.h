#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace nvllm::server {

/// Counts of observations by upper bound, as Prometheus understands a histogram.
class Histogram {
 public:
  /// `bounds` ascending, without infinity.
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value, std::int64_t times = 1);
  /// Appends the sample lines; `labels` is "" or "a=\\"b\\"".
  void write(std::string_view name, std::string_view labels, std::string& out) const;

 private:
  std::vector<double> bounds_;
  std::vector<std::int64_t> counts_;  // one per bound, then the rest
  double sum_ = 0;
  std::int64_t count_ = 0;
};

/// What the server itself measures, per choice. Safe to use from several threads.
class Metrics {
 public:
  void observe_first_token(double seconds);
  /// `seconds` is the mean gap of `count` tokens that arrived together.
  void observe_token_gaps(double seconds, std::int64_t count);
  void observe_finish(engine::FinishReason reason, double seconds);
  void count_refusal(int status);

  /// The whole page: the engine's counters and our own, in Prometheus' text format 0.0.4. Names are
  /// vLLM's where vLLM has the metric.
  std::string write(const engine::EngineStats& stats, std::string_view model_name) const;

 private:
  mutable std::mutex mutex_;
  Histogram first_token_{{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                          1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0}};
  Histogram token_gap_{{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
                        5.0, 7.5, 10.0, 20.0, 40.0, 80.0}};
  Histogram whole_{{0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,   10.0,   15.0,  20.0,
                    30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0}};
  std::array<std::int64_t, 5> finished_{};   // by FinishReason
  std::array<std::int64_t, 600> refused_{};  // by HTTP status
};

}  // namespace nvllm::server
