#pragma once

#include "checkpoint/model_config.h"
#include "kernels/ops.h"

namespace nvllm::model {

/// Turns a model's rope settings into one frequency per rotated pair.
///   Source: Su et al. 2021; llama3 scaling as in Llama 3.1's release; yarn: Peng et al. 2023.
RotaryFrequencies rotary_frequencies(const checkpoint::RopeConfig& rope);

}  // namespace nvllm::model
