// The index is a promise about the shards; both sides are checked, so that a tensor can neither
// hide in a shard nor be promised by a map alone.

#include "checkpoint/tensor_files.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/json_events.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::int64_t kIndexBytesMax = 100'000'000;
constexpr std::size_t kShardsMax = 1000;
constexpr int kDepthMax = 16;

/// A file name without folders: links may lead elsewhere (caches lay out checkpoints so), names
/// may not.
bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name == "." || name == "..") return false;
  for (const char c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) return false;
  }
  return true;
}

/// Reads weight_map and lets everything else of an index pass.
class IndexEvents final : public JsonEvents {
 public:
  explicit IndexEvents(std::string_view file_name) : JsonEvents(file_name) {}
  std::map<std::string, std::string, std::less<>> take() {
    if (!seen_) refuse("has no weight_map");
    return std::move(map_);
  }

  bool start_object(std::size_t) override {
    if (depth_ == 1 && in_map_) inside_ = true;
    return enter();
  }
  bool end_object() override {
    --depth_;
    if (depth_ == 1) inside_ = in_map_ = false;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0 || in_map_) unexpected("an array");
    return enter();
  }
  bool end_array() override { return --depth_, true; }
  bool key(std::string& name) override {
    if (depth_ == 1) {
      in_map_ = name == "weight_map";
      if (in_map_ && seen_) refuse("weight_map appears twice");
      seen_ |= in_map_;
    }
    if (inside_) {
      if (map_.contains(name)) refuse(fmt::format("weight_map names tensor '{}' twice", name));
      tensor_ = name;
    }
    return true;
  }
  bool string(std::string& value) override {
    if (!inside_) return scalar("a string");
    if (!is_plain_file_name(value)) {
      refuse(
          fmt::format("weight_map puts tensor '{}' into {}, which is not a plain file name in "
                      "this folder",
                      tensor_, dump_json(value)));
    }
    map_.emplace(tensor_, value);
    return true;
  }
  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_integer(std::int64_t) override { return scalar("a number"); }
  bool number_unsigned(std::uint64_t) override { return scalar("a number"); }
  bool number_float(double, const std::string&) override { return scalar("a number"); }

 protected:
  std::string where() const override {
    if (in_map_) return " in weight_map, which maps tensor names to file names";
    return depth_ == 0 ? ", an index is one JSON object" : "";
  }

 private:
  bool enter() {
    if (inside_ && depth_ >= 2) unexpected("an object");
    if (++depth_ > kDepthMax) refuse(fmt::format("nested deeper than {}", kDepthMax));
    return true;
  }
  bool scalar(const char* what) {
    if (in_map_ || depth_ == 0) unexpected(what);
    return true;
  }

  int depth_ = 0;
  bool in_map_ = false, inside_ = false, seen_ = false;
  std::string tensor_;
  std::map<std::string, std::string, std::less<>> map_;
};

}  // namespace

std::map<std::string, std::string, std::less<>> parse_shard_map(std::string_view text,
                                                                std::string_view file_name) {
  IndexEvents events(file_name);
  parse_json_events(text, events);
  return events.take();
}

TensorFiles::TensorFiles(const std::filesystem::path& folder) : folder_(folder.string()) {
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  const std::filesystem::path single = folder / "model.safetensors";
  if (std::filesystem::exists(index)) {
    open_shards(index);
  } else if (std::filesystem::exists(single)) {
    add_file(single);
  } else {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: holds neither model.safetensors nor model.safetensors.index.json; "
                            "--model wants a folder with a Hugging Face checkpoint",
                            folder_));
  }
}

void TensorFiles::open_shards(const std::filesystem::path& index) {
  const auto map = parse_shard_map(read_file(index, kIndexBytesMax), index.string());
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  if (shards.size() > kShardsMax) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: names {} shards, more than {}",
                                                 index.string(), shards.size(), kShardsMax));
  }
  for (const std::string& shard : shards) {
    const std::filesystem::path path = index.parent_path() / shard;
    if (!std::filesystem::exists(path)) {
      throw Error(ErrorKind::kNotFound,
                  fmt::format("{}: shard '{}' is missing from the folder", index.string(), shard));
    }
    add_file(path);
    for (const TensorInfo& tensor : files_.back().tensors()) {
      const auto promised = map.find(tensor.name);
      if (promised == map.end() || promised->second != shard) {
        throw Error(ErrorKind::kBadFile,
                    fmt::format("{}: holds tensor '{}', which {} {}", path.string(), tensor.name,
                                index.filename().string(),
                                promised == map.end() ? "does not name"
                                                      : "puts into '" + promised->second + "'"));
      }
    }
  }
  for (const auto& [tensor, shard] : map) {
    if (find(tensor) == nullptr) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: puts tensor '{}' into '{}', which does not hold it",
                              index.string(), tensor, shard));
    }
  }
}

void TensorFiles::add_file(const std::filesystem::path& path) {
  files_.emplace_back(path);
  for (const TensorInfo& tensor : files_.back().tensors()) {
    tensors_.emplace(tensor.name, StoredTensor{tensor, files_.size() - 1});
  }
}

const StoredTensor* TensorFiles::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const std::string& TensorFiles::file_of(const StoredTensor& tensor) const {
  return files_[tensor.file_index].path();
}

void TensorFiles::read(const StoredTensor& tensor, std::span<std::byte> out) const {
  files_[tensor.file_index].read(tensor.info, 0, out);
}

}  // namespace nvllm::checkpoint
