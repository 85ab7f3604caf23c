#include "net/server_sent_events.h"

#include "base/error.h"

namespace nvllm::net {
namespace {

constexpr std::size_t kEventBytesMax = 16 << 20;

}  // namespace

std::string sse_event(std::string_view data) {
  std::string event;
  while (true) {
    const std::size_t end = data.find('\n');
    event.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  return event + "\n";
}

void SseReader::feed(std::string_view bytes, const std::function<void(std::string_view)>& on_data) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() + data_.size() > kEventBytesMax) {
      throw Error(ErrorKind::kUnavailable, "a server-sent event is larger than 16 MiB");
    }
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    take_line(on_data);
    line_.clear();
  }
}

void SseReader::take_line(const std::function<void(std::string_view)>& on_data) {
  if (line_.empty()) {
    if (has_data_) on_data(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  if (!line_.starts_with("data:")) return;
  std::string_view value = std::string_view(line_).substr(5);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_.append(value);
  has_data_ = true;
}

}  // namespace nvllm::net
