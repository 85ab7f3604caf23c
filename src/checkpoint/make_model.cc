#include "checkpoint/make_model.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/nvfp4_quantiser.h"
#include "checkpoint/quantise.h"
#include "checkpoint/weight_names.h"
#include "tensor/dtype.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::array<std::string_view, 3> kSpecials = {"<|endoftext|>", "<|im_start|>",
                                                       "<|im_end|>"};
constexpr std::int64_t kByteTokens = 256;
constexpr std::int64_t kTokens = kByteTokens + static_cast<std::int64_t>(kSpecials.size());

constexpr std::string_view kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The character that stands for a byte in byte-level vocabularies: printable bytes stand for
/// themselves, the others take U+0100, U+0101, ... in order.
std::string byte_character(int byte) {
  const auto prints = [](int b) {
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  };
  int point = byte;
  if (!prints(byte)) {
    point = 0x100;
    for (int b = 0; b < byte; ++b) point += prints(b) ? 0 : 1;
  }
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xc0 | (point >> 6)), static_cast<char>(0x80 | (point & 0x3f))};
}

std::string_view split_pattern(Family family) {
  switch (family) {
    case Family::kQwen35:
      return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
             "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    case Family::kQwen3:
      return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
             "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    case Family::kLlama:
      break;
  }
  return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
         "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
}

Json byte_level() {
  Json node;
  node["type"] = "ByteLevel";
  node["add_prefix_space"] = false;
  node["trim_offsets"] = true;
  node["use_regex"] = false;
  return node;
}

OutputItem matrix_item(const SyntheticCheckpoint& source, const WeightSpec& spec) {
  const std::string module = spec.name;
  const std::int64_t rows = spec.shape[0], cols = spec.shape[1];
  if (source.is_nvfp4(spec)) {
    OutputItem item = nvfp4_item(module, rows, cols, Nvfp4Layout::kModelOpt);
    item.write = [&source, module](const AppendBytes& append) {
      const MatrixSource matrix = source.matrix(module);
      const auto count = static_cast<std::size_t>(matrix.rows * matrix.cols);
      append(kCodesTensor, {matrix.data, count / 2});
      append(kScalesTensor, {matrix.block_scales, count / 16});
      append(kGlobalTensor, std::as_bytes(std::span(&matrix.global_scale, 1)));
    };
    return item;
  }
  return {{{module + ".weight", DType::kBf16, {rows, cols}}},
          [&source, module](const AppendBytes& append) {
            const MatrixSource matrix = source.matrix(module);
            append(0, {matrix.data, static_cast<std::size_t>(matrix.rows * matrix.cols * 2)});
          }};
}

OutputItem vector_item(const SyntheticCheckpoint& source, const WeightSpec& spec) {
  const std::string name = spec.name;
  const bool f32 = SyntheticCheckpoint::is_f32(name);
  return {{{name, f32 ? DType::kF32 : DType::kBf16, spec.shape}},
          [&source, name, f32](const AppendBytes& append) {
            const std::vector<float> values = source.vector(name);
            if (f32) return append(0, std::as_bytes(std::span(values)));
            std::vector<Bf16> rounded;
            for (const float value : values) rounded.push_back(to_bf16(value));
            append(0, std::as_bytes(std::span(rounded)));
          }};
}

std::string pretty(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// The config of the new folder: the shape's, with the quantisation and the tokens that were made.
Json output_config(const MakeModelOptions& options, const std::vector<std::string>& kept) {
  Json config = options.config;
  config.erase("quantization_config");
  Json& text = config.contains("text_config") && config["text_config"].is_object()
                   ? config["text_config"]
                   : config;
  text["eos_token_id"] = kByteTokens;
  if (options.format == SyntheticFormat::kNvfp4WithHead) set_tie_flag(config, false);
  if (options.format != SyntheticFormat::kBf16) {
    config["quantization_config"] = quantization_config(Nvfp4Layout::kModelOpt, kept);
  }
  return config;
}

void write_tokenizer(const std::filesystem::path& out, const ModelConfig& config) {
  Json settings, generation;
  settings["eos_token"] = kSpecials[2];
  settings["pad_token"] = kSpecials[0];
  settings["model_max_length"] = config.max_positions;
  settings["tokenizer_class"] = "PreTrainedTokenizerFast";
  generation["eos_token_id"] = {kByteTokens, kByteTokens + 2};
  generation["pad_token_id"] = kByteTokens;
  write_file_atomically(out / "tokenizer.json", pretty(byte_tokenizer(config.family)));
  write_file_atomically(out / "tokenizer_config.json", pretty(settings));
  write_file_atomically(out / "generation_config.json", pretty(generation));
  write_file_atomically(out / "chat_template.jinja", kChatTemplate);
}

}  // namespace

Json byte_tokenizer(Family family) {
  Json split;
  split["type"] = "Split";
  split["pattern"]["Regex"] = split_pattern(family);
  split["behavior"] = "Isolated";
  split["invert"] = false;
  Json json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  Json& added = json["added_tokens"] = Json::array();
  for (std::size_t i = 0; i < kSpecials.size(); ++i) {
    Json token;
    token["id"] = kByteTokens + static_cast<std::int64_t>(i);
    token["content"] = kSpecials[i];
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) token[flag] = false;
    token["special"] = true;
    added.push_back(token);
  }
  json["normalizer"] = nullptr;
  if (family != Family::kLlama) json["normalizer"] = Json{{"type", "NFC"}};
  json["pre_tokenizer"]["type"] = "Sequence";
  json["pre_tokenizer"]["pretokenizers"] = {split, byte_level()};
  json["post_processor"] = byte_level();
  json["decoder"] = byte_level();
  Json& model = json["model"];
  model["type"] = "BPE";
  for (const char* absent :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    model[absent] = nullptr;
  }
  for (const char* flag : {"fuse_unk", "byte_fallback", "ignore_merges"}) model[flag] = false;
  Json& vocabulary = model["vocab"] = Json::object();
  for (int byte = 0; byte < kByteTokens; ++byte) vocabulary[byte_character(byte)] = byte;
  model["merges"] = Json::array();
  return json;
}

std::int64_t make_model(const MakeModelOptions& options) {
  ModelConfig config = parse_model_config(options.config, options.config_name);
  if (config.vocab_size < kTokens) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: field 'vocab_size' is {}, wanted at least {} for the tokenizer of "
                            "bytes that is written",
                            options.config_name, config.vocab_size, kTokens));
  }
  // The weights on disk keep F32 where real checkpoints have it; readers cast or not.
  const SyntheticCheckpoint source(config, options.seed, options.format, GdnParameters::kAsStored);
  make_output_folder(options.out);
  std::vector<OutputItem> items;
  std::vector<std::string> kept;
  std::int64_t bytes = 0;
  const ModelNames names = model_names(config);
  bool head_quantised = false;
  for (const WeightSpec& spec : required_weights(source.config())) {
    const bool matrix = spec.role == WeightSpec::Role::kMatrix;
    items.push_back(matrix ? matrix_item(source, spec) : vector_item(source, spec));
    for (const OutputTensor& tensor : items.back().tensors) bytes += tensor.bytes();
    head_quantised = head_quantised || (spec.name == names.head && source.is_nvfp4(spec));
    const bool outside = spec.name == names.embedding || spec.name == names.head;
    if (matrix && !outside && !source.is_nvfp4(spec)) kept.push_back(spec.name);
  }
  if (!head_quantised) kept.push_back(names.head);
  write_tensor_files(options.out, items, options.shard_bytes_max, options.progress);
  write_tokenizer(options.out, config);
  if (options.format != SyntheticFormat::kBf16) {
    write_file_atomically(options.out / "hf_quant_config.json",
                          pretty(modelopt_quant_config(kept)));
  }
  write_file_atomically(options.out / "config.json", pretty(output_config(options, kept)));
  return bytes;
}

}  // namespace nvllm::checkpoint
