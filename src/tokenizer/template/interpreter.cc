// A walk over the tree. Scopes are a stack: a loop body, a macro call and a 'with' push one each,
// and a macro sees only its own scopes and the outermost, as Jinja's macros defined at the top
// level do.

#include "tokenizer/template/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "base/error.h"
#include "tokenizer/template/builtins.h"
#include "tokenizer/template/runtime.h"

namespace nvllm::tokenizer {

namespace {

using Expr = Expression::Kind;

class Interpreter {
 public:
  Interpreter(std::string_view name, const Json& variables, std::chrono::sys_seconds now)
      : runtime_(name, date_of(variables), now) {
    if (!variables.is_object()) runtime_.fail("the template's variables are not an object");
    for (const auto& [key, json] : variables.items()) {
      const bool from_user = key == "messages" || key == "tools" || key == "documents";
      std::optional<Value> value = from_json(json, from_user ? Origin::kUser : Origin::kTemplate);
      if (!value) runtime_.fail(fmt::format("'{}' is nested too deep", key));
      globals_.emplace(key, std::move(*value));
    }
  }

  MarkedText run(const Block& block) {
    MarkedText out;
    output_ = &out;
    execute(block);
    return out;
  }

 private:
  enum class Flow { kNext, kBreak, kContinue };
  using Scope = std::vector<std::pair<std::string, Value>>;

  static std::string date_of(const Json& variables) {
    if (!variables.is_object() || !variables.contains("date_string")) return "";
    const Json& date = variables["date_string"];
    return date.is_string() ? date.get<std::string>() : "";
  }

  /// One level of evaluation; bounds the stack whatever the template and its macros do.
  class Level {
   public:
    explicit Level(Interpreter& interpreter) : interpreter_(interpreter) {
      if (++interpreter_.depth_ > RenderLimits{}.depth) {
        interpreter_.runtime_.fail("evaluation is nested too deep (a macro that calls itself?)");
      }
    }
    ~Level() { --interpreter_.depth_; }

   private:
    Interpreter& interpreter_;
  };

  /// A scope pushed for as long as this lives.
  class Inside {
   public:
    explicit Inside(Interpreter& interpreter) : scopes_(interpreter.scopes_) {
      scopes_.emplace_back();
    }
    ~Inside() { scopes_.pop_back(); }

   private:
    std::deque<Scope>& scopes_;
  };

  // --- names
  // --------------------------------------------------------------------------------------

  static const Value* find(const Scope& scope, const std::string& name) {
    for (const auto& [known, value] : scope) {
      if (known == name) return &value;
    }
    return nullptr;
  }

  Value lookup(const std::string& name) {
    for (std::size_t i = scopes_.size(); i > first_visible_; --i) {
      if (const Value* value = find(scopes_[i - 1], name)) return *value;
    }
    if (const auto value = outermost_.find(name); value != outermost_.end()) return value->second;
    if (const auto value = globals_.find(name); value != globals_.end()) return value->second;
    if (name == "namespace") return Value(FunctionRef{"namespace"});
    if (is_function(name)) return Value(FunctionRef{function_name(name)});
    return runtime_.undefined(fmt::format("'{}' is undefined", name));
  }

  static std::string_view function_name(const std::string& name);

  void assign(const std::string& name, Value value) {
    if (scopes_.empty()) {
      outermost_[name] = std::move(value);
      return;
    }
    Scope& scope = scopes_.back();
    for (auto& [known, held] : scope) {
      if (known == name) {
        held = std::move(value);
        return;
      }
    }
    scope.emplace_back(name, std::move(value));
  }

  void assign_all(const std::vector<std::string>& names, Value value) {
    if (names.size() == 1) {
      assign(names[0], std::move(value));
      return;
    }
    std::vector<Value> parts = runtime_.items_of(value);
    if (parts.size() != names.size()) {
      runtime_.fail(fmt::format("{} names for {} values", names.size(), parts.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) assign(names[i], std::move(parts[i]));
  }

  // --- statements
  // ---------------------------------------------------------------------------------

  Flow execute(const Block& block) {
    const Level level(*this);
    for (const auto& statement : block) {
      const Flow flow = execute(*statement);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  void print(const MarkedText& text) {
    runtime_.charge_output(text.size());
    output_->append(text);
  }

  /// What a block prints, as a value of its own.
  MarkedText captured(const Block& block) {
    MarkedText out;
    MarkedText* const before = std::exchange(output_, &out);
    execute(block);  // if this throws, the whole render is over and output_ with it
    output_ = before;
    return out;
  }

  Flow execute(const Statement& statement) {
    runtime_.set_line(statement.line);
    runtime_.step();
    switch (statement.kind) {
      case Statement::Kind::kText:
        runtime_.charge_output(statement.text.size());
        output_->append(statement.text, Origin::kTemplate);
        return Flow::kNext;
      case Statement::Kind::kPrint:
        print(runtime_.printed(evaluate(*statement.value)));
        return Flow::kNext;
      case Statement::Kind::kIf:
        return execute_if(statement);
      case Statement::Kind::kFor:
        execute_for(statement);
        return Flow::kNext;
      case Statement::Kind::kSet:
        execute_set(statement);
        return Flow::kNext;
      case Statement::Kind::kSetBlock: {
        Value text = Value(in_scope(statement.body));
        if (statement.value != nullptr) text = filter_chain(*statement.value, std::move(text));
        assign(statement.names[0], std::move(text));
        return Flow::kNext;
      }
      case Statement::Kind::kMacro:
        assign(statement.text, Value(MacroRef{&statement}));
        return Flow::kNext;
      case Statement::Kind::kWith:
        return execute_with(statement);
      case Statement::Kind::kFilter:
        print(runtime_.printed(filter_chain(*statement.value, Value(in_scope(statement.body)))));
        return Flow::kNext;
      case Statement::Kind::kScope: {
        const Inside inside(*this);
        return execute(statement.body);
      }
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  MarkedText in_scope(const Block& block) {
    const Inside inside(*this);
    return captured(block);
  }

  Flow execute_if(const Statement& statement) {
    for (const Branch& branch : statement.branches) {
      if (branch.condition == nullptr || runtime_.truth(evaluate(*branch.condition))) {
        return execute(branch.body);
      }
    }
    return Flow::kNext;
  }

  void execute_set(const Statement& statement) {
    Value value = evaluate(*statement.value);
    if (statement.attribute.empty()) {
      assign_all(statement.names, std::move(value));
      return;
    }
    const Value target = lookup(statement.names[0]);
    const auto* space = target.get_if<Namespace*>();
    if (space == nullptr) {
      runtime_.fail(fmt::format("'{}.{}' cannot be set: only a namespace's fields can",
                                statement.names[0], statement.attribute));
    }
    set_field(**space, statement.attribute, std::move(value));
  }

  void set_field(Namespace& space, const std::string& name, Value value) {
    // A namespace is held by address and so counts as flat; what it holds must stay shallow on its
    // own.
    for (auto& [known, held] : space.fields) {
      if (known == name) {
        held = std::move(value);
        return;
      }
    }
    space.fields.emplace_back(name, std::move(value));
  }

  Flow execute_with(const Statement& statement) {
    std::vector<Value> values;
    for (const auto& value : statement.defaults) values.push_back(evaluate(*value));
    const Inside inside(*this);
    for (std::size_t i = 0; i < values.size(); ++i)
      assign(statement.names[i], std::move(values[i]));
    return execute(statement.body);
  }

  void execute_for(const Statement& statement) {
    const Level level(*this);
    std::vector<Value> items = runtime_.items_of(evaluate(*statement.value));
    if (statement.condition != nullptr) items = chosen(statement, std::move(items));
    if (items.empty()) {
      const Inside inside(*this);
      execute(statement.otherwise);
      return;
    }
    loops_.push_back(std::make_unique<LoopState>());
    LoopState& loop = *loops_.back();
    loop.items = std::move(items);
    for (loop.index = 0; loop.index < loop.items.size(); ++loop.index) {
      const Inside inside(*this);
      runtime_.set_line(statement.line);
      runtime_.step();
      assign("loop", Value(&loop));
      assign_all(statement.names, loop.items[loop.index]);
      if (execute(statement.body) == Flow::kBreak) break;
    }
  }

  std::vector<Value> chosen(const Statement& statement, std::vector<Value> items) {
    std::vector<Value> kept;
    for (Value& item : items) {
      const Inside inside(*this);
      assign_all(statement.names, item);
      if (runtime_.truth(evaluate(*statement.condition))) kept.push_back(std::move(item));
    }
    return kept;
  }

  // --- expressions
  // --------------------------------------------------------------------------------

  Value evaluate(const Expression& node) {
    const Level level(*this);
    runtime_.set_line(node.line);
    runtime_.step();
    switch (node.kind) {
      case Expr::kConstant:
        return node.constant;
      case Expr::kName:
        return lookup(node.name);
      case Expr::kList:
      case Expr::kTuple:
        return runtime_.list(evaluate_parts(node, 0), node.kind == Expr::kTuple);
      case Expr::kDict:
        return evaluate_dict(node);
      case Expr::kAttribute:
        return evaluate_attribute(node);
      case Expr::kItem: {
        const Value object = evaluate(*node.parts[0]);
        const Value key = evaluate(*node.parts[1]);
        return runtime_.item(object, key);
      }
      case Expr::kSlice: {
        const Value object = evaluate(*node.parts[0]);
        const auto part = [&](std::size_t i) {
          return node.parts[i] == nullptr ? Value(None{}) : evaluate(*node.parts[i]);
        };
        const Value start = part(1);
        const Value stop = part(2);
        return runtime_.slice(object, start, stop, part(3));
      }
      case Expr::kCall:
        return evaluate_call(node);
      case Expr::kFilter:
        return apply_filter(node, evaluate(*node.parts[0]));
      case Expr::kTest: {
        const Value input = evaluate(*node.parts[0]);
        return Value(call_test(runtime_, node.name, input, evaluate_arguments(node)));
      }
      case Expr::kNot:
        return Value(!runtime_.truth(evaluate(*node.parts[0])));
      case Expr::kNegate: {
        const Value operand = evaluate(*node.parts[0]);
        if (const double* real = operand.get_if<double>()) return Value(-*real);
        return runtime_.arithmetic('-', Value(std::int64_t{0}), operand);
      }
      case Expr::kPlus:
        return runtime_.arithmetic('+', Value(std::int64_t{0}), evaluate(*node.parts[0]));
      case Expr::kArithmetic:
        return evaluate_arithmetic(node);
      case Expr::kConcatenate: {
        MarkedText joined;
        for (const auto& part : node.parts) joined.append(runtime_.printed(evaluate(*part)));
        return runtime_.text(std::move(joined));
      }
      case Expr::kCompare:
        return evaluate_compare(node);
      case Expr::kAnd: {
        Value left = evaluate(*node.parts[0]);
        return runtime_.truth(left) ? evaluate(*node.parts[1]) : left;
      }
      case Expr::kOr: {
        Value left = evaluate(*node.parts[0]);
        return runtime_.truth(left) ? left : evaluate(*node.parts[1]);
      }
      case Expr::kConditional:
        if (runtime_.truth(evaluate(*node.parts[1]))) return evaluate(*node.parts[0]);
        if (node.parts[2] != nullptr) return evaluate(*node.parts[2]);
        return runtime_.undefined("the inline if has no else and its condition is false");
    }
    return Value();
  }

  std::vector<Value> evaluate_parts(const Expression& node, std::size_t first) {
    std::vector<Value> values;
    for (std::size_t i = first; i < node.parts.size(); ++i)
      values.push_back(evaluate(*node.parts[i]));
    return values;
  }

  Arguments evaluate_arguments(const Expression& node) {
    Arguments arguments{evaluate_parts(node, 1), {}};
    for (const auto& [name, value] : node.keywords)
      arguments.named.emplace_back(name, evaluate(*value));
    return arguments;
  }

  Value evaluate_dict(const Expression& node) {
    DictData dict;
    for (std::size_t i = 0; i < node.parts.size(); i += 2) {
      const Value key = evaluate(*node.parts[i]);
      const MarkedText& text = runtime_.text_of(key, "a mapping's key");
      dict.set(text, evaluate(*node.parts[i + 1]));
    }
    return runtime_.dict(std::move(dict));
  }

  Value evaluate_attribute(const Expression& node) {
    const Value object = evaluate(*node.parts[0]);
    if (const auto* loop = object.get_if<LoopState*>()) return loop_attribute(**loop, node.name);
    return runtime_.attribute(object, node.name);
  }

  Value loop_attribute(const LoopState& loop, const std::string& name) {
    const auto index = static_cast<std::int64_t>(loop.index);
    const auto count = static_cast<std::int64_t>(loop.items.size());
    if (name == "index") return Value(index + 1);
    if (name == "index0") return Value(index);
    if (name == "revindex") return Value(count - index);
    if (name == "revindex0") return Value(count - index - 1);
    if (name == "first") return Value(index == 0);
    if (name == "last") return Value(index + 1 == count);
    if (name == "length") return Value(count);
    if (name == "depth") return Value(std::int64_t{1});  // Jinja counts recursive loops only
    if (name == "depth0") return Value(std::int64_t{0});
    if (name == "previtem" && index > 0) return loop.items[loop.index - 1];
    if (name == "nextitem" && index + 1 < count) return loop.items[loop.index + 1];
    if (name == "previtem" || name == "nextitem") {
      return runtime_.undefined(fmt::format("there is no loop.{} here", name));
    }
    runtime_.fail(fmt::format("loop.{} is not supported", name));
  }

  Value evaluate_arithmetic(const Expression& node) {
    const Value left = evaluate(*node.parts[0]);
    const Value right = evaluate(*node.parts[1]);
    runtime_.set_line(node.line);
    if (node.name == "//") return runtime_.divide_to_floor(left, right);
    if (node.name == "**") return runtime_.power(left, right);
    return runtime_.arithmetic(node.name[0], left, right);
  }

  Value evaluate_compare(const Expression& node) {
    Value left = evaluate(*node.parts[0]);
    for (std::size_t i = 0; i < node.operators.size(); ++i) {
      Value right = evaluate(*node.parts[i + 1]);
      if (!compare(node.operators[i], left, right)) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  bool compare(const std::string& operation, const Value& left, const Value& right) {
    if (operation == "==") return runtime_.equal(left, right);
    if (operation == "!=") return !runtime_.equal(left, right);
    if (operation == "in") return runtime_.contains(right, left);
    if (operation == "not in") return !runtime_.contains(right, left);
    if (operation == "<") return runtime_.less(left, right);
    if (operation == ">") return runtime_.less(right, left);
    if (operation == "<=") return runtime_.less(left, right) || runtime_.equal(left, right);
    return runtime_.less(right, left) || runtime_.equal(left, right);
  }

  Value apply_filter(const Expression& node, const Value& input) {
    const Arguments arguments = evaluate_arguments(node);
    runtime_.set_line(node.line);
    return call_filter(runtime_, node.name, input, arguments);
  }

  /// A chain whose innermost input is a block's text.
  Value filter_chain(const Expression& node, Value text) {
    if (node.parts[0] != nullptr) text = filter_chain(*node.parts[0], std::move(text));
    return apply_filter(node, text);
  }

  Value evaluate_call(const Expression& node) {
    const Value callee = evaluate(*node.parts[0]);
    const Arguments arguments = evaluate_arguments(node);
    runtime_.set_line(node.line);
    if (const auto* macro = callee.get_if<MacroRef>()) return call_macro(*macro->macro, arguments);
    if (const auto* method = callee.get_if<BoundMethod>()) {
      return call_method(runtime_, *method->self, method->name, arguments);
    }
    if (const auto* function = callee.get_if<FunctionRef>()) {
      if (function->name == "namespace") return make_namespace(arguments);
      return call_function(runtime_, function->name, arguments);
    }
    if (const auto* missing = callee.get_if<Undefined>()) {
      runtime_.fail(missing->why ? *missing->why : "undefined");
    }
    runtime_.fail(fmt::format("a {} cannot be called", callee.type_name()));
  }

  Value make_namespace(const Arguments& arguments) {
    spaces_.push_back(std::make_unique<Namespace>());
    Namespace& space = *spaces_.back();
    check_argument_count(runtime_, "namespace", arguments, 1);
    if (!arguments.positional.empty()) {
      const DictData* dict = arguments.positional[0].dict();
      if (dict == nullptr) runtime_.fail("namespace() takes a mapping or named values");
      for (const auto& [key, value] : dict->entries) set_field(space, key.text(), value);
    }
    for (const auto& [name, value] : arguments.named) set_field(space, name, value);
    return Value(&space);
  }

  Value call_macro(const Statement& macro, const Arguments& arguments) {
    const Level level(*this);
    check_argument_count(runtime_, fmt::format("macro '{}'", macro.text), arguments,
                         macro.names.size());
    for (const auto& [name, value] : arguments.named) {
      if (std::find(macro.names.begin(), macro.names.end(), name) == macro.names.end()) {
        runtime_.fail(fmt::format("macro '{}' has no parameter '{}'", macro.text, name));
      }
    }
    const std::size_t visible_before = std::exchange(first_visible_, scopes_.size());
    MarkedText out;
    {
      const Inside inside(*this);
      for (std::size_t i = 0; i < macro.names.size(); ++i) {
        const Value* given = argument(arguments, i, macro.names[i]);
        Value value = given != nullptr ? *given
                      : macro.defaults[i] != nullptr
                          ? evaluate(*macro.defaults[i])
                          : runtime_.undefined(
                                fmt::format("parameter '{}' was not provided", macro.names[i]));
        assign(macro.names[i], std::move(value));
      }
      out = captured(macro.body);
    }
    first_visible_ = visible_before;
    return runtime_.text(std::move(out));
  }

  Runtime runtime_;
  std::unordered_map<std::string, Value> globals_;
  std::unordered_map<std::string, Value> outermost_;
  std::deque<Scope> scopes_;
  std::size_t first_visible_ = 0;  ///< scopes below belong to the caller of the running macro
  std::vector<std::unique_ptr<LoopState>> loops_;
  std::vector<std::unique_ptr<Namespace>> spaces_;
  MarkedText* output_ = nullptr;
  int depth_ = 0;
};

std::string_view Interpreter::function_name(const std::string& name) {
  for (const std::string_view known : {"range", "dict", "raise_exception", "strftime_now"}) {
    if (known == name) return known;
  }
  return "";
}

}  // namespace

MarkedText render_template(const Block& block, std::string_view name, const Json& variables,
                           std::chrono::sys_seconds now) {
  return Interpreter(name, variables, now).run(block);
}

}  // namespace nvllm::tokenizer
