#include "bench/rules/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kArgumentsMax = 8;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool in_word(char c) { return is_letter(c) || is_digit(c); }
bool in_argument(char c) { return in_word(c) || c == '-' || c == '.' || c == '*' || c == '?'; }

/// Text for a message: one line of plain ASCII, whatever the bytes were.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> all() {
    std::vector<Token> tokens;
    do tokens.push_back(next());
    while (tokens.back().kind != TokenKind::kEnd);
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool ended() const { return at_ >= text_.size(); }

  void skip_spaces() {
    while (!ended() && is_space(peek())) ++at_;
  }

  template <class Belongs>
  std::string_view take_while(const Belongs& belongs) {
    const std::size_t start = at_;
    while (!ended() && belongs(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }

  std::string seen() const {
    return ended() ? "the end" : fmt::format("'{}'", printable(text_.substr(at_, 1)));
  }

  [[noreturn]] void fail(std::string_view wanted) const {
    throw_rule_error(text_, static_cast<std::int64_t>(at_),
                     fmt::format("saw {}, wanted {}", seen(), wanted));
  }

  Token next() {
    skip_spaces();
    Token token;
    token.position = static_cast<std::int64_t>(at_);
    if (ended()) return token;
    if (is_digit(peek())) {
      number(token);
    } else if (is_letter(peek())) {
      word(token);
    } else {
      symbol(token);
    }
    return token;
  }

  void number(Token& token) {
    token.kind = TokenKind::kNumber;
    double value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc{} || !std::isfinite(value)) fail("a number that a double can hold");
    at_ = static_cast<std::size_t>(end - text_.data());
    token.number = {.value = value, .unit = unit_after_number()};
  }

  QuantityUnit unit_after_number() {
    const std::size_t start_of_spaces = at_;
    skip_spaces();
    if (peek() == '%') {
      ++at_;
      return unit("%");
    }
    if (!is_letter(peek())) {
      at_ = start_of_spaces;
      return unit("");
    }
    const std::size_t start = at_;
    take_while(in_word);
    const std::size_t end = at_;
    if (peek() == '/' && is_letter(peek(1))) {
      ++at_;
      take_while(in_word);
      if (const auto compound = find_unit(text_.substr(start, at_ - start))) return *compound;
      at_ = end;
    }
    if (const auto found = find_unit(text_.substr(start, end - start))) return *found;
    throw_rule_error(
        text_, static_cast<std::int64_t>(start),
        fmt::format(
            "saw '{}' after a number, wanted an operator or a unit: us, ms, s, %, pt, tokens, "
            "ms/token, tokens/s",
            printable(text_.substr(start, end - start))));
  }

  void word(Token& token) {
    token.kind = TokenKind::kWord;
    token.text = take_while(in_word);
    const std::size_t end = at_;
    skip_spaces();
    if (peek() != '(') {
      at_ = end;
      return;
    }
    ++at_;
    token.kind = TokenKind::kCall;
    token.arguments = arguments();
  }

  std::vector<std::string> arguments() {
    std::vector<std::string> list;
    skip_spaces();
    if (peek() == ')') {
      ++at_;
      return list;
    }
    while (true) {
      if (list.size() == kArgumentsMax) fail(fmt::format("at most {} arguments", kArgumentsMax));
      list.push_back(argument());
      skip_spaces();
      if (peek() != ',' && peek() != ')') fail("',' or ')'");
      if (text_[at_++] == ')') return list;
      skip_spaces();
    }
  }

  std::string argument() {
    const char quote = peek();
    if (quote == '\'' || quote == '"') {
      const std::size_t opening = at_++;
      const std::string_view inside = take_while([&](char c) { return c != quote; });
      if (ended()) {
        throw_rule_error(text_, static_cast<std::int64_t>(opening), "this quote is never closed");
      }
      ++at_;
      return std::string(inside);
    }
    const std::string_view bare = take_while(in_argument);
    if (bare.empty()) fail("an argument: a name such as all-beta, or text in quotes");
    return std::string(bare);
  }

  void symbol(Token& token) {
    token.kind = TokenKind::kSymbol;
    for (const std::string_view two : {"&&", "||", "<=", ">=", "==", "!="}) {
      if (text_.substr(at_, 2) == two) {
        token.text = two;
        at_ += 2;
        return;
      }
    }
    constexpr std::string_view kSingle = "+-*/<>!()";
    if (kSingle.find(peek()) == std::string_view::npos) {
      fail("a number, a name, '(' or one of + - * / < <= > >= == != && || !");
    }
    token.text.push_back(text_[at_++]);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text) {
  if (text.size() > kExpressionBytesMax) {
    throw Error(ErrorKind::kUsage,
                fmt::format("rule: {} bytes long, wanted at most {}; split it into several rules",
                            text.size(), kExpressionBytesMax));
  }
  return Lexer(text).all();
}

void throw_rule_error(std::string_view text, std::int64_t position, std::string_view problem) {
  constexpr std::size_t kContext = 40;
  const std::size_t at = std::min(static_cast<std::size_t>(position), text.size());
  const std::size_t start = at > kContext ? at - kContext : 0;
  const std::string before = printable(text.substr(start, at - start));
  const std::string after = printable(text.substr(at, kContext));
  throw Error(ErrorKind::kUsage, fmt::format("rule, column {}: {}\n  {}{}{}{}\n  {:>{}}", at + 1,
                                             problem, start > 0 ? "..." : "", before, after,
                                             at + kContext < text.size() ? "..." : "", '^',
                                             before.size() + (start > 0 ? 3 : 0) + 1));
}

}  // namespace nvllm::bench
