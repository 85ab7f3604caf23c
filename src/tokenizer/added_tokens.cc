#include "tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "tokenizer/json_fields.h"

namespace nvllm::tokenizer {

namespace {

AddedToken read_token(const Json& entry, std::int32_t id, std::string_view where) {
  AddedToken token;
  token.id = id;
  token.content = string_field(entry, "content", where);
  if (token.content.empty()) bad_file(where, fmt::format("added token {} is empty", id));
  token.special = bool_field(entry, "special", false, where);
  token.normalized = bool_field(entry, "normalized", !token.special, where);
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    if (bool_field(entry, flag, false, where)) {
      unsupported(where, fmt::format("'{}' on added token '{}'", flag, token.content),
                  "added tokens that match exactly as written");
    }
  }
  return token;
}

std::int32_t id_of_key(const std::string& key, std::string_view where) {
  std::int32_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kTokenIdMax) {
    bad_file(where, fmt::format("key '{}' is not an id from 0 to {}", key, kTokenIdMax));
  }
  return id;
}

std::string described(const AddedToken& token, std::string_view file) {
  return fmt::format("{} '{}' (special {}, normalized {})", file, token.content, token.special,
                     token.normalized);
}

}  // namespace

std::vector<AddedToken> merge_added_tokens(const Json& tokenizer_list, const Json& config) {
  constexpr std::string_view kTokenizer = "tokenizer.json: added_tokens";
  constexpr std::string_view kConfig = "tokenizer_config.json: added_tokens_decoder";
  std::map<std::int32_t, AddedToken> by_id;
  std::map<std::string, std::int32_t> by_content;
  const auto insert = [&](const AddedToken& token, std::string_view where) {
    const auto [same_id, new_id] = by_id.try_emplace(token.id, token);
    if (!new_id && !(same_id->second == token)) {
      bad_file(where, fmt::format("id {} is {} here but {} before; make the two agree", token.id,
                                  described(token, "token"), described(same_id->second, "token")));
    }
    const auto [same_content, new_content] = by_content.try_emplace(token.content, token.id);
    if (!new_content && same_content->second != token.id) {
      bad_file(where, fmt::format("'{}' has id {} here but id {} before; make the two agree",
                                  token.content, token.id, same_content->second));
    }
  };
  if (!tokenizer_list.is_null()) {
    if (!tokenizer_list.is_array()) bad_file(kTokenizer, "wanted a list");
    for (const Json& entry : tokenizer_list) {
      if (!entry.is_object() || !entry.contains("id"))
        bad_file(kTokenizer, "an entry without 'id'");
      insert(read_token(entry, id_value(entry["id"], kTokenizer), kTokenizer), kTokenizer);
    }
  }
  if (config.is_object() && config.contains("added_tokens_decoder")) {
    const Json& decoder = config["added_tokens_decoder"];
    if (!decoder.is_object()) bad_file(kConfig, "wanted an object");
    for (const auto& [key, entry] : decoder.items()) {
      insert(read_token(entry, id_of_key(key, kConfig), kConfig), kConfig);
    }
  }
  std::vector<AddedToken> tokens;
  for (const auto& [id, token] : by_id) tokens.push_back(token);
  return tokens;
}

void TokenFinder::add(std::string_view content, std::int32_t id) {
  std::size_t node = 0;
  for (const char byte : content) {
    std::int32_t next = -1;
    for (const auto& [label, child] : nodes_[node].children) {
      if (label == byte) next = child;
    }
    if (next < 0) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_[node].children.emplace_back(byte, next);
      nodes_.emplace_back();
    }
    node = static_cast<std::size_t>(next);
  }
  nodes_[node].id = id;
}

TokenFinder::Match TokenFinder::longest_at(std::string_view text) const {
  Match match;
  std::size_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::int32_t next = -1;
    for (const auto& [label, child] : nodes_[node].children) {
      if (label == text[i]) next = child;
    }
    if (next < 0) break;
    node = static_cast<std::size_t>(next);
    if (nodes_[node].id >= 0) match = {nodes_[node].id, i + 1};
  }
  return match;
}

void TokenFinder::split(const OpenText& text, const std::function<void(const OpenText&)>& between,
                        const std::function<void(std::int32_t)>& token) const {
  const std::string_view all = text.text;
  std::size_t done = 0;
  std::size_t first_range = 0;
  const auto hand_on = [&](std::size_t end) {
    if (end <= done) return;
    OpenText stretch{std::string(all.substr(done, end - done)), {}};
    while (first_range < text.open.size() && text.open[first_range].end <= done) ++first_range;
    for (std::size_t r = first_range; r < text.open.size() && text.open[r].begin < end; ++r) {
      const std::size_t from = std::max(text.open[r].begin, done);
      const std::size_t to = std::min(text.open[r].end, end);
      if (from < to) stretch.open.push_back({from - done, to - done});
    }
    between(stretch);
  };
  for (const ByteRange& range : text.open) {
    for (std::size_t at = range.begin; at < range.end;) {
      const Match match = longest_at(all.substr(at, range.end - at));
      if (match.bytes == 0) {
        ++at;
        continue;
      }
      hand_on(at);
      token(match.id);
      done = at += match.bytes;
    }
  }
  hand_on(all.size());
}

}  // namespace nvllm::tokenizer
