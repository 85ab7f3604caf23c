// Jinja's lexical rules: one final line end is dropped, line ends become \n, a block tag alone on
// its line leaves nothing behind (lstrip_blocks before it, trim_blocks after it), and '-' or '+'
// inside a tag strip more or nothing. Print tags {{ }} are never trimmed but by '-'.

#include "tokenizer/template/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "tokenizer/template/syntax.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

using Kind = TemplateToken::Kind;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

std::string with_plain_line_ends(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      text += '\n';
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name)
      : name_(name), source_(with_plain_line_ends(source)) {}

  std::vector<TemplateToken> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = next_tag(at_);
      if (tag == std::string::npos) {
        add(Kind::kText, source_.substr(at_));
        at_ = source_.size();
        break;
      }
      text_before(tag);
      at_ = tag;
      read_tag();
    }
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    template_error(TemplateFault::kSyntax, name_, line_, why);
  }

  bool looking_at(std::string_view text) const {
    return std::string_view(source_).substr(at_, text.size()) == text;
  }

  void add(Kind kind, std::string text) {
    if (kind == Kind::kText && text.empty()) return;
    const int lines = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    tokens_.push_back({kind, line_, std::move(text)});
    if (kind == Kind::kText) line_ += lines;
  }

  void skip_to(std::size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  std::size_t next_tag(std::size_t from) const {
    for (std::size_t at = source_.find('{', from); at != std::string::npos;
         at = source_.find('{', at + 1)) {
      if (at + 1 < source_.size() &&
          (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#')) {
        return at;
      }
    }
    return std::string::npos;
  }

  void text_before(std::size_t tag) {
    std::size_t end = tag;
    const char kind = source_[tag + 1];
    const char mark = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    if (mark == '-') {
      while (end > at_ && is_space(source_[end - 1])) --end;
    } else if (mark != '+' && kind != '{') {
      std::size_t start = end;
      while (start > at_ && is_space(source_[start - 1]) && source_[start - 1] != '\n') --start;
      const bool line_begins = start == 0 || source_[start - 1] == '\n';
      if (line_begins) end = start;
    }
    add(Kind::kText, source_.substr(at_, end - at_));
    skip_line_count(end, tag);
  }

  void skip_line_count(std::size_t from, std::size_t to) {
    at_ = from;
    skip_to(to);
  }

  void read_tag() {
    if (looking_at("{#")) {
      read_comment();
    } else if (looking_at("{%")) {
      if (!read_raw()) read_code(Kind::kBlockBegin, Kind::kBlockEnd, "%}");
    } else {
      read_code(Kind::kPrintBegin, Kind::kPrintEnd, "}}");
    }
  }

  /// After a closing tag: '-' strips all white space, else a block's tag takes one line end with
  /// it.
  void after_tag(char mark, bool trims_line_end) {
    if (mark == '-') {
      std::size_t end = at_;
      while (end < source_.size() && is_space(source_[end])) ++end;
      skip_to(end);
    } else if (mark != '+' && trims_line_end && looking_at("\n")) {
      skip_to(at_ + 1);
    }
  }

  void read_comment() {
    const std::size_t close = source_.find("#}", at_ + 2);
    if (close == std::string::npos) fail("a comment that begins with '{#' has no '#}'");
    const char mark = close > at_ + 2 ? source_[close - 1] : ' ';
    skip_to(close + 2);
    after_tag(mark, true);
  }

  /// {% raw %} ... {% endraw %}: the text between is text.
  bool read_raw() {
    std::size_t end = 0;
    char mark = ' ';
    if (!tag_is(at_, "raw", end, mark)) return false;
    skip_to(end);
    if (mark == '-') after_tag(mark, false);
    for (std::size_t close = source_.find("{%", at_); close != std::string::npos;
         close = source_.find("{%", close + 2)) {
      if (!tag_is(close, "endraw", end, mark)) continue;
      text_before(close);
      skip_to(end);
      after_tag(mark, true);
      return true;
    }
    fail("'raw' has no 'endraw'");
  }

  /// Whether the block tag at `tag` holds only `word`; gives where it ends and its closing mark.
  bool tag_is(std::size_t tag, std::string_view word, std::size_t& end, char& mark) const {
    std::size_t i = tag + 2;
    if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) ++i;
    while (i < source_.size() && is_space(source_[i])) ++i;
    if (std::string_view(source_).substr(i, word.size()) != word) return false;
    i += word.size();
    while (i < source_.size() && is_space(source_[i])) ++i;
    mark = ' ';
    if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) mark = source_[i++];
    end = i + 2;
    return std::string_view(source_).substr(i, 2) == "%}";
  }

  void read_code(Kind begin, Kind end, std::string_view close) {
    add(begin, "");
    skip_to(at_ + 2);
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
    int open = 0;
    while (true) {
      while (at_ < source_.size() && is_space(source_[at_])) skip_to(at_ + 1);
      if (at_ >= source_.size()) fail(fmt::format("the tag has no '{}'", close));
      const bool marked = source_[at_] == '-' || (source_[at_] == '+' && end == Kind::kBlockEnd);
      const std::size_t closes = at_ + (marked ? 1 : 0);
      if (open == 0 && std::string_view(source_).substr(closes, 2) == close) {
        const char mark = marked ? source_[at_] : ' ';
        add(end, "");
        at_ = closes + 2;
        after_tag(mark, end == Kind::kBlockEnd);
        return;
      }
      read_token(open);
    }
  }

  void read_token(int& open) {
    const char c = source_[at_];
    if (starts_name(c)) {
      std::size_t end = at_;
      while (end < source_.size() && (starts_name(source_[end]) || is_digit(source_[end]))) ++end;
      add(Kind::kName, source_.substr(at_, end - at_));
      at_ = end;
    } else if (is_digit(c)) {
      read_number();
    } else if (c == '"' || c == '\'') {
      read_string(c);
    } else {
      read_operator(open);
    }
  }

  void read_number() {
    std::size_t end = at_;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    digits();
    bool real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      ++end;
      digits();
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      std::size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) {
        ++exponent;
      }
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        real = true;
        end = exponent;
        digits();
      }
    }
    std::string spelled = source_.substr(at_, end - at_);
    spelled.erase(std::remove(spelled.begin(), spelled.end(), '_'), spelled.end());
    TemplateToken token{real ? Kind::kFloat : Kind::kInteger, line_, spelled};
    const char* last = spelled.data() + spelled.size();
    const std::from_chars_result result =
        real ? std::from_chars(spelled.data(), last, token.real)
             : std::from_chars(spelled.data(), last, token.integer);
    if (result.ec != std::errc() || result.ptr != last) {
      fail(fmt::format("the number '{}' is out of range", spelled));
    }
    tokens_.push_back(std::move(token));
    at_ = end;
  }

  void read_string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string has no closing quote");
    const std::string_view body = std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    tokens_.push_back({Kind::kString, line_, unescape(body)});
    skip_to(end + 1);
  }

  std::string unescape(std::string_view body) const {
    constexpr std::string_view kLetters = "abfnrtv\\'\"\n";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    std::string out;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\') {
        out += body[i];
        continue;
      }
      const char letter = body[++i];
      const std::size_t known = kLetters.find(letter);
      if (letter == 'x' || letter == 'u' || letter == 'U') {
        const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
        append_code_point(hex(body.substr(i + 1, digits), digits), out);
        i += digits;
      } else if (letter >= '0' && letter <= '7') {
        std::uint32_t octal = 0;
        std::size_t digits = 0;
        for (; digits < 3 && i + digits < body.size() && body[i + digits] >= '0' &&
               body[i + digits] <= '7';
             ++digits) {
          octal = octal * 8 + static_cast<std::uint32_t>(body[i + digits] - '0');
        }
        append_code_point(octal, out);
        i += digits - 1;
      } else if (known == std::string_view::npos) {
        out += {'\\', letter};
      } else if (letter != '\n') {
        out += kMeanings[known];
      }
    }
    return out;
  }

  std::uint32_t hex(std::string_view digits, std::size_t count) const {
    std::uint32_t value = 0;
    const char* last = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), last, value, 16);
    const bool scalar = value < 0xd800 || (value > 0xdfff && value <= 0x10ffff);
    if (digits.size() != count || result.ec != std::errc() || result.ptr != last || !scalar) {
      fail(fmt::format("the escape with digits '{}' is not a character", digits));
    }
    return value;
  }

  void read_operator(int& open) {
    constexpr std::array<std::string_view, 26> kOperators = {
        "**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ",", ":", ".", "|", ";"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view text) { return looking_at(text); });
    if (found == kOperators.end()) {
      fail(fmt::format("the character '{}' has no meaning here", source_.substr(at_, 1)));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') ++open;
    if (c == ')' || c == ']' || c == '}') --open;
    if (open < 0) fail(fmt::format("'{}' closes nothing", c));
    add(Kind::kOperator, std::string(*found));
    at_ += found->size();
  }

  std::string_view name_;
  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<TemplateToken> tokens_;
};

}  // namespace

std::vector<TemplateToken> tokenize_template(std::string_view source, std::string_view name) {
  return Lexer(source, name).run();
}

}  // namespace nvllm::tokenizer
