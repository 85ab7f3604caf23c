// Events are written as text and compressed in pieces: the whole JSON is never in memory.

#include "bench/profile/chrome_trace.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "bench/profile/profile_tables.h"

namespace nvllm::bench {

namespace {

constexpr int kStepRow = 1, kKernelRow = 2, kHostRow = 3;
constexpr std::size_t kPieceBytes = std::size_t{1} << 16;

/// A gzip file that grows in memory. Holds no time stamp, so equal profiles are equal files.
class GzipText {
 public:
  GzipText() {
    constexpr int kGzip = 15 + 16;  // the largest window, with gzip's header
    if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw Error(ErrorKind::kInternal, "the trace cannot be compressed: zlib does not start");
    }
  }
  ~GzipText() { deflateEnd(&stream_); }
  GzipText(const GzipText&) = delete;
  GzipText& operator=(const GzipText&) = delete;

  void add(std::string_view text) {
    pending_ += text;
    if (pending_.size() >= kPieceBytes) compress(Z_NO_FLUSH);
  }
  std::string finish() {
    compress(Z_FINISH);
    return std::move(out_);
  }

 private:
  void compress(int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(pending_.data());
    stream_.avail_in = static_cast<uInt>(pending_.size());
    std::array<char, kPieceBytes> piece;
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_out = static_cast<uInt>(piece.size());
      deflate(&stream_, flush);
      out_.append(piece.data(), piece.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    pending_.clear();
  }

  z_stream stream_{};
  std::string pending_, out_;
};

std::string text(std::string_view value) { return dump_json(Json(std::string(value))); }

std::string name_event(std::string_view what, int row, std::string_view name) {
  return fmt::format(R"({{"ph":"M","pid":1,"tid":{},"name":"{}","args":{{"name":{}}}}})", row, what, text(name));
}

/// Begins and durations are rounded to a nanosecond each, so that a call may seem to begin one before the call
/// ahead of it on its row ends. Viewers drop what overlaps; such a begin is moved by that nanosecond.
class Rows {
 public:
  std::string complete_event(const std::string& name, int row, double begin_s, double seconds,
                             const std::string& args) {
    const std::int64_t dur_ns = std::llround(seconds * 1e9);
    std::int64_t begin_ns = std::llround(begin_s * 1e9);
    std::int64_t& end_ns = end_ns_[static_cast<std::size_t>(row)];
    if (begin_ns == end_ns - 1) begin_ns = end_ns;
    end_ns = std::max(end_ns, begin_ns + dur_ns);
    return fmt::format(R"(,{}{{"ph":"X","pid":1,"tid":{},"name":{},"ts":{},"dur":{},"args":{{{}}}}})", '\n', row,
                       text(name), microseconds(begin_ns), microseconds(dur_ns), args);
  }

 private:
  static std::string microseconds(std::int64_t ns) {
    const std::int64_t size = std::abs(ns);  // work that began before the collector did lies before zero
    return fmt::format("{}{}.{:03}", ns < 0 ? "-" : "", size / 1000, size % 1000);
  }

  std::array<std::int64_t, kHostRow + 1> end_ns_{};
};

std::string kernel_event(Rows& rows, const ProfileEvent& event, const KernelIdentity& identity) {
  LaunchShape shape = identity.shape;
  shape.rows = event.rows;
  std::string args =
      fmt::format(R"("phase":"{}","shape":"{}","bytes":{})", to_string(identity.phase), shape_text(shape), event.bytes);
  if (event.layer >= 0) args += fmt::format(R"(,"layer":{})", event.layer);
  return rows.complete_event(identity.operation, identity.kind == WorkKind::kKernel ? kKernelRow : kHostRow, event.begin_s,
                        event.seconds, args);
}

std::string step_event(Rows& rows, const ProfileStep& step) {
  return rows.complete_event(step.prefill_rows == 0 ? "decode step" : "prefill step", kStepRow, step.begin_s, step.wall_s,
                        fmt::format(R"("decode_rows":{},"prefill_rows":{},"kernel_us":{:.3f},"host_us":{:.3f})",
                                    step.decode_rows, step.prefill_rows, step.kernel_s * 1e6, step.host_s * 1e6));
}

}  // namespace

std::string chrome_trace_gz(const Profile& profile, const std::string& process_name) {
  GzipText out;
  out.add("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
  out.add(name_event("process_name", 0, process_name));
  for (const auto& [row, name] : {std::pair{kStepRow, "steps"}, {kKernelRow, "kernels"}, {kHostRow, "host work"}}) {
    out.add(",\n" + name_event("thread_name", row, name));
  }
  Rows rows;
  for (const ProfileStep& step : profile.last_steps) out.add(step_event(rows, step));
  for (const ProfileEvent& event : profile.events) {
    out.add(kernel_event(rows, event, profile.kernels[static_cast<std::size_t>(event.kernel)].identity));
  }
  out.add(fmt::format("\n],\"otherData\":{{\"dropped_events\":{},\"dropped_steps\":{}}}}}\n", profile.dropped_events,
                      profile.dropped_steps));
  return out.finish();
}

}  // namespace nvllm::bench
