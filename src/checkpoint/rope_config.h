#pragma once

#include "checkpoint/config_fields.h"
#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

/// Normalises the spellings of the rotary embedding: rope_scaling, rope_parameters, or top-level
/// keys. `config` has family, head_dim and max_positions already.
///   Errors: Error(kBadFile) naming the field; Error(kUnsupported) for another rope_type.
RopeConfig parse_rope(const ConfigFields& text, const ModelConfig& config,
                      std::string_view file_name);

}  // namespace nvllm::checkpoint
