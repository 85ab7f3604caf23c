// The header is known before the first byte of data: offsets are laid out first, larger elements
// before smaller ones so that each tensor is aligned, and the items write into their places.

#include "checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace nvllm::checkpoint {

namespace {

/// A file that is removed unless it was put into place.
class PendingFile {
 public:
  explicit PendingFile(const std::filesystem::path& path)
      : path_(path), temporary_(path.string() + fmt::format(".tmp-{}", ::getpid())) {
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("cannot be created");
  }
  ~PendingFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write_at(std::int64_t offset, std::span<const std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset) + static_cast<off_t>(done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) fail("cannot be written");
      done += static_cast<std::size_t>(put);
    }
  }

  void put_into_place() {
    if (::fsync(fd_) != 0) fail("cannot be made durable");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed into place");
    ::close(fd_);
    fd_ = -1;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: {}: {}", path_.string(), what, std::strerror(errno)));
  }

  std::filesystem::path path_;
  std::string temporary_;
  int fd_ = -1;
};

/// Where each tensor of each item of a shard goes.
struct ShardLayout {
  std::string header;                              // its length included, padded to eight bytes
  std::vector<std::vector<std::int64_t>> offsets;  // [item][tensor], from the file's start
};

ShardLayout lay_out(std::span<const OutputItem> items) {
  struct Slot {
    const OutputTensor* tensor;
    std::size_t item, index;
  };
  std::vector<Slot> slots;
  ShardLayout layout;
  for (std::size_t i = 0; i < items.size(); ++i) {
    layout.offsets.emplace_back(items[i].tensors.size());
    for (std::size_t k = 0; k < items[i].tensors.size(); ++k) {
      slots.push_back({&items[i].tensors[k], i, k});
    }
  }
  std::ranges::stable_sort(slots, [](const Slot& a, const Slot& b) {
    return dtype_bytes(a.tensor->dtype) > dtype_bytes(b.tensor->dtype);
  });
  std::string text = R"({"__metadata__":{"format":"pt"})";
  std::int64_t cursor = 0;
  for (const Slot& slot : slots) {
    const OutputTensor& tensor = *slot.tensor;
    const std::int64_t end = cursor + tensor.bytes();
    Json entry;
    entry["dtype"] = to_string(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {cursor, end};
    text += fmt::format(",{}:{}", dump_json(tensor.name), dump_json(entry));
    layout.offsets[slot.item][slot.index] = cursor;
    cursor = end;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  layout.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  layout.header += text;
  for (auto& item : layout.offsets) {
    for (std::int64_t& offset : item) offset += static_cast<std::int64_t>(layout.header.size());
  }
  return layout;
}

void write_shard(const std::filesystem::path& path, std::span<const OutputItem> items,
                 const std::function<void(std::int64_t)>& written) {
  const ShardLayout layout = lay_out(items);
  PendingFile file(path);
  file.write_at(0, std::as_bytes(std::span(layout.header)));
  for (std::size_t i = 0; i < items.size(); ++i) {
    const OutputItem& item = items[i];
    std::vector<std::int64_t> done(item.tensors.size());
    item.write([&](std::size_t tensor, std::span<const std::byte> bytes) {
      file.write_at(layout.offsets[i][tensor] + done[tensor], bytes);
      done[tensor] += static_cast<std::int64_t>(bytes.size());
      written(static_cast<std::int64_t>(bytes.size()));
    });
    for (std::size_t k = 0; k < done.size(); ++k) NVLLM_CHECK_EQ(done[k], item.tensors[k].bytes());
  }
  file.put_into_place();
}

std::int64_t item_bytes(const OutputItem& item) {
  std::int64_t total = 0;
  for (const OutputTensor& tensor : item.tensors) total += tensor.bytes();
  return total;
}

/// Cuts the items into shards in their order; returns the first item of each, and the end.
std::vector<std::size_t> cut_shards(const std::vector<OutputItem>& items, std::int64_t bytes_max) {
  std::vector<std::size_t> begins = {0};
  std::int64_t held = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::int64_t bytes = item_bytes(items[i]);
    if (held > 0 && held + bytes > bytes_max) {
      begins.push_back(i);
      held = 0;
    }
    held += bytes;
  }
  begins.push_back(items.size());
  return begins;
}

}  // namespace

std::int64_t OutputTensor::bytes() const {
  std::int64_t total = dtype_bytes(dtype);
  for (const std::int64_t dimension : shape) total *= dimension;
  return total;
}

void write_tensor_files(const std::filesystem::path& folder, const std::vector<OutputItem>& items,
                        std::int64_t shard_bytes_max, const Progress& progress) {
  std::int64_t total = 0, done = 0;
  for (const OutputItem& item : items) total += item_bytes(item);
  const auto written = [&](std::int64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
  };
  const std::vector<std::size_t> begins = cut_shards(items, shard_bytes_max);
  const std::size_t shards = begins.size() - 1;
  const std::span<const OutputItem> all(items);
  if (shards == 1) return write_shard(folder / "model.safetensors", all, written);
  Json index;
  index["metadata"]["total_size"] = total;
  Json& map = index["weight_map"] = Json::object();
  for (std::size_t s = 0; s < shards; ++s) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards);
    const auto part = all.subspan(begins[s], begins[s + 1] - begins[s]);
    write_shard(folder / name, part, written);
    for (const OutputItem& item : part) {
      for (const OutputTensor& tensor : item.tensors) map[tensor.name] = name;
    }
  }
  write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

void make_output_folder(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: cannot be made: {}", folder.string(), code.message()));
  }
  if (!std::filesystem::is_empty(folder)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: the output folder is not empty; name a new one", folder.string()));
  }
}

}  // namespace nvllm::checkpoint
