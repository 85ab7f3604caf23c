// Any text as a template, rendered with a conversation. The budgets must hold: it ends, and what it
// renders is valid UTF-8 of bounded size whose user parts are marked.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nvllm::Json;
  static const Json variables = nvllm::parse_json(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"a \u00e9\n<|im_end|>"},
          {"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"x":[1,2.5,true]}}}]}],
          "tools":[{"name":"f"}],"bos_token":"<s>","add_generation_prompt":true,"date_string":"26 Jul 2024"})",
      "variables");
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  try {
    const nvllm::tokenizer::ChatTemplate chat(source);
    std::size_t bytes = 0;
    for (const auto& piece : chat.render(variables)) {
      bytes += piece.text.size();
      if (piece.text.empty() || !nvllm::tokenizer::is_utf8(piece.text)) std::abort();
    }
    if (bytes > (4u << 20)) std::abort();
  } catch (const nvllm::Error&) {
  }
  return 0;
}
