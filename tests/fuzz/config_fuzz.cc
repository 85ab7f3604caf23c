// Any bytes as config.json, generation_config.json and tokenizer.json: refused with an Error, or a
// geometry whose sizes are sane.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/folder_checkpoint.h"
#include "checkpoint/model_config.h"
#include "checkpoint/quantization_config.h"
#include "checkpoint/stop_ids.h"
#include "checkpoint/weight_names.h"
#include "model/sequence_memory.h"

namespace {

void check_config(const nvllm::Json& json) {
  using namespace nvllm;
  const checkpoint::ModelConfig config = checkpoint::parse_model_config(json, "fuzz");
  NVLLM_CHECK(config.head_count > 0 && config.head_count % config.kv_head_count == 0);
  NVLLM_CHECK(config.rope.rotary_dims > 0 && config.rope.rotary_dims <= config.head_dim);
  const model::SequenceMemory memory = model::sequence_memory(config);
  NVLLM_CHECK(memory.kv_elements_per_token >= 0);
  NVLLM_CHECK(memory.recurrent_elements_per_slot >= 0 && memory.conv_elements_per_slot >= 0);
  for (const std::int32_t id : config.eos_ids) NVLLM_CHECK(id >= 0 && id < config.vocab_size);
  checkpoint::tie_flag(json);
  checkpoint::parse_quantization(json, "fuzz", &json, "fuzz");
  constexpr std::int64_t kLayersMax = 64;  // more would only be slow
  if (config.layer_count() > kLayersMax) return;
  for (const checkpoint::WeightSpec& spec : checkpoint::required_weights(config)) {
    for (const std::int64_t dimension : spec.shape) NVLLM_CHECK(dimension > 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nvllm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json json = parse_json(text, "fuzz");
    check_config(json);
  } catch (const Error&) {
  }
  try {
    const Json json = parse_json(text, "fuzz");
    checkpoint::parse_eos_ids(json, 1000, "fuzz");
  } catch (const Error&) {
  }
  try {
    checkpoint::read_tokenizer_facts(text, "fuzz", "<end>");
  } catch (const Error&) {
  }
  return 0;
}
