#pragma once

// Which tensors a model of a given configuration must have, and in which shapes. The one place
// where a tensor's name is spelled.

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

/// One tensor or one linear module (whose tensors depend on its quantisation).
struct WeightSpec {
  enum class Role {
    kMatrix,  ///< name is the module: "….q_proj"; stored plain or quantised
    kVector,  ///< name is the whole tensor: "….input_layernorm.weight"
  };
  std::string name;
  Role role = Role::kVector;
  std::vector<std::int64_t> shape;
};

/// The names of one layer. Modules carry no ".weight"; vectors are whole tensor names.
struct LayerNames {
  std::string input_norm, post_norm;
  std::string q_proj, k_proj, v_proj, o_proj, q_norm, k_norm;          // full attention
  std::string in_proj_qkv, in_proj_z, in_proj_b, in_proj_a, out_proj;  // Gated DeltaNet
  std::string conv, a_log, dt_bias, gated_norm;                        // Gated DeltaNet
  std::string gate_proj, up_proj, down_proj;
  /// The bias tensor of one of the modules above.
  static std::string bias(const std::string& module) { return module + ".bias"; }
};

/// Names of the tensors outside the layers. `head` is the module of the output head when not tied.
struct ModelNames {
  std::string embedding, final_norm, head;
};

/// Names of the multi-token-prediction head outside its layers. `fc` is a module.
struct MtpNames {
  std::string fc, embedding_norm, hidden_norm, final_norm;
};

ModelNames model_names(const ModelConfig& config);
LayerNames layer_names(const ModelConfig& config, std::int64_t layer);
/// The layer set of the multi-token-prediction head: "mtp.layers.0.".
LayerNames mtp_layer_names(const ModelConfig& config, std::int64_t layer);

MtpNames mtp_names();

/// All that must exist, in a fixed order, with shapes.
std::vector<WeightSpec> required_weights(const ModelConfig& config);

}  // namespace nvllm::checkpoint
