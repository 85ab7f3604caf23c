#include "support/tiny_checkpoint.h"

#include "checkpoint/make_model.h"

namespace nvllm::testing {

TinyCheckpoint::TinyCheckpoint(std::string_view shape, TinyFormat format, std::uint64_t seed) {
  make(checkpoint::known_shape_config(shape), format, seed);
}

TinyCheckpoint TinyCheckpoint::of_config(const Json& config, TinyFormat format,
                                         std::uint64_t seed) {
  TinyCheckpoint checkpoint;
  checkpoint.make(config, format, seed);
  return checkpoint;
}

void TinyCheckpoint::make(const Json& config, TinyFormat format, std::uint64_t seed) {
  checkpoint::MakeModelOptions options;
  options.config = config;
  options.config_name = "tiny checkpoint";
  options.out = folder();
  options.seed = seed;
  options.format = format;
  checkpoint::make_model(options);
}

SafetensorsBuilder TinyCheckpoint::tensors() const {
  return SafetensorsBuilder::from_file(file("model.safetensors"));
}

void TinyCheckpoint::save_tensors(const SafetensorsBuilder& tensors) const {
  tensors.write(file("model.safetensors"));
}

Json TinyCheckpoint::config() const {
  return parse_json(read_text(file("config.json")), "config.json");
}

void TinyCheckpoint::save_config(const Json& config) const {
  write_text(file("config.json"), dump_json(config));
}

}  // namespace nvllm::testing
