// NVFP4 products on the device beside a read sweep of the same run. Matrices take turns, so that none is
// still in cache when its turn comes; many launches lie in one graph, so that launching costs what it costs there.
//   bench_kernels_cuda [--json FILE]

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/nvfp4_matvec.h"

namespace nvllm::cuda {
namespace {

constexpr int kRounds = 15;
constexpr std::int64_t kSweepBytes = 4ll << 30;
constexpr std::int64_t kRotatedBytes = 1ll << 30;
constexpr std::int64_t kLaunches = 64;  // of one graph, so that launching the graph itself weighs little

__global__ void __launch_bounds__(1024) sweep(const uint4* from, long long count, unsigned* to) {
  const long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  unsigned sum = 0;
  long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  for (; i + 3 * threads < count; i += 4 * threads) {
    uint4 v[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = __ldcs(from + i + j * threads);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678u) *to = sum;  // never, but the compiler cannot know
}

/// Median seconds of what `enqueue` puts into a stream, replayed as a graph.
double seconds_of(const std::function<void(cudaStream_t)>& enqueue) {
  cudaStream_t stream;
  check(cudaStreamCreate(&stream), "creating a stream");
  cudaGraph_t graph;
  cudaGraphExec_t ready;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capturing");
  enqueue(stream);
  check(cudaStreamEndCapture(stream, &graph), "capturing");
  check(cudaGraphInstantiate(&ready, graph, 0), "instantiating");
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "creating an event");
  check(cudaEventCreate(&end), "creating an event");
  std::vector<double> times;
  for (int round = 0; round < kRounds + 2; ++round) {
    check(cudaEventRecord(begin, stream), "recording");
    check(cudaGraphLaunch(ready, stream), "launching");
    check(cudaEventRecord(end, stream), "recording");
    check(cudaEventSynchronize(end), "waiting");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin, end), "reading the clock");
    if (round >= 2) times.push_back(ms / 1e3);
  }
  cudaGraphExecDestroy(ready);
  cudaGraphDestroy(graph);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaStreamDestroy(stream);
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

struct Shape {
  const char* name;
  std::int64_t rows, cols;
  MatvecEnd end;
};

constexpr Shape kShapes[] = {{"27b gate_up", 34816, 5120, MatvecEnd::kSwiglu},
                             {"27b down", 5120, 17408, MatvecEnd::kAdd},
                             {"27b delta in", 16384, 5120, MatvecEnd::kBf16},
                             {"27b o_proj", 5120, 6144, MatvecEnd::kAdd},
                             {"27b lm_head", 248320, 5120, MatvecEnd::kFloat}};

/// Gate and up with SwiGLU, then down with the residual: one layer, many in a row.
double mlp_seconds(std::int64_t tokens, const DeviceFacts& facts) {
  constexpr std::int64_t kHidden = 5120, kInner = 17408, kLayers = 8;
  std::vector<Nvfp4DeviceMatrix> gate_up, down;
  for (std::uint64_t i = 0; i < kLayers; ++i) {
    gate_up.push_back(Nvfp4DeviceMatrix::random(2 * kInner, kHidden, i));
    down.push_back(Nvfp4DeviceMatrix::random(kHidden, kInner, 1000 + i));
  }
  DeviceBuffer x(tokens * kHidden * 2), inner(tokens * kInner * 2), residual(tokens * kHidden * 4);
  x.fill(0x3c);
  residual.fill(0);
  const MatvecCut first = cut_matvec(2 * kInner, kHidden, tokens, facts), second = cut_matvec(kHidden, kInner, tokens, facts);
  const MatvecWorkspace of_first(first.workspace_bytes, gate_up[0].row_tiles()), of_second(second.workspace_bytes, down[0].row_tiles());
  return seconds_of([&](cudaStream_t stream) {
           for (std::int64_t i = 0; i < kLaunches; ++i) {
             const auto layer = static_cast<std::size_t>(i % kLayers);
             nvfp4_matvec(inner.as<void>(), x.as<void>(), tokens, gate_up[layer], MatvecEnd::kSwiglu, first, of_first, stream);
             nvfp4_matvec(residual.as<void>(), inner.as<void>(), tokens, down[layer], MatvecEnd::kAdd, second, of_second, stream);
           }
         }) /
         kLaunches;
}

int run(const std::string& json_path) {
  DeviceFacts facts;
  std::string why_not;
  if (!find_device(facts, why_not)) {
    std::fprintf(stderr, "%s\n", why_not.c_str());
    return 6;
  }
  DeviceBuffer big(kSweepBytes), sink(4);
  big.fill(0x5a);
  const auto sweep_gbs = [&] {
    const double seconds = seconds_of([&](cudaStream_t stream) {
      sweep<<<2 * facts.multiprocessors, 1024, 0, stream>>>(big.as<uint4>(), kSweepBytes / 16, sink.as<unsigned>());
    });
    return static_cast<double>(kSweepBytes) / seconds / 1e9;
  };
  Json out = {{"device", facts.name}, {"multiprocessors", facts.multiprocessors}, {"rows", Json::array()}};
  std::printf("%s, %d multiprocessors\n%-14s %6s %9s %9s %9s %9s\n", facts.name.c_str(), facts.multiprocessors, "matrix", "tokens",
              "us", "MB", "GB/s", "of sweep");
  for (const Shape& shape : kShapes) {
    std::vector<Nvfp4DeviceMatrix> matrices;
    std::int64_t bytes = 0;
    while (bytes < kRotatedBytes) {
      matrices.push_back(Nvfp4DeviceMatrix::random(shape.rows, shape.cols, matrices.size() * 1000));
      bytes += matrices.back().bytes();
    }
    const auto count = static_cast<std::int64_t>(matrices.size());
    for (const std::int64_t tokens : {1, 2, 4, 8}) {
      DeviceBuffer x(tokens * shape.cols * 2), to(tokens * shape.rows * 4);
      x.fill(0x3c);
      to.fill(0);
      const MatvecCut cut = cut_matvec(shape.rows, shape.cols, tokens, facts);
      const MatvecWorkspace workspace(cut.workspace_bytes, matrices[0].row_tiles());
      const double before = sweep_gbs();
      const double seconds = seconds_of([&](cudaStream_t stream) {
        for (std::int64_t i = 0; i < kLaunches; ++i) {
          const auto& w = matrices[static_cast<std::size_t>(i % count)];
          nvfp4_matvec(to.as<void>(), x.as<void>(), tokens, w, shape.end, cut, workspace, stream);
        }
      }) / kLaunches;
      const double gbs = static_cast<double>(matrices[0].bytes()) / seconds / 1e9, of = gbs / before;
      std::printf("%-14s %6lld %9.2f %9.1f %9.0f %8.1f%%\n", shape.name, static_cast<long long>(tokens), seconds * 1e6,
                  static_cast<double>(matrices[0].bytes()) / 1e6, gbs, 100 * of);
      out["rows"].push_back({{"matrix", shape.name}, {"tokens", tokens}, {"us", seconds * 1e6}, {"bytes", matrices[0].bytes()},
                             {"gb_per_s", gbs}, {"sweep_gb_per_s", before}, {"of_sweep", of}});
    }
  }
  for (const std::int64_t tokens : {1, 8}) {
    const double seconds = mlp_seconds(tokens, facts);
    std::printf("%-14s %6lld %9.2f\n", "27b MLP layer", static_cast<long long>(tokens), seconds * 1e6);
    out["rows"].push_back({{"matrix", "27b MLP layer"}, {"tokens", tokens}, {"us", seconds * 1e6}});
  }
  if (!json_path.empty()) write_file_atomically(json_path, dump_json(out));
  return 0;
}

}  // namespace
}  // namespace nvllm::cuda

int main(int count, char** words) {
  try {
    const bool json = count == 3 && std::string(words[1]) == "--json";
    return nvllm::cuda::run(json ? words[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 9;
  }
}
