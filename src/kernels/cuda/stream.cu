#include "kernels/cuda/stream.h"

#include <utility>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/graph_notes.h"

namespace nvllm::cuda {

Stream::Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
Stream::~Stream() { cudaStreamDestroy(stream_); }
void Stream::wait() const { check(cudaStreamSynchronize(stream_), "waiting for the device"); }
void Stream::begin_capture() { check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a graph"); }

Graph::Graph(Stream& stream, GraphNotes* notes) {
  cudaGraph_t recorded = nullptr;
  check(cudaStreamEndCapture(stream, &recorded), "recording a graph");
  if (notes != nullptr) notes->settle(recorded);
  const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
  cudaGraphDestroy(recorded);
  check(status, "making a graph ready");
}
Graph::Graph(Graph&& other) noexcept : graph_(std::exchange(other.graph_, nullptr)) {}
Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(graph_, other.graph_);
  return *this;
}
Graph::~Graph() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}
void Graph::launch(Stream& stream) const { check(cudaGraphLaunch(graph_, stream), "launching a graph"); }

PinnedBuffer::PinnedBuffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes > 0) check(cudaMallocHost(&data_, static_cast<std::size_t>(bytes)), "taking pinned memory");
}
PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
PinnedBuffer::~PinnedBuffer() { cudaFreeHost(data_); }

void copy_to_device(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream), "copying to the device");
}
void copy_on_device(void* to, const void* from, std::int64_t bytes, CUstream_st* stream) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream), "copying within the device");
}

void copy_to_host(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream), "copying from the device");
}
void fill_device(void* to, std::uint8_t value, std::int64_t bytes, cudaStream_t stream) {
  check(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), stream), "filling device memory");
}

std::int64_t free_device_bytes() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "reading the device's free memory");
  return static_cast<std::int64_t>(free);
}

}  // namespace nvllm::cuda
