#include "bench/store/canonical_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {

namespace {

enum class Layout { kOneLine, kIndented };

class Writer {
 public:
  explicit Writer(Layout layout) : layout_(layout) {}

  std::string write(const Json& value) {
    put(value, 0);
    text_.push_back('\n');
    return std::move(text_);
  }

 private:
  void put(const Json& value, int depth) {
    if (value.is_object()) return put_object(value, depth);
    if (value.is_array()) return put_array(value, depth);
    if (value.is_number_float()) return put_double(value.get<double>());
    text_ += dumped(value);
  }

  void put_object(const Json& value, int depth) {
    std::vector<std::string_view> keys;
    for (const auto& item : value.items()) keys.emplace_back(item.key());
    std::sort(keys.begin(), keys.end());
    text_.push_back('{');
    for (std::size_t i = 0; i < keys.size(); ++i) {
      separate(i, depth + 1);
      text_ += dumped(Json(std::string(keys[i])));
      text_ += layout_ == Layout::kIndented ? ": " : ":";
      put(value.at(std::string(keys[i])), depth + 1);
    }
    close('}', keys.size(), depth);
  }

  void put_array(const Json& value, int depth) {
    text_.push_back('[');
    for (std::size_t i = 0; i < value.size(); ++i) {
      separate(i, depth + 1);
      put(value[i], depth + 1);
    }
    close(']', value.size(), depth);
  }

  void separate(std::size_t index, int depth) {
    if (index > 0) text_.push_back(',');
    line(depth);
  }

  void close(char bracket, std::size_t count, int depth) {
    if (count > 0) line(depth);
    text_.push_back(bracket);
  }

  void line(int depth) {
    if (layout_ == Layout::kOneLine) return;
    text_.push_back('\n');
    text_.append(static_cast<std::size_t>(depth) * 2, ' ');
  }

  void put_double(double number) {
    if (!std::isfinite(number)) {
      throw Error(ErrorKind::kBadFile, fmt::format("JSON cannot hold {}; leave the field out or write null", number));
    }
    if (number == 0) number = 0;  // no minus zero
    std::array<char, 40> digits{};
    const auto [end, fault] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    text_.append(digits.data(), fault == std::errc() ? end : digits.data());
  }

  static std::string dumped(const Json& value) {
    try {
      return value.dump(-1, ' ', false, Json::error_handler_t::strict);
    } catch (const Json::exception& error) {
      throw Error(ErrorKind::kBadFile, fmt::format("cannot be written as JSON: {}", error.what()));
    }
  }

  Layout layout_;
  std::string text_;
};

}  // namespace

std::string canonical_json(const Json& value) { return Writer(Layout::kOneLine).write(value); }

std::string readable_json(const Json& value) { return Writer(Layout::kIndented).write(value); }

std::string canonical_hash(const Json& value) { return sha256_hex(std::string_view(canonical_json(value))); }

}  // namespace nvllm::bench
