#include "base/json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/error.h"

namespace nvllm {

namespace {

// The ordered object searches its keys one by one: without a cap, a body of 90,000 keys costs tens of
// seconds. Files with larger objects (vocabularies, shard maps) have parsers of their own.
constexpr std::size_t kKeysMax = 4096;

/// Watches one parse: counts depth and nodes and refuses a key given twice in one object.
class Watcher {
 public:
  Watcher(std::string_view what, JsonLimits limits) : what_(what), limits_(limits) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (++nodes_ > 2 * limits_.nodes_max) {
      refuse(fmt::format("more than {} values", limits_.nodes_max));
    }
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        if (depth >= limits_.depth_max) refuse(fmt::format("nested deeper than {}", limits_.depth_max));
        if (event == Event::object_start) keys_.emplace_back();
        break;
      case Event::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) refuse(fmt::format("key '{}' appears twice", key));
        if (keys_.back().size() > kKeysMax) refuse(fmt::format("an object with more than {} keys", kKeysMax));
        break;
      }
      case Event::object_end: keys_.pop_back(); break;
      default: break;
    }
    return true;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not acceptable JSON: {}", what_, why));
  }

  std::string_view what_;
  JsonLimits limits_;
  std::int64_t nodes_ = 0;
  std::vector<std::set<std::string, std::less<>>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  // The library takes a raw zero byte for the end of the text and would ignore what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not valid JSON: a zero byte at position {}", what, zero));
  }
  Watcher watcher(what, limits);
  try {
    return Json::parse(text.begin(), text.end(),
                       [&watcher](int depth, Json::parse_event_t event, Json& parsed) {
                         return watcher(depth, event, parsed);
                       });
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not valid JSON: {}", what, error.what()));
  }
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nvllm
