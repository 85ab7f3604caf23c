// The order of work is the reference library's: added tokens in the raw text, then for each stretch
// between them normalise, look for the added tokens that ask for normalised text, cut into words
// and merge byte pairs. Ids can only agree with the reference if nothing is done in another order.

#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/tokenizer_nodes.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

constexpr std::int64_t kTokenizerBytesMax = std::int64_t{256} << 20;
constexpr std::int64_t kConfigBytesMax = std::int64_t{16} << 20;
constexpr std::size_t kTextBytesMax = std::size_t{1} << 30;
constexpr std::string_view kName = "tokenizer.json";

struct Token {
  std::string bytes;
  bool known = false;
  bool special = false;
};

}  // namespace

struct Tokenizer::Impl {
  std::vector<Token> tokens;  ///< by id
  std::unordered_map<std::string, std::int32_t> ids;
  std::array<std::int32_t, 256> byte_ids{};
  MergeTable merges{0};
  bool ignore_merges = false;
  bool normalize_nfc = false;
  std::optional<PreTokenizer> pre_tokenizer;
  TokenFinder raw_tokens;
  TokenFinder normalized_tokens;
  Frame frame;
  SpecialNames names;

  void read(const TokenizerFile& file, const Json& config);
  void add_vocab(const TokenizerFile& file);
  void add_merges(const TokenizerFile& file);
  void add_added_tokens(const Json& list, const Json& config);
  Token& token_at(std::int32_t id);
  std::int32_t part_id(const std::string& part, std::size_t merge) const;
  void encode_words(std::string_view text, Regex::Scratch& scratch, MergeScratch& merging,
                    std::vector<std::int32_t>& out) const;
};

Token& Tokenizer::Impl::token_at(std::int32_t id) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens.size()) tokens.resize(index + 1);
  return tokens[index];
}

void Tokenizer::Impl::add_vocab(const TokenizerFile& file) {
  if (file.vocab.empty()) bad_file(kName, "model.vocab is missing or empty");
  std::unordered_map<std::int32_t, const std::string*> owner;
  ids.reserve(file.vocab.size());
  for (const auto& [entry, id] : file.vocab) {
    if (!ids.emplace(entry, id).second) {
      bad_file(kName, fmt::format("model.vocab names '{}' twice", entry));
    }
    const auto [first, fresh] = owner.emplace(id, &entry);
    if (!fresh) {
      bad_file(kName, fmt::format("model.vocab gives id {} to '{}' and to '{}'", id, *first->second,
                                  entry));
    }
    token_at(id) = {bytes_of_entry(entry).value_or(entry), true, false};
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    const auto found = ids.find(entry_of_bytes({&one, 1}));
    byte_ids[static_cast<std::size_t>(byte)] = found == ids.end() ? -1 : found->second;
  }
}

std::int32_t Tokenizer::Impl::part_id(const std::string& part, std::size_t merge) const {
  const auto found = ids.find(part);
  if (found == ids.end()) {
    bad_file(kName, fmt::format("model.merges entry {} needs '{}', which model.vocab does not have",
                                merge, part));
  }
  return found->second;
}

void Tokenizer::Impl::add_merges(const TokenizerFile& file) {
  merges = MergeTable(file.merges.size());
  for (std::size_t rank = 0; rank < file.merges.size(); ++rank) {
    const MergeRule& rule = file.merges[rank];
    merges.set(part_id(rule.left, rank), part_id(rule.right, rank),
               {static_cast<std::int32_t>(rank), part_id(rule.left + rule.right, rank)});
  }
}

void Tokenizer::Impl::add_added_tokens(const Json& list, const Json& config) {
  for (const AddedToken& added : merge_added_tokens(list, config)) {
    const auto [entry, fresh] = ids.emplace(added.content, added.id);
    if (entry->second != added.id) {
      bad_file(kName, fmt::format("added token '{}' has id {} but model.vocab gives it {}",
                                  added.content, added.id, entry->second));
    }
    Token& token = token_at(added.id);
    if (fresh && token.known) {
      bad_file(kName, fmt::format("added token '{}' has id {}, which model.vocab gives to '{}'",
                                  added.content, added.id, entry_of_bytes(token.bytes)));
    }
    token = {bytes_of_entry(added.content).value_or(added.content), true, added.special};
    if (added.normalized) {
      normalized_tokens.add(normalize_nfc ? nfc(added.content) : added.content, added.id);
    } else {
      raw_tokens.add(added.content, added.id);
    }
  }
}

void Tokenizer::Impl::read(const TokenizerFile& file, const Json& config) {
  const Json& root = file.root;
  const auto node = [&](const char* name) { return root.contains(name) ? root[name] : Json(); };
  const BpeOptions options = read_bpe_options(node("model"));
  ignore_merges = options.ignore_merges;
  normalize_nfc = reads_nfc(node("normalizer"));
  pre_tokenizer.emplace(node("pre_tokenizer"));
  check_decoder(node("decoder"));
  add_vocab(file);
  if (options.has_unknown_token) {
    for (const std::int32_t id : byte_ids) {
      if (id < 0)
        unsupported(kName, "model.unk_token with a byte missing from the vocabulary", "all 256");
    }
  }
  add_merges(file);
  add_added_tokens(node("added_tokens"), config);
  frame = read_post_processor(node("post_processor"));
  for (const auto* side : {&frame.before, &frame.after}) {
    for (const std::int32_t id : *side) {
      if (static_cast<std::size_t>(id) >= tokens.size() ||
          !tokens[static_cast<std::size_t>(id)].known) {
        bad_file(kName, fmt::format("post_processor adds id {}, which names no token", id));
      }
    }
  }
  names = read_special_names(config);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view config_json) {
  Json config;
  if (!config_json.empty()) {
    config =
        parse_json(config_json, "tokenizer_config.json", {.depth_max = 64, .nodes_max = 1'000'000});
  }
  auto impl = std::make_unique<Impl>();
  impl->read(parse_tokenizer_file(tokenizer_json, kName), config);
  return Tokenizer(std::move(impl));
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  const std::string text = read_file(folder / "tokenizer.json", kTokenizerBytesMax);
  const std::filesystem::path config = folder / "tokenizer_config.json";
  const std::string config_text =
      std::filesystem::exists(config) ? read_file(config, kConfigBytesMax) : "";
  try {
    return from_json(text, config_text);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", folder.string(), error.what()), error.where());
  }
}

void Tokenizer::Impl::encode_words(std::string_view text, Regex::Scratch& scratch,
                                   MergeScratch& merging, std::vector<std::int32_t>& out) const {
  pre_tokenizer->split(text, scratch, [&](std::string_view word) {
    if (ignore_merges) {
      if (const auto whole = ids.find(entry_of_bytes(word)); whole != ids.end()) {
        out.push_back(whole->second);
        return;
      }
    }
    merge_word(word, byte_ids, merges, merging, out);
  });
}

namespace {

/// Joins the parts into valid UTF-8 and notes where added tokens may be found.
OpenText join(std::span<const TextPart> parts) {
  OpenText joined;
  for (const TextPart& part : parts) {
    if (part.text.size() > kTextBytesMax - joined.text.size()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("a text of over {} bytes; send a shorter one", kTextBytesMax));
    }
    const std::size_t begin = joined.text.size();
    append_lossy(part.text, joined.text);
    const std::size_t end = joined.text.size();
    if (part.added != AddedTokens::kParse || begin == end) continue;
    if (!joined.open.empty() && joined.open.back().end == begin) {
      joined.open.back().end = end;
    } else {
      joined.open.push_back({begin, end});
    }
  }
  return joined;
}

}  // namespace

std::vector<std::int32_t> Tokenizer::encode_parts(std::span<const TextPart> parts,
                                                  TextFrame frame) const {
  const Impl& impl = *impl_;
  std::vector<std::int32_t> out;
  if (frame == TextFrame::kPostProcessor) out = impl.frame.before;
  Regex::Scratch scratch;
  MergeScratch merging;
  const auto take = [&](std::int32_t id) { out.push_back(id); };
  const auto words = [&](const OpenText& stretch) {
    impl.encode_words(stretch.text, scratch, merging, out);
  };
  impl.raw_tokens.split(
      join(parts),
      [&](const OpenText& stretch) {
        const OpenText normalized = impl.normalize_nfc ? nfc(stretch) : stretch;
        impl.normalized_tokens.split(normalized, words, take);
      },
      take);
  if (frame == TextFrame::kPostProcessor) {
    out.insert(out.end(), impl.frame.after.begin(), impl.frame.after.end());
  }
  return out;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, AddedTokens added,
                                            TextFrame frame) const {
  const TextPart part{text, added};
  return encode_parts({&part, 1}, frame);
}

std::string_view Tokenizer::bytes(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return impl_->tokens[static_cast<std::size_t>(id)].bytes;
}

std::string Tokenizer::decode(const std::vector<std::int32_t>& ids, bool skip_special) const {
  std::string joined;
  for (const std::int32_t id : ids) {
    if (!(skip_special && is_special(id))) joined += bytes(id);
  }
  std::string text;
  append_lossy(joined, text);
  return text;
}

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->tokens[static_cast<std::size_t>(id)].special;
}

std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(impl_->tokens.size());
}

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  const auto found = impl_->ids.find(std::string(token));
  return found == impl_->ids.end() ? std::nullopt : std::optional(found->second);
}

const std::string& Tokenizer::eos_token() const { return impl_->names.eos; }
const std::string& Tokenizer::bos_token() const { return impl_->names.bos; }
const std::string& Tokenizer::pad_token() const { return impl_->names.pad; }

}  // namespace nvllm::tokenizer
