// The loader of tokenizer.json and what a tokenizer does with any text and ids. The input is a
// tokenizer.json, optionally followed by a zero byte and a text to encode. Whatever loads must hold
// what the header promises: ids in range, streaming equal to decoding, valid UTF-8 out.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void try_text(const nvllm::tokenizer::Tokenizer& tokenizer, std::string_view text) {
  using nvllm::tokenizer::AddedTokens;
  for (const auto added : {AddedTokens::kParse, AddedTokens::kAsText}) {
    auto ids = tokenizer.encode(text, added, nvllm::tokenizer::TextFrame::kPostProcessor);
    for (const std::int32_t id : ids) require(id >= 0 && id < tokenizer.vocab_size());
    for (const char byte : text) ids.push_back(static_cast<std::uint8_t>(byte));
    for (const bool skip : {false, true}) {
      nvllm::tokenizer::Detokenizer detokenizer(tokenizer, skip);
      std::string joined;
      for (const std::int32_t id : ids) joined += detokenizer.push(id);
      joined += detokenizer.finish();
      require(joined == tokenizer.decode(ids, skip));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = std::min(input.find('\0'), input.size());
  const std::string_view text =
      cut < input.size() ? input.substr(cut + 1) : "a <|end|>\n\xc3\xa9 12";
  try {
    try_text(nvllm::tokenizer::Tokenizer::from_json(input.substr(0, cut)), text.substr(0, 4096));
  } catch (const nvllm::Error&) {
  }
  return 0;
}
