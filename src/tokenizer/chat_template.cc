#include "tokenizer/chat_template.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "tokenizer/template/interpreter.h"
#include "tokenizer/template/syntax.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

constexpr std::int64_t kTemplateBytesMax = 1 << 20;
constexpr std::int64_t kConfigBytesMax = 16 << 20;
constexpr std::string_view kField = "tokenizer_config.json: chat_template";

/// The field's text: a string, or in a list of named templates the one called "default".
std::optional<std::string> template_field(const Json& config) {
  if (!config.is_object())
    throw Error(ErrorKind::kBadFile, "tokenizer_config.json: wanted an object");
  const auto field = config.find("chat_template");
  if (field == config.end() || field->is_null()) return std::nullopt;
  if (field->is_string()) return field->get<std::string>();
  if (field->is_array()) {
    for (const Json& entry : *field) {
      const bool usable = entry.is_object() && entry.value("name", Json()) == "default" &&
                          entry.contains("template") && entry["template"].is_string();
      if (usable) return entry["template"].get<std::string>();
    }
  }
  throw Error(
      ErrorKind::kBadFile,
      fmt::format("{}: neither a string nor a list of {{name, template}} with one named 'default'",
                  kField));
}

}  // namespace

struct ChatTemplate::Impl {
  std::string name;
  Block block;
};

ChatTemplate::ChatTemplate(std::string_view source, std::string_view name)
    : impl_(std::make_unique<Impl>()) {
  if (static_cast<std::int64_t>(source.size()) > kTemplateBytesMax || !is_utf8(source)) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: over {} bytes or not UTF-8", name, kTemplateBytesMax));
  }
  impl_->name = name;
  impl_->block = parse_template(source, impl_->name);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::optional<ChatTemplate> ChatTemplate::load(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "chat_template.jinja";
  if (std::filesystem::exists(file)) {
    return ChatTemplate(read_file(file, kTemplateBytesMax), file.string());
  }
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return std::nullopt;
  const Json fields = parse_json(read_file(config, kConfigBytesMax), config.string(),
                                 {.depth_max = 64, .nodes_max = 1'000'000});
  const std::optional<std::string> text = template_field(fields);
  if (!text) return std::nullopt;
  return ChatTemplate(*text, fmt::format("{}: chat_template", config.string()));
}

std::vector<RenderedPiece> ChatTemplate::render(const Json& variables,
                                                std::optional<std::chrono::sys_seconds> now) const {
  const auto system_time =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const MarkedText rendered =
      render_template(impl_->block, impl_->name, variables, now.value_or(system_time));
  std::vector<RenderedPiece> pieces;
  std::size_t begin = 0;
  for (const MarkedText::Run& run : rendered.runs()) {
    pieces.push_back({rendered.text().substr(begin, run.end - begin), run.origin == Origin::kUser});
    begin = run.end;
  }
  return pieces;
}

std::vector<std::int32_t> encode_pieces(const Tokenizer& tokenizer,
                                        const std::vector<RenderedPiece>& pieces) {
  std::vector<TextPart> parts;
  for (const RenderedPiece& piece : pieces) {
    parts.push_back({piece.text, piece.from_user ? AddedTokens::kAsText : AddedTokens::kParse});
  }
  return tokenizer.encode_parts(parts);
}

}  // namespace nvllm::tokenizer
