// Values as text: {{ }} prints Python's str() of a value, tojson what Python's json.dumps writes.

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "tokenizer/template/runtime.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  const std::string spelled(buffer.data(), end.ptr);
  const std::size_t e = spelled.find('e');
  const int exponent = std::stoi(spelled.substr(e + 1));
  // Python writes exponents only below -4 and from 16 on, and marks whole numbers with ".0".
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", spelled.substr(0, e), exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  const auto fixed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string text(buffer.data(), fixed.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

namespace {

bool prints_as_itself(std::uint32_t code_point) {
  if (code_point == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

void append_python_string(const std::string& text, std::string& out) {
  const bool double_quotes =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const std::uint32_t c = step.code_point;
    if (c == static_cast<std::uint32_t>(quote) || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (prints_as_itself(c)) {
      out += text.substr(at, step.bytes);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
    }
    at += step.bytes;
  }
  out += quote;
}

void append_json_string(const std::string& text, bool ensure_ascii, std::string& out) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const std::uint32_t c = step.code_point;
    constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    const std::size_t known =
        c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += {'\\', kLetters[known]};
    } else if (c < 0x20 || (ensure_ascii && c >= 0x7f && c < 0x10000 && c != 0x7f)) {
      out += fmt::format("\\u{:04x}", c);
    } else if (ensure_ascii && c >= 0x10000) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
      out += text.substr(at, step.bytes);
    }
    at += step.bytes;
  }
  out += '"';
}

}  // namespace

void Runtime::append_repr(const Value& value, std::string& out) {
  step();
  if (value.is<None>()) {
    out += "None";
  } else if (const bool* flag = value.get_if<bool>()) {
    out += *flag ? "True" : "False";
  } else if (value.integer()) {
    out += std::to_string(*value.integer());
  } else if (value.number()) {
    out += python_float(*value.number());
  } else if (value.text() != nullptr) {
    charge_text(value.text()->size());
    append_python_string(value.text()->text(), out);
  } else if (const ListData* list = value.list()) {
    out += list->is_tuple ? '(' : '[';
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out += ", ";
      append_repr(list->items[i], out);
    }
    if (list->is_tuple && list->items.size() == 1) out += ',';
    out += list->is_tuple ? ')' : ']';
  } else if (const DictData* dict = value.dict()) {
    out += '{';
    for (std::size_t i = 0; i < dict->entries.size(); ++i) {
      if (i > 0) out += ", ";
      append_python_string(dict->entries[i].first.text(), out);
      out += ": ";
      append_repr(dict->entries[i].second, out);
    }
    out += '}';
  } else if (value.is<Undefined>()) {
    out += "Undefined";
  } else {
    fail(fmt::format("a {} cannot be printed", value.type_name()));
  }
}

MarkedText Runtime::printed(const Value& value) {
  step();
  if (value.text() != nullptr) return *value.text();
  if (value.is<Undefined>()) return {};
  std::string out;
  append_repr(value, out);
  charge_text(out.size());
  return MarkedText(out, value.has_user_text() ? Origin::kUser : Origin::kTemplate);
}

void Runtime::append_json(const Value& value, const JsonStyle& style, int level, std::string& out) {
  step();
  const auto line_break = [&](int at_level) {
    if (style.indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(style.indent * at_level), ' ');
    charge_text(static_cast<std::size_t>(style.indent * at_level));
  };
  if (value.is<None>()) {
    out += "null";
  } else if (const bool* flag = value.get_if<bool>()) {
    out += *flag ? "true" : "false";
  } else if (value.integer()) {
    out += std::to_string(*value.integer());
  } else if (const auto number = value.number()) {
    out += std::isnan(*number)   ? "NaN"
           : std::isinf(*number) ? (*number < 0 ? "-Infinity" : "Infinity")
                                 : python_float(*number);
  } else if (value.text() != nullptr) {
    charge_text(value.text()->size());
    append_json_string(value.text()->text(), style.ensure_ascii, out);
  } else if (const ListData* list = value.list()) {
    out += '[';
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out += style.item_separator;
      line_break(level + 1);
      append_json(list->items[i], style, level + 1, out);
    }
    if (!list->items.empty()) line_break(level);
    out += ']';
  } else if (const DictData* dict = value.dict()) {
    std::vector<const std::pair<MarkedText, Value>*> entries;
    for (const auto& entry : dict->entries) entries.push_back(&entry);
    if (style.sort_keys) {
      std::sort(entries.begin(), entries.end(),
                [](const auto* a, const auto* b) { return a->first.text() < b->first.text(); });
    }
    out += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style.item_separator;
      line_break(level + 1);
      append_json_string(entries[i]->first.text(), style.ensure_ascii, out);
      out += style.key_separator;
      append_json(entries[i]->second, style, level + 1, out);
    }
    if (!entries.empty()) line_break(level);
    out += '}';
  } else {
    fail(fmt::format("a value of type {} cannot be written as JSON", value.type_name()));
  }
}

MarkedText Runtime::json(const Value& value, const JsonStyle& style) {
  std::string out;
  append_json(value, style, 0, out);
  return MarkedText(out, value.has_user_text() ? Origin::kUser : Origin::kTemplate);
}

}  // namespace nvllm::tokenizer
