#pragma once

// The syntax tree of a template.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/template/value.h"

namespace nvllm::tokenizer {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Block = std::vector<std::unique_ptr<Statement>>;

/// One expression. Which fields count depends on the kind; `parts` may hold nulls in a slice.
struct Expression {
  enum class Kind {
    kConstant,     ///< constant
    kName,         ///< name
    kList,         ///< parts
    kTuple,        ///< parts
    kDict,         ///< parts: key, value, key, value, ...
    kAttribute,    ///< parts[0].name
    kItem,         ///< parts[0][parts[1]]
    kSlice,        ///< parts[0][parts[1]:parts[2]:parts[3]]
    kCall,         ///< parts[0](parts[1..], keywords)
    kFilter,       ///< parts[0] | name(parts[1..], keywords); parts[0] null: of a block
    kTest,         ///< parts[0] is name(parts[1..])
    kNot,          ///< not parts[0]
    kNegate,       ///< -parts[0]
    kPlus,         ///< +parts[0]
    kArithmetic,   ///< parts[0] name parts[1]
    kConcatenate,  ///< parts joined by ~
    kCompare,      ///< parts[0] operators[0] parts[1] operators[1] ...
    kAnd,
    kOr,
    kConditional,  ///< parts[0] if parts[1] else parts[2] (null: undefined)
  };
  Kind kind = Kind::kConstant;
  int line = 0;
  int depth = 1;
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> parts;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  std::vector<std::string> operators;
};

/// One branch of an if; the last may have no condition (else).
struct Branch {
  ExpressionPtr condition;
  Block body;
};

/// One statement. Which fields count depends on the kind.
struct Statement {
  enum class Kind {
    kText,      ///< text
    kPrint,     ///< value
    kIf,        ///< branches
    kFor,       ///< for names in value if condition: body, else: otherwise
    kSet,       ///< names = value, or names[0].attribute = value
    kSetBlock,  ///< names[0] = what body prints, through value if there is a filter
    kMacro,     ///< text(names, defaults): body
    kWith,      ///< names = defaults: body
    kFilter,    ///< what body prints, through value
    kScope,     ///< body in a scope of its own (generation)
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  int line = 0;
  std::string text;
  std::string attribute;
  std::vector<std::string> names;
  std::vector<ExpressionPtr> defaults;  ///< for macro parameters: as many as names, null without
  ExpressionPtr value;
  ExpressionPtr condition;
  Block body;
  Block otherwise;
  std::vector<Branch> branches;
};

/// Throws Error(kind) "NAME, line LINE: WHY".
enum class TemplateFault { kSyntax, kRun };
[[noreturn]] void template_error(TemplateFault fault, std::string_view name, int line,
                                 std::string_view why);

/// Parses a template; `name` is for messages.
///   Errors: Error(kBadFile) with the line for anything the interpreter does not know.
Block parse_template(std::string_view source, std::string_view name);

}  // namespace nvllm::tokenizer
