#include "kernels/cuda/nvfp4_matvec.h"

#include <algorithm>
#include <numeric>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_launch.cuh"
#include "kernels/cuda/one_row_matvec.cuh"
#include "kernels/cuda/warpgroup_matvec.cuh"

namespace nvllm::cuda {

namespace {

template <MatvecEnd kEnd>
__global__ void __launch_bounds__(kTeamThreads, 1) nvfp4_matvec_kernel(const __grid_constant__ MatvecArguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  using Phase = MatvecPhase<kEnd>;
  Phase::make_ring(a, shared);
  RingState ring;
  Phase phase(a, shared, ring);
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  phase.run();
}

/// Random codes, and scales between 1 / 4 and 4.
__global__ void randomise(std::uint32_t* tiles, long long count, std::uint64_t seed) {
  constexpr int kWords = static_cast<int>(kTileBytes) / 4;
  for (long long tile = blockIdx.x; tile < count; tile += gridDim.x) {
    for (int i = threadIdx.x; i < kWords; i += blockDim.x) {
      std::uint64_t bits = (static_cast<std::uint64_t>(tile) * kWords + i + seed) * 0x9e3779b97f4a7c15ull;  // splitmix64
      bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ull;
      bits = (bits ^ bits >> 27) * 0x94d049bb133111ebull;
      const auto word = static_cast<std::uint32_t>(bits ^ bits >> 31);
      tiles[tile * kWords + i] = i * 4 < kTileCodeBytes ? word : (word & 0x1f1f1f1fu) + 0x38383838u;
    }
  }
}

int up(std::int64_t value, std::int64_t unit) { return static_cast<int>((value + unit - 1) / unit); }

std::int64_t element_bytes(MatvecEnd end) { return end == MatvecEnd::kFloat ? 4 : 2; }

/// `count` rows of a call from row `begin` on.
MatvecCall rows_of(const MatvecCall& call, std::int64_t begin, std::int64_t count) {
  MatvecCall out = call;
  out.x += begin * call.x_stride;
  out.tokens = count;
  for (MatvecTarget& to : out.out) {
    if (to.to != nullptr) to.to = static_cast<std::byte*>(to.to) + begin * to.stride * element_bytes(call.end);
  }
  return out;
}

/// By teams of warps, eight rows at a time.
void team_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  for (std::int64_t begin = 0; begin < call.tokens; begin += kMatvecNormTokensMax) {
    const MatvecCall group = rows_of(call, begin, std::min(kMatvecNormTokensMax, call.tokens - begin));
    const MatvecCut cut = cut_matvec(call.w->row_tiles(), call.w->cols(), group.tokens, device);
    const MatvecArguments arguments = matvec_arguments(group, cut, workspace);
    with_end(call.end, [&](auto end) {
      const int bytes = matvec_shared_bytes(arguments);
      launch_roomy<nvfp4_matvec_kernel<end()>>(start_of(call), cut.ctas, kTeamThreads, bytes, stream, arguments);
    });
  }
}

}  // namespace

Nvfp4DeviceMatrix::Nvfp4DeviceMatrix(const Nvfp4Tiles& tiles)
    : parts_(tiles.parts), cols_(tiles.cols), row_tiles_(tiles.row_tiles), col_tiles_(tiles.col_tiles), order_(tiles.order),
      tiles_(std::make_shared<DeviceBuffer>(static_cast<std::int64_t>(tiles.bytes.size()))) {
  tiles_->upload(tiles.bytes.data(), tiles_->bytes());
}

Nvfp4DeviceMatrix Nvfp4DeviceMatrix::random(const std::vector<std::int64_t>& part_rows, std::int64_t cols, RowOrder order,
                                            std::uint64_t seed) {
  Nvfp4DeviceMatrix out;
  for (const std::int64_t rows : part_rows) out.parts_.push_back({.rows = rows, .global_scale = 1});
  out.order_ = order;
  out.cols_ = cols;
  out.row_tiles_ = row_tiles_of(out.parts_, order);
  out.col_tiles_ = up(cols, kTileCols);
  out.tiles_ = std::make_shared<DeviceBuffer>(out.bytes());
  randomise<<<1024, 256>>>(out.tiles_->as<std::uint32_t>(), out.row_tiles_ * out.col_tiles_, seed);
  check(cudaDeviceSynchronize(), "making random weights");
  return out;
}

Nvfp4DeviceMatrix Nvfp4DeviceMatrix::random(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  return random({rows}, cols, RowOrder::kPlain, seed);
}

Nvfp4DeviceMatrix Nvfp4DeviceMatrix::part(std::size_t index) const {
  NVLLM_CHECK(order_ == RowOrder::kPlain && index < parts_.size());
  Nvfp4DeviceMatrix out = *this;
  out.parts_ = {parts_[index]};
  out.row_tiles_ = row_tiles_of(parts_[index].rows);
  for (std::size_t i = 0; i < index; ++i) out.first_byte_ += row_tiles_of(parts_[i].rows) * col_tiles_ * kTileBytes;
  return out;
}

std::int64_t Nvfp4DeviceMatrix::rows() const {
  return std::accumulate(parts_.begin(), parts_.end(), std::int64_t{0}, [](std::int64_t sum, const Nvfp4Part& part) { return sum + part.rows; });
}

void MatvecNeeds::cover(const MatvecNeeds& others) {
  partial_bytes = std::max(partial_bytes, others.partial_bytes);
  arrivals = std::max(arrivals, others.arrivals);
  image_bytes = std::max(image_bytes, others.image_bytes);
}

MatvecWorkspace::MatvecWorkspace(const MatvecNeeds& needs)
    : partials_(needs.partial_bytes), images_(needs.image_bytes), arrivals_(needs.arrivals * static_cast<std::int64_t>(sizeof(unsigned))) {
  arrivals_.fill(0);
}

bool has_warpgroups(const DeviceFacts& device) { return device.compute_capability == 90 && device.shared_bytes >= 227 * 1024; }

std::int64_t matvec_tokens_max(const DeviceFacts& device) { return has_warpgroups(device) ? 3 * kMatvecTokensMax : 64; }

MatvecNeeds matvec_needs(const Nvfp4DeviceMatrix& w, const DeviceFacts& device) {
  if (has_warpgroups(device)) return warpgroup_matvec_needs(w, device);
  MatvecNeeds needs{.arrivals = w.row_tiles()};
  for (std::int64_t tokens = 1; tokens <= kMatvecNormTokensMax; ++tokens) {
    needs.partial_bytes = std::max(needs.partial_bytes, cut_matvec(w.row_tiles(), w.cols(), tokens, device).partial_bytes);
  }
  return needs;
}

std::int64_t matvec_ctas(const Nvfp4DeviceMatrix& w, const DeviceFacts& device) {
  if (has_warpgroups(device)) return warpgroup_matvec_ctas(w, device);
  return cut_matvec(w.row_tiles(), w.cols(), 1, device).ctas;
}

MatvecCut cut_matvec(std::int64_t row_tiles, std::int64_t cols, std::int64_t tokens, const DeviceFacts& device) {
  NVLLM_CHECK(tokens >= 1 && tokens <= kMatvecNormTokensMax);
  MatvecCut cut;
  cut.chunks = up(up(cols, kTileCols), kWarps);
  const auto room = ((device.shared_bytes - MatvecMemory::kFixedBytes) / tokens - kRowPadBytes) / kChunkXBytes;
  NVLLM_CHECK(room >= 1);
  cut.parts = up(cut.chunks, room);
  cut.part_chunks = up(cut.chunks, cut.parts);
  cut.parts = up(cut.chunks, cut.part_chunks);
  const std::int64_t steps = row_tiles * cut.chunks;
  cut.ctas = static_cast<int>(std::clamp<std::int64_t>(steps, 1, device.multiprocessors));
  const std::int64_t shortest = std::max<std::int64_t>(1, steps / cut.ctas);
  cut.slots = cut.parts * static_cast<int>((cut.part_chunks - 1) / shortest + 2);
  cut.partial_bytes = row_tiles * cut.slots * kPairs * static_cast<std::int64_t>(sizeof(float2));
  return cut;
}

void fill_places(MatvecPlaces& a, const MatvecCall& call) {
  const Nvfp4DeviceMatrix& w = *call.w;
  const float factor = call.one_row() ? kOneTokenUnpackFactor : kUnpackFactor;
  NVLLM_CHECK(w.parts().size() <= kMatvecOutputsMax);
  NVLLM_CHECK(call.end != MatvecEnd::kAdd || (call.norm.gain == nullptr && call.dense[0].rows == 0));
  NVLLM_CHECK_EQ(call.end == MatvecEnd::kSwiglu, w.order() == RowOrder::kGateUp);
  a.x = reinterpret_cast<const __nv_bfloat16*>(call.x);
  a.x_stride = call.x_stride;
  int tile = 0;
  for (std::size_t i = 0; i < w.parts().size(); ++i) {
    const Nvfp4Part& part = w.parts()[i];
    a.outputs[i] = {.to = call.out[i].to, .stride = call.out[i].stride, .rows = static_cast<int>(part.rows), .first_tile = tile,
                    .factor = part.global_scale * factor};
    tile += static_cast<int>(row_tiles_of(part.rows));
  }
  a.output_count = static_cast<int>(w.parts().size());
  a.norm = call.norm;
  for (int i = 0; i < kMatvecDenseMax; ++i) {
    const MatvecDenseRows& rows = call.dense[i];
    a.dense[i] = {.weights = reinterpret_cast<const __nv_bfloat16*>(rows.weights), .to = static_cast<__nv_bfloat16*>(rows.out.to),
                  .stride = rows.out.stride, .rows = static_cast<int>(rows.rows)};
  }
  a.tokens = static_cast<int>(call.tokens);
  a.cols = static_cast<int>(w.cols());
}

MatvecArguments matvec_arguments(const MatvecCall& call, const MatvecCut& cut, const MatvecWorkspace& workspace) {
  NVLLM_CHECK(call.dense[0].rows + call.dense[1].rows <= cut.ctas);
  auto a = common_arguments<MatvecArguments>(call, workspace);
  a.parts = cut.parts;
  a.chunks = cut.chunks;
  a.part_chunks = cut.part_chunks;
  a.slots = cut.slots;
  share_steps(a, a.steps(), cut.ctas);
  a.by_chunks = Divisor(cut.part_chunks);
  a.by_last_chunks = Divisor(cut.chunks - (cut.parts - 1) * cut.part_chunks);
  return a;
}

void nvfp4_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  NVLLM_CHECK(call.tokens >= 1);
  NVLLM_CHECK(call.tokens <= kMatvecNormTokensMax || (call.norm.gain == nullptr && call.dense[0].rows == 0));
  NVLLM_CHECK_EQ(call.x_stride % 8, 0);
  if (call.one_row() && one_row_fits(call, device)) return one_row_matvec(call, device, workspace, stream);
  if (!has_warpgroups(device)) return team_matvec(call.in_company(), device, workspace, stream);
  for (std::int64_t begin = 0; begin < call.tokens; begin += kMatvecTokensMax) {
    const MatvecCall group = rows_of(call, begin, std::min(kMatvecTokensMax, call.tokens - begin));
    warpgroup_matvec(group.in_company(), device, workspace, stream);
  }
}

}  // namespace nvllm::cuda
