#pragma once

// The order of work on the device, and graphs of work that is repeated.

#include <cstdint>

struct CUstream_st;
struct CUgraphExec_st;

namespace nvllm::cuda {

/// A queue of device work. Does not move: captured work refers to it.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator CUstream_st*() const { return stream_; }  // NOLINT(google-explicit-constructor): it is one
  /// Waits for everything queued.  Errors: Error(kDevice) if any of it failed.
  void wait() const;
  /// What is queued from now on is recorded instead of done, until the graph takes it.
  void begin_capture();

 private:
  CUstream_st* stream_ = nullptr;
};

class GraphNotes;

/// Work recorded once, repeated with one call.
class Graph {
 public:
  Graph() = default;
  /// Ends a capture; `notes`, if there are any, were marked in it and learn of its kernels.
  explicit Graph(Stream& stream, GraphNotes* notes = nullptr);
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  ~Graph();
  [[nodiscard]] bool ready() const { return graph_ != nullptr; }
  void launch(Stream& stream) const;

 private:
  CUgraphExec_st* graph_ = nullptr;
};

/// Host memory that the device copies from and to at full speed.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::int64_t bytes);
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  ~PinnedBuffer();
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

/// Queues a copy; both ends must stay until it is done. Host memory should be pinned.
void copy_to_device(void* to, const void* from, std::int64_t bytes, CUstream_st* stream);
/// Within the device, in the order of the stream; the two may not overlap.
void copy_on_device(void* to, const void* from, std::int64_t bytes, CUstream_st* stream);
void copy_to_host(void* to, const void* from, std::int64_t bytes, CUstream_st* stream);
void fill_device(void* to, std::uint8_t value, std::int64_t bytes, CUstream_st* stream);

/// Free memory of the device at this moment.
[[nodiscard]] std::int64_t free_device_bytes();

}  // namespace nvllm::cuda
