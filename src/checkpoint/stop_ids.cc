// config.json alone is not enough: Qwen3.5 chat models name <|endoftext|> there, while answers end
// with <|im_end|>, which only the tokenizer's settings and generation_config.json know.

#include "checkpoint/stop_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/config_fields.h"
#include "checkpoint/json_events.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::int64_t kSmallFileBytesMax = 16 << 20;
constexpr std::int64_t kTokenizerBytesMax = 256 << 20;
constexpr std::size_t kDepthMax = 64;

/// Watches for model.vocab.TOKEN = id and added_tokens[].{id, content}; all else passes.
class TokenizerEvents final : public JsonEvents {
 public:
  TokenizerEvents(std::string_view file_name, std::string_view wanted)
      : JsonEvents(file_name), wanted_(wanted) {}

  const TokenizerFacts& facts() const { return facts_; }

  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool end_object() override {
    if (in_added_token()) {
      if (added_id_ < 0) refuse(fmt::format("added token '{}' has no id", added_content_));
      take(added_content_, added_id_);
      added_id_ = -1;
      added_content_.clear();
    }
    return leave();
  }
  bool key(std::string& name) override {
    path_.back() = name;
    return true;
  }
  bool number_unsigned(std::uint64_t value) override {
    constexpr std::uint64_t kIdMax = INT32_MAX;
    const bool vocabulary = in_vocabulary(), added = in_added_token() && path_.back() == "id";
    if (!vocabulary && !added) return true;
    if (value > kIdMax) refuse(fmt::format("token id {} is larger than {}", value, kIdMax));
    if (vocabulary) take(path_.back(), static_cast<std::int64_t>(value));
    if (added) added_id_ = static_cast<std::int64_t>(value);
    return true;
  }
  bool string(std::string& value) override {
    if (in_added_token() && path_.back() == "content") added_content_ = value;
    return no_id("a string");
  }
  bool null() override { return no_id("null"); }
  bool boolean(bool) override { return no_id("a boolean"); }
  bool number_integer(std::int64_t value) override { return no_id(std::to_string(value)); }
  bool number_float(double, const std::string& text) override { return no_id(text); }

 private:
  bool in_vocabulary() const {
    return path_.size() == 3 && path_[0] == "model" && path_[1] == "vocab";
  }
  bool in_added_token() const { return path_.size() == 3 && path_[0] == "added_tokens"; }
  bool no_id(const std::string& value) const {
    if (in_vocabulary() || (in_added_token() && path_.back() == "id")) {
      refuse(fmt::format("token '{}' has the id {}, wanted a number", path_.back(), value));
    }
    return true;
  }
  bool enter() {
    if (path_.size() == kDepthMax) refuse(fmt::format("nested deeper than {}", kDepthMax));
    path_.emplace_back();
    return true;
  }
  bool leave() {
    path_.pop_back();
    return true;
  }
  void take(const std::string& token, std::int64_t id) {
    if (id > facts_.largest_id) {
      facts_.largest_id = id;
      facts_.largest_token = token;
    }
    if (token == wanted_) facts_.wanted_id = id;
  }

  std::string_view wanted_;
  TokenizerFacts facts_;
  std::vector<std::string> path_;  // the key in force in each open object, empty in arrays
  std::int64_t added_id_ = -1;
  std::string added_content_;
};

Json read_small_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return Json::object();
  Json json = parse_json(read_file(path, kSmallFileBytesMax), path.string(),
                         {.depth_max = 64, .nodes_max = 1'000'000});
  if (!json.is_object()) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: is not a JSON object", path.string()));
  }
  return json;
}

/// tokenizer_config.json's eos_token, a string or an object with its content; empty if absent.
std::string eos_token(const std::filesystem::path& path) {
  const Json json = read_small_json(path);
  const ConfigFields fields(json, json, path.native());
  const Json* value = fields.find("eos_token");
  if (value == nullptr) return "";
  if (value->is_object() && value->contains("content")) value = &value->at("content");
  if (!value->is_string()) fields.refuse("eos_token", dump_json(*value), "a string");
  return value->get<std::string>();
}

}  // namespace

TokenizerFacts read_tokenizer_facts(std::string_view text, std::string_view file_name,
                                    std::string_view wanted_token) {
  TokenizerEvents events(file_name, wanted_token);
  parse_json_events(text, events);
  return events.facts();
}

std::vector<std::int32_t> read_stop_ids(const std::filesystem::path& folder,
                                        const ModelConfig& config) {
  const std::filesystem::path generation = folder / "generation_config.json";
  const Json json = read_small_json(generation);
  const std::vector<std::int32_t> listed =
      parse_eos_ids(json, config.vocab_size, generation.native());
  std::set<std::int32_t> ids(listed.begin(), listed.end());
  const std::filesystem::path settings = folder / "tokenizer_config.json";
  const std::filesystem::path tokenizer = folder / "tokenizer.json";
  const std::string token = eos_token(settings);
  if (std::filesystem::exists(tokenizer)) {
    const TokenizerFacts facts =
        read_tokenizer_facts(read_file(tokenizer, kTokenizerBytesMax), tokenizer.native(), token);
    if (facts.largest_id >= config.vocab_size) {
      throw Error(
          ErrorKind::kBadFile,
          fmt::format("{}: token '{}' has the id {}, but the model's vocab_size is {}: this "
                      "tokenizer belongs to another model",
                      tokenizer.string(), facts.largest_token, facts.largest_id,
                      config.vocab_size));
    }
    if (!token.empty() && facts.wanted_id < 0) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: eos_token '{}' is not in {}",
                                                   settings.string(), token, tokenizer.string()));
    }
    if (facts.wanted_id >= 0) ids.insert(static_cast<std::int32_t>(facts.wanted_id));
  }
  if (ids.empty()) ids.insert(config.eos_ids.begin(), config.eos_ids.end());
  return {ids.begin(), ids.end()};
}

}  // namespace nvllm::checkpoint
