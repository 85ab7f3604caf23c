// Recursive descent over Jinja's grammar. What the interpreter does not do is refused here, when
// the checkpoint is loaded, not in the middle of a request.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/template/builtins.h"
#include "tokenizer/template/lexer.h"
#include "tokenizer/template/syntax.h"

namespace nvllm::tokenizer {

void template_error(TemplateFault fault, std::string_view name, int line, std::string_view why) {
  throw Error(fault == TemplateFault::kSyntax ? ErrorKind::kBadFile : ErrorKind::kUsage,
              fmt::format("{}, line {}: {}", name, line, why));
}

namespace {

using Kind = TemplateToken::Kind;
using Expr = Expression::Kind;

/// Evaluation recurses into the tree; this bounds the stack that needs.
constexpr int kDepthMax = 200;

class Parser {
 public:
  Parser(std::string_view source, std::string_view name)
      : name_(name), tokens_(tokenize_template(source, name)) {}

  Block run() {
    Block block = parse_block({});
    if (peek().kind != Kind::kEnd) fail("text after the end");
    return block;
  }

 private:
  /// Counts how deep the descent is; a template cannot choose our stack.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.level_ > kDepthMax) parser_.fail("nested too deep");
    }
    ~Level() { --parser_.level_; }

   private:
    Parser& parser_;
  };

  [[noreturn]] void fail(std::string_view why) const {
    template_error(TemplateFault::kSyntax, name_, peek().line, why);
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    fail(fmt::format("{}, but found {}", wanted, shown(peek())));
  }
  static std::string shown(const TemplateToken& token) {
    if (token.kind == Kind::kEnd) return "the end of the template";
    if (token.kind == Kind::kBlockEnd) return "'%}'";
    if (token.kind == Kind::kPrintEnd) return "'}}'";
    return fmt::format("'{}'", token.text);
  }

  const TemplateToken& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const TemplateToken& next() {
    const TemplateToken& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is_operator(std::string_view text) const { return peek().is(Kind::kOperator, text); }
  bool is_name(std::string_view text) const { return peek().is(Kind::kName, text); }
  bool take_operator(std::string_view text) {
    if (!is_operator(text)) return false;
    next();
    return true;
  }
  bool take_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  void expect_operator(std::string_view text) {
    if (!take_operator(text)) unexpected(fmt::format("wanted '{}'", text));
  }
  void expect_block_end() {
    if (peek().kind != Kind::kBlockEnd) unexpected("wanted '%}'");
    next();
  }
  std::string expect_identifier() {
    if (peek().kind != Kind::kName) unexpected("wanted a name");
    return next().text;
  }
  std::string expect_target() {
    static constexpr std::array<std::string_view, 11> kReserved = {
        "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is"};
    const std::string name = expect_identifier();
    if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end()) {
      fail(fmt::format("'{}' cannot be assigned to", name));
    }
    return name;
  }

  // --- expressions ------------------------------------------------------------------------------

  ExpressionPtr make(Expr kind) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->line = peek().line;
    return node;
  }

  void attach(Expression& parent, ExpressionPtr part) const {
    if (part != nullptr) {
      parent.depth = std::max(parent.depth, part->depth + 1);
      if (parent.depth > kDepthMax) fail("an expression is nested too deep");
    }
    parent.parts.push_back(std::move(part));
  }

  ExpressionPtr join(Expr kind, ExpressionPtr left, ExpressionPtr right,
                     std::string name = "") const {
    ExpressionPtr node = make(kind);
    node->line = left->line;
    node->name = std::move(name);
    attach(*node, std::move(left));
    attach(*node, std::move(right));
    return node;
  }

  ExpressionPtr parse_expression() { return parse_conditional(true); }

  ExpressionPtr parse_conditional(bool with_if) {
    const Level level(*this);
    ExpressionPtr value = parse_or();
    while (with_if && take_name("if")) {
      ExpressionPtr node = make(Expr::kConditional);
      attach(*node, std::move(value));
      attach(*node, parse_or());
      attach(*node, take_name("else") ? parse_conditional(true) : nullptr);
      value = std::move(node);
    }
    return value;
  }

  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    while (take_name("or")) left = join(Expr::kOr, std::move(left), parse_and());
    return left;
  }

  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    while (take_name("and")) left = join(Expr::kAnd, std::move(left), parse_not());
    return left;
  }

  ExpressionPtr parse_not() {
    if (!is_name("not")) return parse_compare();
    const Level level(*this);
    ExpressionPtr node = make(Expr::kNot);
    next();
    attach(*node, parse_not());
    return node;
  }

  ExpressionPtr parse_compare() {
    static constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<",
                                                                   "<=", ">",  ">="};
    ExpressionPtr first = parse_sum();
    ExpressionPtr node = make(Expr::kCompare);
    node->line = first->line;
    attach(*node, std::move(first));
    while (true) {
      const bool compares =
          peek().kind == Kind::kOperator &&
          std::find(kOperators.begin(), kOperators.end(), peek().text) != kOperators.end();
      if (compares) {
        node->operators.push_back(next().text);
      } else if (take_name("in")) {
        node->operators.emplace_back("in");
      } else if (is_name("not") && peek(1).is(Kind::kName, "in")) {
        next();
        next();
        node->operators.emplace_back("not in");
      } else {
        break;
      }
      attach(*node, parse_sum());
    }
    return node->operators.empty() ? std::move(node->parts[0]) : std::move(node);
  }

  ExpressionPtr parse_sum() {
    ExpressionPtr left = parse_concatenation();
    while (is_operator("+") || is_operator("-")) {
      const std::string name = next().text;
      left = join(Expr::kArithmetic, std::move(left), parse_concatenation(), name);
    }
    return left;
  }

  ExpressionPtr parse_concatenation() {
    ExpressionPtr first = parse_product();
    if (!is_operator("~")) return first;
    ExpressionPtr node = make(Expr::kConcatenate);
    attach(*node, std::move(first));
    while (take_operator("~")) attach(*node, parse_product());
    return node;
  }

  ExpressionPtr parse_product() {
    ExpressionPtr left = parse_power();
    while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
      const std::string name = next().text;
      left = join(Expr::kArithmetic, std::move(left), parse_power(), name);
    }
    return left;
  }

  ExpressionPtr parse_power() {
    ExpressionPtr left = parse_unary(true);
    while (take_operator("**")) {
      left = join(Expr::kArithmetic, std::move(left), parse_unary(true), "**");
    }
    return left;
  }

  ExpressionPtr parse_unary(bool with_filters) {
    const Level level(*this);
    ExpressionPtr node;
    if (is_operator("-") || is_operator("+")) {
      node = make(is_operator("-") ? Expr::kNegate : Expr::kPlus);
      next();
      attach(*node, parse_unary(false));
    } else {
      node = parse_primary();
    }
    node = parse_postfix(std::move(node));
    return with_filters ? parse_filters(std::move(node)) : std::move(node);
  }

  ExpressionPtr constant(Value value) {
    ExpressionPtr node = make(Expr::kConstant);
    node->constant = std::move(value);
    return node;
  }

  ExpressionPtr parse_primary() {
    const TemplateToken& token = peek();
    switch (token.kind) {
      case Kind::kName:
        return parse_name();
      case Kind::kInteger: {
        ExpressionPtr node = constant(token.integer);
        next();
        return node;
      }
      case Kind::kFloat: {
        ExpressionPtr node = constant(token.real);
        next();
        return node;
      }
      case Kind::kString: {
        std::string text;
        ExpressionPtr node = make(Expr::kConstant);
        while (peek().kind == Kind::kString) text += next().text;
        node->constant = template_text(text);
        return node;
      }
      default:
        break;
    }
    if (take_operator("(")) return parse_parenthesis();
    if (take_operator("[")) {
      ExpressionPtr node = make(Expr::kList);
      parse_items(*node, "]");
      return node;
    }
    if (take_operator("{")) return parse_mapping();
    unexpected("wanted a value");
  }

  ExpressionPtr parse_name() {
    const std::string& name = peek().text;
    ExpressionPtr node = make(Expr::kConstant);
    if (name == "true" || name == "True") {
      node->constant = Value(true);
    } else if (name == "false" || name == "False") {
      node->constant = Value(false);
    } else if (name == "none" || name == "None") {
      node->constant = Value(None{});
    } else {
      node->kind = Expr::kName;
      node->name = name;
    }
    next();
    return node;
  }

  void parse_items(Expression& node, std::string_view close) {
    while (!take_operator(close)) {
      attach(node, parse_expression());
      if (!is_operator(close)) expect_operator(",");
    }
  }

  ExpressionPtr parse_parenthesis() {
    if (take_operator(")")) return make(Expr::kTuple);
    ExpressionPtr first = parse_expression();
    if (take_operator(")")) return first;
    expect_operator(",");
    ExpressionPtr node = make(Expr::kTuple);
    attach(*node, std::move(first));
    parse_items(*node, ")");
    return node;
  }

  ExpressionPtr parse_mapping() {
    ExpressionPtr node = make(Expr::kDict);
    while (!take_operator("}")) {
      attach(*node, parse_expression());
      expect_operator(":");
      attach(*node, parse_expression());
      if (!is_operator("}")) expect_operator(",");
    }
    return node;
  }

  ExpressionPtr parse_postfix(ExpressionPtr node) {
    while (true) {
      if (take_operator(".")) {
        ExpressionPtr outer = make(peek().kind == Kind::kInteger ? Expr::kItem : Expr::kAttribute);
        attach(*outer, std::move(node));
        if (peek().kind == Kind::kInteger) {
          attach(*outer, parse_primary());
        } else {
          outer->name = expect_identifier();
        }
        node = std::move(outer);
      } else if (take_operator("[")) {
        node = parse_subscript(std::move(node));
      } else if (is_operator("(")) {
        node = parse_call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExpressionPtr parse_subscript(ExpressionPtr object) {
    ExpressionPtr node = make(Expr::kItem);
    attach(*node, std::move(object));
    const auto part = [&]() -> ExpressionPtr {
      return is_operator(":") || is_operator("]") ? nullptr : parse_expression();
    };
    if (is_operator("]")) unexpected("wanted an index");
    attach(*node, part());
    while (take_operator(":")) {
      node->kind = Expr::kSlice;
      attach(*node, part());
    }
    if (node->parts.size() > 4) fail("a slice has more than three parts");
    expect_operator("]");
    while (node->kind == Expr::kSlice && node->parts.size() < 4) node->parts.push_back(nullptr);
    return node;
  }

  void parse_arguments(Expression& node) {
    expect_operator("(");
    while (!take_operator(")")) {
      if (is_operator("*") || is_operator("**")) fail("'*' and '**' arguments are not supported");
      if (peek().kind == Kind::kName && peek(1).is(Kind::kOperator, "=")) {
        std::string name = next().text;
        next();
        ExpressionPtr value = parse_expression();
        node.depth = std::max(node.depth, value->depth + 1);
        node.keywords.emplace_back(std::move(name), std::move(value));
      } else {
        if (!node.keywords.empty()) fail("a positional argument after a named one");
        attach(node, parse_expression());
      }
      if (!is_operator(")")) expect_operator(",");
    }
    if (node.depth > kDepthMax) fail("an expression is nested too deep");
  }

  ExpressionPtr parse_call(ExpressionPtr callee) {
    ExpressionPtr node = make(Expr::kCall);
    attach(*node, std::move(callee));
    parse_arguments(*node);
    return node;
  }

  ExpressionPtr parse_filters(ExpressionPtr node) {
    while (true) {
      if (take_operator("|")) {
        node = parse_filter(std::move(node));
      } else if (take_name("is")) {
        node = parse_test(std::move(node));
      } else if (is_operator("(")) {
        node = parse_call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExpressionPtr parse_filter(ExpressionPtr input) {
    ExpressionPtr node = make(Expr::kFilter);
    node->name = expect_identifier();
    if (!is_filter(node->name)) fail(fmt::format("the filter '{}' is not supported", node->name));
    attach(*node, std::move(input));
    if (is_operator("(")) parse_arguments(*node);
    return node;
  }

  ExpressionPtr parse_test(ExpressionPtr input) {
    static constexpr std::array<std::string_view, 6> kAfter = {"else", "or", "and",
                                                               "if",   "in", "not"};
    const bool negated = take_name("not");
    ExpressionPtr node = make(Expr::kTest);
    node->name = expect_identifier();
    if (!is_test(node->name)) fail(fmt::format("the test '{}' is not supported", node->name));
    attach(*node, std::move(input));
    const bool value_follows =
        peek().kind == Kind::kString || peek().kind == Kind::kInteger ||
        peek().kind == Kind::kFloat || is_operator("[") || is_operator("{") ||
        (peek().kind == Kind::kName && !is_name("is") &&
         std::find(kAfter.begin(), kAfter.end(), peek().text) == kAfter.end());
    if (is_operator("(")) {
      parse_arguments(*node);
    } else if (value_follows) {
      attach(*node, parse_postfix(parse_primary()));
    }
    if (!negated) return node;
    ExpressionPtr outer = make(Expr::kNot);
    attach(*outer, std::move(node));
    return outer;
  }

  /// One expression, or several with commas between them as a tuple.
  ExpressionPtr parse_tuple(bool with_if) {
    ExpressionPtr first = parse_conditional(with_if);
    if (!is_operator(",")) return first;
    ExpressionPtr node = make(Expr::kTuple);
    attach(*node, std::move(first));
    while (take_operator(",")) {
      if (peek().kind == Kind::kBlockEnd || peek().kind == Kind::kPrintEnd) break;
      attach(*node, parse_conditional(with_if));
    }
    return node;
  }

  // --- statements -------------------------------------------------------------------------------

  bool at_block(const std::vector<std::string_view>& names) const {
    return peek().kind == Kind::kBlockBegin && peek(1).kind == Kind::kName &&
           std::find(names.begin(), names.end(), peek(1).text) != names.end();
  }

  /// Statements up to a block tag with one of these names, which stays unread.
  Block parse_block(const std::vector<std::string_view>& ends) {
    const Level level(*this);
    Block block;
    while (peek().kind != Kind::kEnd && !at_block(ends)) block.push_back(parse_statement());
    if (!ends.empty() && peek().kind == Kind::kEnd) {
      fail(fmt::format("the template ends without '{}'", ends.back()));
    }
    return block;
  }

  /// The body of a block whose end tag is `end`, which is read.
  Block parse_body(std::string_view end) {
    Block block = parse_block({end});
    next();
    next();
    expect_block_end();
    return block;
  }

  std::unique_ptr<Statement> start(Statement::Kind kind) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = peek().line;
    return statement;
  }

  std::unique_ptr<Statement> parse_statement() {
    if (peek().kind == Kind::kText) {
      auto statement = start(Statement::Kind::kText);
      statement->text = next().text;
      return statement;
    }
    if (peek().kind == Kind::kPrintBegin) {
      auto statement = start(Statement::Kind::kPrint);
      next();
      statement->value = parse_tuple(true);
      if (peek().kind != Kind::kPrintEnd) unexpected("wanted '}}'");
      next();
      return statement;
    }
    next();  // the block's begin
    if (peek().kind != Kind::kName) unexpected("wanted a statement");
    const std::string word = next().text;
    if (word == "if") return parse_if();
    if (word == "for") return parse_for();
    if (word == "set") return parse_set();
    if (word == "macro") return parse_macro();
    if (word == "with") return parse_with();
    if (word == "filter") return parse_filter_block();
    if (word == "generation") return parse_generation();
    if (word == "break" || word == "continue") return parse_loop_control(word);
    fail(fmt::format("the statement '{}' is not supported", word));
  }

  std::unique_ptr<Statement> parse_if() {
    auto statement = start(Statement::Kind::kIf);
    bool has_else = false;
    Branch branch{parse_tuple(true), {}};
    while (true) {
      expect_block_end();
      branch.body = has_else ? parse_block({"endif"}) : parse_block({"elif", "else", "endif"});
      statement->branches.push_back(std::move(branch));
      next();
      const std::string word = next().text;
      if (word == "endif") break;
      has_else = word == "else";
      branch = Branch{has_else ? nullptr : parse_tuple(true), {}};
    }
    expect_block_end();
    return statement;
  }

  void parse_targets(Statement& statement) {
    const bool closes = take_operator("(");
    statement.names.push_back(expect_target());
    while (take_operator(",")) {
      if (peek().kind != Kind::kName || is_name("in")) break;
      statement.names.push_back(expect_target());
    }
    if (closes) expect_operator(")");
  }

  std::unique_ptr<Statement> parse_for() {
    auto statement = start(Statement::Kind::kFor);
    parse_targets(*statement);
    if (!take_name("in")) unexpected("wanted 'in'");
    statement->value = parse_tuple(false);
    if (take_name("if")) statement->condition = parse_expression();
    if (is_name("recursive")) fail("recursive loops are not supported");
    expect_block_end();
    ++inside_;
    ++loops_;
    statement->body = parse_block({"else", "endfor"});
    --loops_;
    next();
    if (next().text == "else") {
      expect_block_end();
      statement->otherwise = parse_body("endfor");
    } else {
      expect_block_end();
    }
    --inside_;
    return statement;
  }

  std::unique_ptr<Statement> parse_set() {
    auto statement = start(Statement::Kind::kSet);
    if (peek(1).is(Kind::kOperator, ".")) {
      statement->names.push_back(expect_target());
      next();
      statement->attribute = expect_identifier();
    } else {
      parse_targets(*statement);
    }
    if (take_operator("=")) {
      statement->value = parse_tuple(true);
      expect_block_end();
      return statement;
    }
    if (statement->names.size() != 1) unexpected("wanted '='");
    statement->kind = Statement::Kind::kSetBlock;
    if (take_operator("|")) statement->value = parse_filter_chain();
    expect_block_end();
    statement->body = parse_body("endset");
    return statement;
  }

  /// name(args) | name(args) ... applied to a block's text: the innermost input is null.
  ExpressionPtr parse_filter_chain() {
    ExpressionPtr node = parse_filter(nullptr);
    while (take_operator("|")) node = parse_filter(std::move(node));
    return node;
  }

  std::unique_ptr<Statement> parse_macro() {
    auto statement = start(Statement::Kind::kMacro);
    // A macro sees the template's own variables and nothing of a loop or macro around it; one that
    // is defined in such a place would mean something else here than in Jinja.
    if (inside_ > 0) fail("a macro inside a loop, macro or 'with' is not supported");
    statement->text = expect_target();
    expect_operator("(");
    while (!take_operator(")")) {
      statement->names.push_back(expect_target());
      const bool has_default = take_operator("=");
      if (!has_default && !statement->defaults.empty() && statement->defaults.back() != nullptr) {
        fail("a parameter without default after one with a default");
      }
      statement->defaults.push_back(has_default ? parse_expression() : nullptr);
      if (!is_operator(")")) expect_operator(",");
    }
    expect_block_end();
    ++inside_;
    const int loops = std::exchange(loops_, 0);
    statement->body = parse_body("endmacro");
    loops_ = loops;
    --inside_;
    return statement;
  }

  std::unique_ptr<Statement> parse_with() {
    auto statement = start(Statement::Kind::kWith);
    while (peek().kind != Kind::kBlockEnd) {
      statement->names.push_back(expect_target());
      expect_operator("=");
      statement->defaults.push_back(parse_expression());
      if (peek().kind != Kind::kBlockEnd) expect_operator(",");
    }
    expect_block_end();
    ++inside_;
    statement->body = parse_body("endwith");
    --inside_;
    return statement;
  }

  std::unique_ptr<Statement> parse_filter_block() {
    auto statement = start(Statement::Kind::kFilter);
    statement->value = parse_filter_chain();
    expect_block_end();
    ++inside_;
    statement->body = parse_body("endfilter");
    --inside_;
    return statement;
  }

  std::unique_ptr<Statement> parse_generation() {
    auto statement = start(Statement::Kind::kScope);
    expect_block_end();
    ++inside_;
    statement->body = parse_body("endgeneration");
    --inside_;
    return statement;
  }

  std::unique_ptr<Statement> parse_loop_control(const std::string& word) {
    if (loops_ == 0) fail(fmt::format("'{}' outside a loop", word));
    auto statement = start(word == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue);
    expect_block_end();
    return statement;
  }

  std::string_view name_;
  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
  int level_ = 0;
  int inside_ = 0;  ///< scopes open around the present place
  int loops_ = 0;   ///< loops open around the present place, up to the macro
};

}  // namespace

Block parse_template(std::string_view source, std::string_view name) {
  return Parser(source, name).run();
}

}  // namespace nvllm::tokenizer
