// A reader of JSON events that builds a tree for everything but two places, /model/vocab and
// /model/merges, whose values go straight into vectors.

#include "tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "tokenizer/json_fields.h"

namespace nvllm::tokenizer {

namespace {

class Reader {
 public:
  Reader(std::string_view name, TokenizerFile& file) : name_(name), file_(file) {}

  bool null() { return value(nullptr); }
  bool boolean(bool v) { return value(v); }
  bool number_integer(Json::number_integer_t v) { return value(v); }
  bool number_unsigned(Json::number_unsigned_t v) { return value(v); }
  bool number_float(Json::number_float_t v, const std::string&) { return value(v); }
  bool string(std::string& v) { return value(std::move(v)); }
  bool binary(Json::binary_t&) { return false; }

  bool start_object(std::size_t) {
    if (place_ != Place::kTree) refuse_inside("an object");
    if (at_model_field("vocab")) {
      place_ = Place::kVocab;
      ++depth_;
      return true;
    }
    return open(Json::object());
  }
  bool end_object() { return close(Place::kVocab); }

  bool start_array(std::size_t) {
    if (place_ == Place::kMerges) {
      place_ = Place::kPair;
      pair_.clear();
      return true;
    }
    if (place_ != Place::kTree) refuse_inside("a list");
    if (at_model_field("merges")) {
      place_ = Place::kMerges;
      ++depth_;
      return true;
    }
    return open(Json::array());
  }
  bool end_array() {
    if (place_ == Place::kPair) {
      if (pair_.size() != 2) {
        refuse(fmt::format("merge {} has {} parts, wanted 2", file_.merges.size(), pair_.size()));
      }
      file_.merges.push_back({std::move(pair_[0]), std::move(pair_[1])});
      place_ = Place::kMerges;
      return true;
    }
    return close(Place::kMerges);
  }

  bool key(std::string& name) {
    if (place_ == Place::kVocab) {
      key_ = std::move(name);
      return true;
    }
    if (stack_.back()->size() >= kKeysMax)
      refuse(fmt::format("an object of over {} keys", kKeysMax));
    if (stack_.back()->contains(name)) refuse(fmt::format("key '{}' appears twice", name));
    const bool diverted =
        in_model() && ((name == "vocab" && vocab_seen_) || (name == "merges" && merges_seen_));
    if (diverted) refuse(fmt::format("key '{}' appears twice", name));
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) {
    refuse(fmt::format("not valid JSON at byte {}: {}", position, error.what()));
  }

 private:
  enum class Place { kTree, kVocab, kMerges, kPair };
  static constexpr int kDepthMax = 64;
  static constexpr std::int64_t kTreeNodesMax = 1'000'000;
  static constexpr std::size_t kKeysMax = 4096;

  [[noreturn]] void refuse(const std::string& why) const { bad_file(name_, why); }
  [[noreturn]] void refuse_inside(std::string_view what) const {
    refuse(place_ == Place::kVocab
               ? fmt::format("model.vocab entry '{}' is {}, wanted an id", key_, what)
               : fmt::format("model.merges entry {} holds {}", file_.merges.size(), what));
  }

  bool in_model() const { return stack_.size() == 2 && stack_[1] == model_ && model_ != nullptr; }
  bool at_model_field(std::string_view field) {
    if (!in_model() || key_ != field) return false;
    (field == "vocab" ? vocab_seen_ : merges_seen_) = true;
    return true;
  }

  Json* put(Json&& v) {
    if (++nodes_ > kTreeNodesMax) refuse(fmt::format("more than {} values", kTreeNodesMax));
    if (stack_.empty()) {
      file_.root = std::move(v);
      return &file_.root;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(v));
      return &parent.back();
    }
    return &(parent[key_] = std::move(v));
  }

  bool open(Json&& container) {
    if (++depth_ > kDepthMax) refuse(fmt::format("nested deeper than {}", kDepthMax));
    const bool is_model = stack_.size() == 1 && stack_[0]->is_object() && key_ == "model";
    Json* placed = put(std::move(container));
    if (is_model) model_ = placed;
    stack_.push_back(placed);
    return true;
  }

  bool close(Place diverted) {
    --depth_;
    if (place_ == diverted) {
      place_ = Place::kTree;
    } else {
      if (stack_.size() == 2) model_ = nullptr;
      stack_.pop_back();
    }
    return true;
  }

  template <class T>
  bool value(T&& v) {
    switch (place_) {
      case Place::kTree:
        put(Json(std::forward<T>(v)));
        break;
      case Place::kVocab:
        file_.vocab.emplace_back(
            key_, id_value(Json(v), fmt::format("{}: model.vocab entry '{}'", name_, key_)));
        break;
      case Place::kMerges:
        add_merge(Json(std::forward<T>(v)));
        break;
      case Place::kPair: {
        Json part(std::forward<T>(v));
        if (!part.is_string()) refuse_inside("a part that is not a string");
        pair_.push_back(part.get<std::string>());
        if (pair_.size() > 2) refuse_inside("more than 2 parts");
        break;
      }
    }
    return true;
  }

  void add_merge(const Json& v) {
    if (!v.is_string()) refuse_inside("a value that is neither a string nor a pair");
    const auto& text = v.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
      refuse(fmt::format("merge {} is '{}', wanted two parts with one space between",
                         file_.merges.size(), text));
    }
    file_.merges.push_back({text.substr(0, space), text.substr(space + 1)});
  }

  std::string_view name_;
  TokenizerFile& file_;
  Place place_ = Place::kTree;
  std::vector<Json*> stack_;  ///< open containers; a parent never grows while its child is open
  Json* model_ = nullptr;
  std::string key_;
  std::vector<std::string> pair_;
  std::int64_t nodes_ = 0;
  int depth_ = 0;
  bool vocab_seen_ = false;
  bool merges_seen_ = false;
};

}  // namespace

TokenizerFile parse_tokenizer_file(std::string_view text, std::string_view name) {
  TokenizerFile file;
  Reader reader(name, file);
  try {
    Json::sax_parse(text.begin(), text.end(), &reader);
  } catch (const Json::exception& error) {
    bad_file(name, fmt::format("not valid JSON: {}", error.what()));
  }
  if (!file.root.is_object()) bad_file(name, "wanted an object");
  return file;
}

}  // namespace nvllm::tokenizer
