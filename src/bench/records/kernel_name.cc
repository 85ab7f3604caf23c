// Kernel names come demangled, mangled, or made up by a compiler (Triton, the CuTe DSL). All are cut
// by hand: a demangler's output for a hostile mangled name can be larger than memory.

#include "bench/records/kernel_name.h"

#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "base/hashing.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kShortNameMax = 60;
constexpr std::string_view kAnonymous = "(anonymous namespace)";
constexpr std::array<std::string_view, 3> kPhrases = {"DecodeKernel", "PhaseE_Beta_Kernel", "Phase_D_MLP_Kernel"};

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

/// Whether `word` stands in `name` as a whole word. The CuTe DSL glues a module path without
/// separators before the class name, so there a lower-case letter may precede it.
bool contains_word(std::string_view name, std::string_view word) {
  const bool glued = name.starts_with("kernel_cutlass_");
  for (std::size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if (end < name.size() && is_alnum(name[end])) {
      // A mangled name goes on with a letter: 12DecodeKernelE, 12DecodeKernelI...
      if (!name.starts_with("_Z") || (name[end] != 'E' && name[end] != 'I' && name[end] != 'v')) continue;
    }
    if (at == 0 || !is_alnum(name[at - 1])) return true;
    if (std::isdigit(static_cast<unsigned char>(name[at - 1]))) return true;
    if (glued && std::islower(static_cast<unsigned char>(name[at - 1]))) return true;
  }
  return false;
}

/// Where the parts of a demangled function begin and end.
struct Function {
  std::size_t name_begin = 0;  ///< after the return type
  std::size_t name_end = 0;    ///< before the parameters
};

/// Finds return type and parameters of a demangled name, brackets counted; nothing where it is none.
std::optional<Function> parse_function(std::string_view name) {
  Function parts;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i).starts_with(kAnonymous)) {
      i += kAnonymous.size() - 1;
      continue;
    }
    const char c = name[i];
    if (c == '(' && depth == 0) {
      if (i == parts.name_begin || name[i - 1] == ' ') return std::nullopt;
      parts.name_end = i;
      return parts;
    }
    if (c == '<' || c == '(' || c == '{' || c == '[') ++depth;
    if (c == '>' || c == ')' || c == '}' || c == ']') --depth;
    if (depth < 0) return std::nullopt;
    if (c == ' ' && depth == 0) parts.name_begin = i + 1;
  }
  if (depth != 0 || parts.name_begin != 0) return std::nullopt;
  parts.name_end = name.size();
  return parts;
}

std::string without_addresses(std::string_view name) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i).starts_with("0x") && (i == 0 || !is_alnum(name[i - 1]))) {
      std::size_t end = i + 2;
      while (end < name.size() && std::isxdigit(static_cast<unsigned char>(name[end]))) ++end;
      if (end >= i + 6) {
        i = end - 1;
        continue;
      }
    }
    text.push_back(name[i]);
  }
  return text;
}

std::string without_template_arguments(std::string_view name) {
  std::string text;
  int depth = 0;
  for (const char c : name) {
    if (c == '>') --depth;
    if (depth == 0 && c != '>') text.push_back(c);
    if (c == '<') {
      if (depth == 0) text.pop_back();
      ++depth;
    }
  }
  return text;
}

void erase_all(std::string& text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
    text.erase(at, part.size());
  }
}

/// The last two components: "cublas::gemvx::kernel" is read "gemvx::kernel".
std::string last_two(std::string text) {
  for (const std::string_view noise : {"(anonymous namespace)::", "at::native::", "internal::"}) erase_all(text, noise);
  const std::size_t last = text.rfind("::");
  if (last == std::string::npos || last == 0) return text;
  const std::size_t before = text.rfind("::", last - 1);
  return before == std::string::npos ? text : text.substr(before + 2);
}

/// The plain components at the front of a mangled name: _ZN7cutlass13device_kernelI... gives
/// "cutlass::device_kernel". Empty where it does not begin with such.
std::string leading_components(std::string_view mangled) {
  std::string text;
  std::size_t at = mangled.starts_with("_ZN") ? 3 : 2;
  while (at < mangled.size() && std::isdigit(static_cast<unsigned char>(mangled[at]))) {
    std::size_t length = 0;
    while (at < mangled.size() && std::isdigit(static_cast<unsigned char>(mangled[at])) && length < mangled.size()) {
      length = length * 10 + static_cast<std::size_t>(mangled[at++] - '0');
    }
    if (length == 0 || length > mangled.size() - at) return {};
    const std::string_view part = mangled.substr(at, length);
    at += length;
    if (part.starts_with("_GLOBAL__N")) continue;
    text += text.empty() ? "" : "::";
    text += part;
  }
  return text;
}

std::string base_name(const std::string& name) {
  if (name.find("float_e2m1_t") != std::string::npos &&
      (name.find("gemm") != std::string::npos || name.find("Gemm") != std::string::npos)) {
    return "nvfp4_gemm";
  }
  if (name.starts_with("_Z")) {
    const std::string parts = leading_components(name);
    return parts.empty() ? name : last_two(parts);
  }
  if (const std::size_t at = name.find("_object_at_"); at != std::string::npos) return name.substr(0, at);
  const std::optional<Function> function = parse_function(name);
  if (!function) return name;
  return last_two(without_template_arguments(std::string_view(name).substr(0, function->name_end)));
}

/// Words and the class they speak for; the first that matches wins.
constexpr std::array<std::pair<std::string_view, KernelClass>, 27> kWords = {{
    {"DecodeKernel", KernelClass::kAttention},
    {"PhaseE_Beta_Kernel", KernelClass::kAttention},
    {"Phase_D_MLP_Kernel", KernelClass::kGemv},
    {"gemvx", KernelClass::kGemv},
    {"gemv", KernelClass::kGemv},
    {"reshape_and_cache", KernelClass::kCache},
    {"kv_blocks", KernelClass::kCache},
    {"slot_mapping", KernelClass::kCache},
    {"cvt_fp16_to_fp4", KernelClass::kQuant},
    {"quant", KernelClass::kQuant},
    {"gemm", KernelClass::kGemm},
    {"Gemm", KernelClass::kGemm},
    {"nvjet", KernelClass::kGemm},
    {"splitKreduce", KernelClass::kGemm},
    {"attention", KernelClass::kAttention},
    {"attn", KernelClass::kAttention},
    {"gated_delta", KernelClass::kAttention},
    {"flash", KernelClass::kAttention},
    {"rotary", KernelClass::kRope},
    {"rope", KernelClass::kRope},
    {"norm", KernelClass::kNorm},
    {"rsqrt", KernelClass::kNorm},
    {"ArgMax", KernelClass::kSample},
    {"sampl", KernelClass::kSample},
    {"Memcpy", KernelClass::kMemory},
    {"memcpy", KernelClass::kMemory},
    {"FillFunctor", KernelClass::kMemory},
}};

}  // namespace

std::string_view to_string(KernelClass kind) {
  switch (kind) {
    case KernelClass::kGemm:
      return "gemm";
    case KernelClass::kGemv:
      return "gemv";
    case KernelClass::kAttention:
      return "attn";
    case KernelClass::kNorm:
      return "norm";
    case KernelClass::kRope:
      return "rope";
    case KernelClass::kQuant:
      return "quant";
    case KernelClass::kCache:
      return "cache";
    case KernelClass::kSample:
      return "sample";
    case KernelClass::kMemory:
      return "mem";
    case KernelClass::kOther:
      return "other";
  }
  return "other";
}

std::string normalised_kernel_name(std::string_view name) {
  std::string text = without_addresses(name);
  if (text.starts_with("_Z")) return text;
  if (const std::optional<Function> function = parse_function(text)) text.erase(0, function->name_begin);
  return text;
}

std::string short_kernel_name(std::string_view name) {
  for (const std::string_view phrase : kPhrases) {
    if (contains_word(name, phrase)) return std::string(phrase);
  }
  const std::string whole = normalised_kernel_name(name);
  std::string base = base_name(whole);
  if (base == whole && base.size() <= kShortNameMax) return base;
  constexpr std::size_t kDigits = 6;
  if (base.size() > kShortNameMax - kDigits - 1) {
    std::size_t end = kShortNameMax - kDigits - 1;
    while (end > 0 && (static_cast<unsigned char>(base[end]) & 0xc0) == 0x80) --end;  // not inside of a character
    base.resize(end);
  }
  return base + "#" + sha256_hex(std::string_view(whole)).substr(0, kDigits);
}

KernelClass classify_kernel(std::string_view name) {
  for (const auto& [word, kind] : kWords) {
    if (name.find(word) != std::string_view::npos) return kind;
  }
  return name.starts_with("Memset") || name.starts_with("memset") ? KernelClass::kMemory : KernelClass::kOther;
}

}  // namespace nvllm::bench
