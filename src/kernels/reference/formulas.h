#pragma once

// The scalar functions that several of the oracle's words are made of.

#include <cmath>
#include <cstdint>
#include <vector>

namespace nvllm::reference {

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline double silu(double x) { return x * sigmoid(x); }
inline double softplus(double x) { return x > 20.0 ? x : std::log1p(std::exp(x)); }

/// x scaled to unit length, as the delta rule wants queries and keys.
inline std::vector<double> unit(const double* x, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] * x[i];
  const double scale = 1.0 / std::sqrt(sum + 1e-6);
  std::vector<double> out(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = x[i] * scale;
  return out;
}

}  // namespace nvllm::reference
