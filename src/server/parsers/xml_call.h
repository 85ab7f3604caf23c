#pragma once

#include <memory>
#include <set>
#include <string>

#include "server/parsers/call_body.h"
#include "server/parsers/tool_schemas.h"

namespace nvllm::server {

/// <function=NAME> with a <parameter=KEY> VALUE </parameter> for each argument, as Qwen3-Coder and
/// Qwen3.5 write it. The JSON object of the arguments grows as values arrive: text at once, other
/// types when they are complete. One line end at each end of a value belongs to the tags. A value
/// may hold anything that looks like a tag: it ends only at a </parameter> that another tag of the
/// call follows, or, where that was forgotten, at </function></tool_call>. Of two values with one
/// key the first counts.
class XmlCall final : public CallBody {
 public:
  explicit XmlCall(std::shared_ptr<const ToolSchemas> tools) : tools_(std::move(tools)) {}

  BodyState push(char c) override;
  void finish(ReplyEnd end) override;

 private:
  enum class State { kStart, kName, kBetween, kKey, kValue, kDone };

  BodyState read_tag(char c);
  BodyState read_word(char c);
  BodyState read_value(char c);
  void begin_value();
  void add_to_value(std::string_view text);
  void end_value();
  BodyState end_value_and_read(std::size_t tags_from);
  void open_text();
  void close_object();

  std::shared_ptr<const ToolSchemas> tools_;
  State state_ = State::kStart;
  std::string tag_;      ///< of the tag that is being read, and white space before it
  std::string word_;     ///< of the name or key that is being read
  std::string pending_;  ///< of a value: what may be its end
  std::set<std::string> keys_;
  ParameterType type_;
  std::string value_;  ///< what cannot be written before all of it is there
  bool at_value_begin_ = false, drops_value_ = false, text_is_open_ = false;
};

}  // namespace nvllm::server
