// NVFP4 products on the device beside a read sweep of the same run. Matrices take turns, so that none is
// still in cache when its turn comes; many launches lie in one graph, so that launching costs what it costs there. Then
// prompts through a DeltaNet layer, in segments, and attention of one token a sequence, in either form.
//   bench_kernels_cuda [--json FILE]            all of it
//   bench_kernels_cuda delta [--json FILE]      prompts alone
//   bench_kernels_cuda attention [--json FILE]  attention alone

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/delta_segments.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/gated_delta.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/ptx/matrix.cuh"

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

/// What the device reads at most, asked beside every case.
class ReadSweep {
 public:
  explicit ReadSweep(const DeviceFacts& facts) : ctas_(2 * facts.multiprocessors), big_(kSweepBytes), sink_(4) { big_.fill(0x5a); }
  double gb_per_s() {
    const double seconds = seconds_of([&](cudaStream_t stream) {
      sweep<<<ctas_, 1024, 0, stream>>>(big_.as<uint4>(), kSweepBytes / 16, sink_.as<unsigned>());
    });
    return static_cast<double>(kSweepBytes) / seconds / 1e9;
  }

 private:
  int ctas_;
  DeviceBuffer big_, sink_;
};

struct Shape {
  const char* name;
  std::int64_t rows, cols;
  MatvecEnd end;
};

constexpr std::int64_t kHidden = 5120, kInner = 17408, kDeltaIn = 16384, kDeltaOut = 6144;
constexpr Shape kShapes[] = {{"27b gate_up", 2 * kInner, kHidden, MatvecEnd::kSwiglu},
                             {"27b down", kHidden, kInner, MatvecEnd::kAdd},
                             {"27b delta in", kDeltaIn, kHidden, MatvecEnd::kBf16},
                             {"27b o_proj", kHidden, kDeltaOut, MatvecEnd::kAdd},
                             {"27b lm_head", 248320, kHidden, MatvecEnd::kFloat}};

Nvfp4DeviceMatrix random_matrix(const Shape& shape, std::uint64_t seed) {
  if (shape.end == MatvecEnd::kSwiglu) return Nvfp4DeviceMatrix::random({shape.rows / 2, shape.rows / 2}, shape.cols, RowOrder::kGateUp, seed);
  return Nvfp4DeviceMatrix::random(shape.rows, shape.cols, seed);
}

/// Stands for a kernel between two products that reads next to nothing.
__global__ void pause(long long cycles) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const long long begin = clock64();
  while (clock64() - begin < cycles) {
  }
}

/// Products in a row as a model has them, many layers in one graph.
class Chain {
 public:
  Chain(std::vector<Shape> shapes, std::int64_t tokens, const DeviceFacts& facts)
      : tokens_(tokens), facts_(facts), x_(tokens * kInner * 2), to_(tokens * 248320 * 4), gain_(kInner * 4) {
    for (std::uint64_t layer = 0; layer < kLayers; ++layer) {
      for (const Shape& shape : shapes) calls_.push_back({shape, random_matrix(shape, layer * 10 + shape.rows)});
    }
    MatvecNeeds needs;
    for (const auto& [shape, w] : calls_) needs.cover(matvec_needs(w, facts));
    workspace_ = MatvecWorkspace(needs);
    x_.fill(0x3c);
    to_.fill(0);
    gain_.fill(0);
    each_ = shapes.size();
  }
  /// Seconds a layer.
  double seconds(long long pause_cycles = 0) {
    return seconds_of([&](cudaStream_t stream) {
             for (std::size_t i = 0; i < kLaunches * each_; ++i) {
               const auto& [shape, w] = calls_[i % calls_.size()];
               MatvecCall call{.x = x_.as<Bf16>(), .x_stride = shape.cols, .tokens = tokens_, .w = &w, .end = shape.end};
               call.out[0] = {to_.as<void>(), shape.end == MatvecEnd::kSwiglu ? shape.rows / 2 : shape.rows};
               if (shape.cols == kHidden && tokens_ <= kMatvecNormTokensMax) call.norm = {.gain = gain_.as<float>(), .zero_centred = true};
               nvfp4_matvec(call, facts_, workspace_, stream);
               if (pause_cycles > 0 && shape.end == MatvecEnd::kBf16) launch_early(pause, 48, 512, 0, stream, pause_cycles);
             }
           }) /
           kLaunches;
  }

 private:
  static constexpr std::uint64_t kLayers = 8;
  std::int64_t tokens_;
  DeviceFacts facts_;
  DeviceBuffer x_, to_, gain_;
  MatvecWorkspace workspace_;
  std::vector<std::pair<Shape, Nvfp4DeviceMatrix>> calls_;
  std::size_t each_ = 0;
};

void run_products(const DeviceFacts& facts, Json& rows) {
  ReadSweep sweep(facts);
  std::printf("%-14s %6s %9s %9s %9s %9s\n", "matrix", "tokens", "us", "MB", "GB/s", "of sweep");
  for (const Shape& shape : kShapes) {
    std::vector<Nvfp4DeviceMatrix> matrices;
    std::int64_t bytes = 0;
    while (bytes < kRotatedBytes) {
      matrices.push_back(random_matrix(shape, matrices.size() * 1000));
      bytes += matrices.back().bytes();
    }
    const auto count = static_cast<std::int64_t>(matrices.size());
    for (const std::int64_t tokens : {1, 8, 16, 32, 64, 128}) {
      DeviceBuffer x(tokens * shape.cols * 2), to(tokens * shape.rows * 4);
      x.fill(0x3c);
      to.fill(0);
      const MatvecWorkspace workspace(matvec_needs(matrices[0], facts));
      const double before = sweep.gb_per_s();
      const double seconds = seconds_of([&](cudaStream_t stream) {
        for (std::int64_t i = 0; i < kLaunches; ++i) {
          const auto& w = matrices[static_cast<std::size_t>(i % count)];
          MatvecCall call{.x = x.as<Bf16>(), .x_stride = shape.cols, .tokens = tokens, .w = &w, .end = shape.end};
          call.out[0] = {to.as<void>(), shape.end == MatvecEnd::kSwiglu ? shape.rows / 2 : shape.rows};
          nvfp4_matvec(call, facts, workspace, stream);
        }
      }) / kLaunches;
      const double gbs = static_cast<double>(matrices[0].bytes()) / seconds / 1e9, of = gbs / before;
      std::printf("%-14s %6lld %9.2f %9.1f %9.0f %8.1f%%\n", shape.name, static_cast<long long>(tokens), seconds * 1e6,
                  static_cast<double>(matrices[0].bytes()) / 1e6, gbs, 100 * of);
      rows.push_back({{"matrix", shape.name}, {"tokens", tokens}, {"us", seconds * 1e6}, {"bytes", matrices[0].bytes()},
                      {"gb_per_s", gbs}, {"sweep_gb_per_s", before}, {"of_sweep", of}});
    }
  }
  for (const std::int64_t tokens : {1, 8, 16, 32, 64, 128}) {
    Chain mlp({kShapes[0], kShapes[1]}, tokens, facts), layer({kShapes[2], kShapes[3], kShapes[0], kShapes[1]}, tokens, facts);
    const auto row = [&](const char* name, double seconds) {
      std::printf("%-34s %6lld %9.2f\n", name, static_cast<long long>(tokens), seconds * 1e6);
      rows.push_back({{"matrix", name}, {"tokens", tokens}, {"us", seconds * 1e6}});
    };
    row("27b MLP layer", mlp.seconds());
    row("27b layer of products", layer.seconds());
    row("the same with a pause of 4 us", layer.seconds(7000));
  }
}

/// Everything between the projections of a DeltaNet layer, for one prompt of `tokens`.
class DeltaPrompt {
 public:
  DeltaPrompt(std::int64_t value_heads, int tokens)
      : shape_{.key_heads = 16, .value_heads = value_heads, .key_dim = 128, .value_dim = 128, .conv_taps = 4}, lane_{0, tokens, 0, 0},
        qkv_(tokens * shape_.channels() * 2), z_(tokens * value_heads * 256), gates_(tokens * value_heads * 2),
        weights_(shape_.conv_taps * shape_.channels() * 4), heads_(std::max<std::int64_t>(value_heads, 128) * 4),
        conv_(delta_conv_bytes(shape_)), recurrent_(delta_recurrent_bytes(shape_, StateFormat::kFloat)), table_(sizeof(Lane)),
        out_(tokens * value_heads * 256), scratch_(delta_prefill_scratch_bytes(shape_, tokens, kDeltaSegmentsMax)) {
    for (DeviceBuffer* of : {&qkv_, &z_, &gates_, &weights_, &heads_}) of->fill(0x3c);
    table_.upload(&lane_, sizeof(Lane));
  }
  /// Seconds a call.
  double seconds(int segments) {
    constexpr int kCalls = 8;
    const int channels = static_cast<int>(shape_.channels()), heads = static_cast<int>(shape_.value_heads), width = heads * 128;
    const DeltaArguments arguments{.shape = shape_, .qkv = qkv_.as<Bf16>(), .qkv_stride = channels, .z = z_.as<Bf16>(), .z_stride = width,
                                   .b = gates_.as<Bf16>(), .b_stride = heads, .a = gates_.as<Bf16>(), .a_stride = heads,
                                   .conv_weights = weights_.as<float>(), .a_log = heads_.as<float>(), .dt_bias = heads_.as<float>(),
                                   .gated_norm = {.gain = heads_.as<float>()}, .conv_state = conv_.as<Bf16>(),
                                   .recurrent = recurrent_.as<void>(), .format = StateFormat::kFloat, .slot_count = 1,
                                   .step = {.lanes = table_.as<Lane>(), .lane_count = 1}, .out = out_.as<Bf16>(), .out_stride = width};
    return seconds_of([&](cudaStream_t stream) {
             for (int i = 0; i < kCalls; ++i) delta_prefill(arguments, lane_, 0, {scratch_.as<void>(), scratch_.bytes(), segments}, stream);
           }) /
           kCalls;
  }

 private:
  DeltaShape shape_;
  Lane lane_;
  DeviceBuffer qkv_, z_, gates_, weights_, heads_, conv_, recurrent_, table_, out_, scratch_;
};

void run_prompts(const DeviceFacts& facts, Json& rows) {
  std::printf("%-14s %6s %9s %9s\n", "DeltaNet heads", "tokens", "segments", "us");
  for (const int heads : {16, 48}) {
    for (const int tokens : {512, 2048, 8192}) {
      DeltaPrompt prompt(heads, tokens);
      const int ruled = delta_segments(heads, delta_chunks(tokens), facts.multiprocessors);
      const auto row = [&](int segments, const char* how) {
        const double us = prompt.seconds(segments) * 1e6;
        std::printf("%-14d %6d %9d %9.2f%s\n", heads, tokens, segments, us, how);
        rows.push_back({{"delta_heads", heads}, {"tokens", tokens}, {"segments", segments}, {"by_rule", *how != 0}, {"us", us}});
      };
      for (const int segments : {1, 2, 4, 8}) row(segments, "");
      row(ruled, "  by the rule");
    }
  }
}

/// Codes of either format below 2, as different as a model's.
__global__ void fill_codes(std::uint32_t* to, long long words) {
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i < words; i += static_cast<long long>(gridDim.x) * blockDim.x) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 0x9e3779b9u;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    to[i] = (x ^ x >> 13) & 0xbfbfbfbfu;
  }
}

/// One full-attention layer's attention of 27B: `lanes` sequences of kPositions tokens and one more.
class AttentionLayer {
 public:
  static constexpr int kPositions = 4096;

  AttentionLayer(int lanes, KvFormat format)
      : lanes_(lanes), format_(format), sets_(static_cast<int>(std::max<std::int64_t>(2, (kRotatedBytes + bytes() - 1) / bytes()))),
        keys_(sets_ * cached_bytes()), values_(sets_ * cached_bytes()), rows_(lanes * std::int64_t{kHeads} * 2 * kHeadDim * 2),
        floats_(lanes * std::int64_t{kHeadDim} * 4), lane_table_(lanes * std::int64_t{sizeof(Lane)}), blocks_(std::int64_t{sets_} * lanes * kBlocks * 4),
        chunk_(4), out_(lanes * std::int64_t{kHeads} * kHeadDim * 2), workspace_(kGeometry, lanes) {
    for (DeviceBuffer* of : {&keys_, &values_, &rows_}) fill_codes<<<1024, 256>>>(of->as<std::uint32_t>(), of->bytes() / 4);
    floats_.fill(0x3c);
    std::vector<Lane> table;
    for (int lane = 0; lane < lanes; ++lane) table.push_back({.first_row = lane, .token_count = 1, .start = kPositions});
    lane_table_.upload(table.data(), lane_table_.bytes());
    std::vector<std::int32_t> blocks(static_cast<std::size_t>(sets_) * static_cast<std::size_t>(lanes * kBlocks));
    const std::int64_t each = std::int64_t{lanes} * kBlocks;
    for (std::size_t i = 0; i < blocks.size(); ++i) {  // scattered within a set
      const auto at = static_cast<std::int64_t>(i);
      blocks[i] = static_cast<std::int32_t>(at / each * each + at % each * 7919 % each);
    }
    blocks_.upload(blocks.data(), blocks_.bytes());
  }
  /// What a call reads of the caches.
  [[nodiscard]] std::int64_t bytes() const {
    return std::int64_t{lanes_} * kPositions * kGeometry.kv_heads * kHeadDim * 2 * (format_ == KvFormat::kFp8 ? 1 : 2);
  }
  /// The cut that a step of these sequences has.
  [[nodiscard]] int chunk_tokens(AttentionForm form, const DeviceFacts& facts) const {
    return attention_chunk_tokens(kGeometry, form, std::vector<int>(static_cast<std::size_t>(lanes_), kPositions + 1), facts.multiprocessors);
  }
  /// Seconds a call, with items of at least so many positions.
  double seconds(AttentionForm form, int chunk_tokens) {
    chunk_.upload(&chunk_tokens, 4);
    return seconds_of([&](cudaStream_t stream) {
             for (int i = 0; i < kLaunches; ++i) attention_decode(arguments(i % sets_), form, workspace_, stream);
           }) /
           kLaunches;
  }

 private:
  static constexpr AttentionGeometry kGeometry{.heads = 24, .kv_heads = 4, .head_dim = 256, .rotary_dims = 64, .block_tokens = 16};
  static constexpr int kHeads = kGeometry.heads, kHeadDim = kGeometry.head_dim;
  static constexpr int kBlocks = kPositions / kGeometry.block_tokens + 1;  // of one sequence; 7919 divides no such number of blocks

  /// Keys or values of one set of sequences.
  [[nodiscard]] std::int64_t cached_bytes() const {
    return std::int64_t{lanes_} * kBlocks * kGeometry.block_tokens * kGeometry.kv_heads * kHeadDim * (format_ == KvFormat::kFp8 ? 1 : 2);
  }
  [[nodiscard]] AttentionArguments arguments(int set) const {
    AttentionArguments a;
    a.geometry = kGeometry;
    a.query = a.key = a.value = rows_.as<Bf16>();
    a.query_stride = kHeads * 2 * kHeadDim;
    a.key_stride = a.value_stride = kGeometry.kv_heads * kHeadDim;
    a.has_gate = 1;
    a.q_norm = a.k_norm = {.gain = floats_.as<float>(), .zero_centred = true};
    a.cosine = a.sine = floats_.as<float>();
    a.keys = keys_.as<void>();
    a.values = values_.as<void>();
    a.format = format_;
    a.block_count = sets_ * lanes_ * kBlocks;
    a.step = {.lanes = lane_table_.as<Lane>(), .blocks = blocks_.as<std::int32_t>() + std::int64_t{set} * lanes_ * kBlocks,
              .blocks_per_lane = kBlocks, .lane_count = lanes_, .chunk_tokens = chunk_.as<int>()};
    a.out = out_.as<Bf16>();
    a.out_stride = kHeads * kHeadDim;
    return a;
  }

  int lanes_;
  KvFormat format_;
  int sets_;
  DeviceBuffer keys_, values_, rows_, floats_, lane_table_, blocks_, chunk_, out_;
  AttentionWorkspace workspace_;
};

void run_attention(const DeviceFacts& facts, Json& rows) {
  ReadSweep sweep(facts);
  std::printf("%-10s %6s %6s %6s %9s %9s %9s %9s\n", "attention", "form", "lanes", "chunk", "us", "MB", "GB/s", "of sweep");
  for (const KvFormat format : {KvFormat::kFp8, KvFormat::kBf16}) {
    for (const int lanes : {1, 2, 4, 8, 9, 16, 32, 48}) {
      AttentionLayer layer(lanes, format);
      const double before = sweep.gb_per_s();
      for (const AttentionForm form : {AttentionForm::kTiles, AttentionForm::kRuns}) {
        const char *kept = format == KvFormat::kFp8 ? "fp8" : "bf16", *name = form == AttentionForm::kRuns ? "runs" : "tiles";
        const int chunk = layer.chunk_tokens(form, facts);
        const double seconds = layer.seconds(form, chunk), gbs = static_cast<double>(layer.bytes()) / seconds / 1e9, of = gbs / before;
        std::printf("%-10s %6s %6d %6d %9.2f %9.1f %9.0f %8.1f%%\n", kept, name, lanes, chunk, seconds * 1e6,
                    static_cast<double>(layer.bytes()) / 1e6, gbs, 100 * of);
        rows.push_back({{"attention", kept}, {"form", name}, {"lanes", lanes}, {"positions", AttentionLayer::kPositions}, {"chunk", chunk},
                        {"us", seconds * 1e6}, {"bytes", layer.bytes()}, {"gb_per_s", gbs}, {"sweep_gb_per_s", before}, {"of_sweep", of}});
      }
    }
  }
}

int run(const std::string& alone, const std::string& json_path) {
  DeviceFacts facts;
  std::string why_not;
  if (!find_device(facts, why_not)) {
    std::fprintf(stderr, "%s\n", why_not.c_str());
    return 6;
  }
  Json out = {{"device", facts.name}, {"multiprocessors", facts.multiprocessors}, {"rows", Json::array()}};
  std::printf("%s, %d multiprocessors\n", facts.name.c_str(), facts.multiprocessors);
  if (alone.empty()) run_products(facts, out["rows"]);
  if (alone != "attention") run_prompts(facts, out["rows"]);
  if (alone != "delta") run_attention(facts, out["rows"]);
  if (!json_path.empty()) write_file_atomically(json_path, dump_json(out));
  return 0;
}

}  // namespace
}  // namespace nvllm::cuda

int main(int count, char** words) {
  try {
    const std::string first = count > 1 ? words[1] : "";
    const bool json = count > 2 && std::string(words[count - 2]) == "--json";
    return nvllm::cuda::run(first == "delta" || first == "attention" ? first : "", json ? words[count - 1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 9;
  }
}
