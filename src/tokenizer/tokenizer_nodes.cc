#include "tokenizer/tokenizer_nodes.h"

#include <fmt/format.h>

#include "tokenizer/json_fields.h"

namespace nvllm::tokenizer {

namespace {

constexpr std::string_view kModel = "tokenizer.json: model";
constexpr std::string_view kNormalizer = "tokenizer.json: normalizer";
constexpr std::string_view kDecoder = "tokenizer.json: decoder";
constexpr std::string_view kPostProcessor = "tokenizer.json: post_processor";
constexpr int kDepthMax = 8;

bool is_set(const Json& node, const char* field) {
  const auto found = node.find(field);
  return found != node.end() && !found->is_null() && *found != "" && *found != 0;
}

void check_depth(int depth, std::string_view where) {
  if (depth > kDepthMax) bad_file(where, fmt::format("nested deeper than {}", kDepthMax));
}

bool reads_nfc_at(const Json& node, int depth) {
  check_depth(depth, kNormalizer);
  if (node.is_null()) return false;
  const std::string type = type_of(node, kNormalizer);
  if (type == "NFC") return true;
  if (type != "Sequence") {
    unsupported(kNormalizer, fmt::format("type '{}'", type),
                "no normalizer, NFC or a Sequence of them");
  }
  bool nfc = false;
  for (const Json& child : array_field(node, "normalizers", kNormalizer)) {
    nfc = reads_nfc_at(child, depth + 1) || nfc;
  }
  return nfc;
}

std::vector<std::int32_t> template_ids(const Json& node, const std::string& name) {
  const std::string where = fmt::format("{} special token '{}'", kPostProcessor, name);
  const auto specials = node.find("special_tokens");
  if (specials == node.end() || !specials->is_object() || !specials->contains(name)) {
    bad_file(where, "is used by the template but not listed in special_tokens");
  }
  std::vector<std::int32_t> ids;
  for (const Json& id : array_field((*specials)[name], "ids", where)) {
    ids.push_back(id_value(id, where));
  }
  return ids;
}

Frame read_template(const Json& node) {
  Frame frame;
  bool text_seen = false;
  for (const Json& item : array_field(node, "single", kPostProcessor)) {
    if (!item.is_object()) bad_file(kPostProcessor, "an item of 'single' is not an object");
    if (item.contains("Sequence")) {
      const std::string which = string_field(item["Sequence"], "id", kPostProcessor);
      if (which != "A" || text_seen) {
        unsupported(kPostProcessor, fmt::format("sequence '{}' in 'single'", which), "one 'A'");
      }
      text_seen = true;
    } else if (item.contains("SpecialToken")) {
      const std::string name = string_field(item["SpecialToken"], "id", kPostProcessor);
      auto& side = text_seen ? frame.after : frame.before;
      for (const std::int32_t id : template_ids(node, name)) side.push_back(id);
    } else {
      bad_file(kPostProcessor, "an item of 'single' is neither Sequence nor SpecialToken");
    }
  }
  if (!text_seen) bad_file(kPostProcessor, "'single' has no sequence 'A'");
  return frame;
}

void add_post_processor(const Json& node, int depth, Frame& frame) {
  check_depth(depth, kPostProcessor);
  if (node.is_null()) return;
  const std::string type = type_of(node, kPostProcessor);
  if (type == "Sequence") {
    for (const Json& child : array_field(node, "processors", kPostProcessor)) {
      add_post_processor(child, depth + 1, frame);
    }
  } else if (type == "TemplateProcessing") {
    Frame outer = read_template(node);
    outer.before.insert(outer.before.end(), frame.before.begin(), frame.before.end());
    frame.after.insert(frame.after.end(), outer.after.begin(), outer.after.end());
    frame.before = std::move(outer.before);
  } else if (type != "ByteLevel") {  // ByteLevel moves offsets only, and we keep none
    unsupported(kPostProcessor, fmt::format("type '{}'", type),
                "no post_processor, ByteLevel, TemplateProcessing or a Sequence of them");
  }
}

int count_byte_level_decoders(const Json& node, int depth) {
  check_depth(depth, kDecoder);
  const std::string type = type_of(node, kDecoder);
  if (type == "ByteLevel") return 1;
  if (type != "Sequence") unsupported(kDecoder, fmt::format("type '{}'", type), "ByteLevel");
  int count = 0;
  for (const Json& child : array_field(node, "decoders", kDecoder)) {
    count += count_byte_level_decoders(child, depth + 1);
  }
  return count;
}

std::string special_name(const Json& config, const char* field) {
  constexpr std::string_view kConfig = "tokenizer_config.json";
  if (!config.is_object()) return "";
  const auto found = config.find(field);
  if (found == config.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_object()) {
    bad_file(kConfig, fmt::format("field '{}' is neither a string nor an object", field));
  }
  return string_field(*found, "content", fmt::format("{}: {}", kConfig, field));
}

}  // namespace

BpeOptions read_bpe_options(const Json& model) {
  if (!model.is_object()) bad_file("tokenizer.json", "field 'model' is missing");
  const std::string type = model.contains("type") ? type_of(model, kModel) : "BPE";
  if (type != "BPE") unsupported(kModel, fmt::format("type '{}'", type), "model type BPE");
  if (bool_field(model, "byte_fallback", false, kModel)) {
    unsupported(kModel,
                "byte_fallback: true (a SentencePiece-style vocabulary, as Llama 1 and 2 have)",
                "byte_fallback: false");
  }
  for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (is_set(model, field)) unsupported(kModel, fmt::format("'{}'", field), "it unset");
  }
  return {.ignore_merges = bool_field(model, "ignore_merges", false, kModel),
          .has_unknown_token = is_set(model, "unk_token")};
}

bool reads_nfc(const Json& normalizer) { return reads_nfc_at(normalizer, 0); }

void check_decoder(const Json& decoder) {
  if (decoder.is_null()) unsupported(kDecoder, "null", "the ByteLevel decoder");
  const int count = count_byte_level_decoders(decoder, 0);
  if (count != 1) unsupported(kDecoder, fmt::format("{} ByteLevel decoders", count), "one");
}

Frame read_post_processor(const Json& node) {
  Frame frame;
  add_post_processor(node, 0, frame);
  return frame;
}

SpecialNames read_special_names(const Json& config) {
  return {special_name(config, "eos_token"), special_name(config, "bos_token"),
          special_name(config, "pad_token")};
}

}  // namespace nvllm::tokenizer
