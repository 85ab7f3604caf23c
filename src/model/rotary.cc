#include "model/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nvllm::model {

namespace {

using checkpoint::RopeConfig;

/// Long wavelengths are stretched, short ones kept, those between are blended.
double llama3_scaled(double inverse, const RopeConfig& rope) {
  const double wavelength = 2 * std::numbers::pi / inverse;
  if (wavelength < rope.original_positions / rope.high_freq_factor) return inverse;
  if (wavelength > rope.original_positions / rope.low_freq_factor) return inverse / rope.factor;
  const double blend = (rope.original_positions / wavelength - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor);
  return inverse * ((1 - blend) / rope.factor + blend);
}

/// The pair index whose wavelength turns `rotations` times over the original context.
double yarn_dimension(double rotations, const RopeConfig& rope) {
  return static_cast<double>(rope.rotary_dims) *
         std::log(rope.original_positions / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

void scale_yarn(std::vector<double>& inverse, const RopeConfig& rope) {
  const double low = std::max(std::floor(yarn_dimension(rope.beta_fast, rope)), 0.0);
  const double high = std::min(std::ceil(yarn_dimension(rope.beta_slow, rope)),
                               static_cast<double>(rope.rotary_dims - 1));
  const double width = high > low ? high - low : 0.001;  // equal bounds: a step, not a division by zero
  for (std::size_t j = 0; j < inverse.size(); ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / width, 0.0, 1.0);
    inverse[j] = inverse[j] / rope.factor * ramp + inverse[j] * (1 - ramp);
  }
}

}  // namespace

RotaryFrequencies rotary_frequencies(const RopeConfig& rope) {
  RotaryFrequencies out;
  for (std::int64_t j = 0; j < rope.rotary_dims / 2; ++j) {
    double inverse = std::pow(rope.theta, -2.0 * static_cast<double>(j) / static_cast<double>(rope.rotary_dims));
    if (rope.scaling == RopeConfig::Scaling::kLlama3) inverse = llama3_scaled(inverse, rope);
    out.inverse.push_back(inverse);
  }
  if (rope.scaling == RopeConfig::Scaling::kYarn) {
    scale_yarn(out.inverse, rope);
    out.magnitude = rope.attention_factor;
  }
  return out;
}

}  // namespace nvllm::model
