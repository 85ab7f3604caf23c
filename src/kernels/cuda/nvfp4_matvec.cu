// A CTA is several teams that share x in shared memory; a team is eight warps that work on one row tile at
// a time, side by side along the columns: a step is one tile of each warp. All steps of the matrix lie in one
// line (part of the columns, row tile, chunk) and each team takes an equal piece of it, so that every
// multiprocessor reads equally much whatever the shape. Weights come through rings of shared memory that
// each warp fills for itself. The warps' sums of a row tile meet in shared memory; where the line is cut
// within a row tile, the pieces meet in a workspace, and the last team to arrive adds them in order.

#include "kernels/cuda/nvfp4_matvec.h"

#include <cuda_bf16.h>

#include <algorithm>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kWarps = 8;  // of a team
constexpr int kTeamThreads = kWarps * 32;
constexpr int kTile = static_cast<int>(kTileBytes);
constexpr int kScalesAt = static_cast<int>(kTileCodeBytes);
constexpr int kXTileBytes = 2 * static_cast<int>(kTileCols);  // one token's columns of a tile
constexpr int kChunkXBytes = kWarps * kXTileBytes;
constexpr int kRowPadBytes = 16;                // rows of x begin in different banks
constexpr int kPairs = 128;  // of sums in a row tile by eight tokens: rows g and g + 8 of a group, for one token
constexpr int kMeetingBytes = kWarps * kPairs * 8;

/// Divides by what only the host knows, without the hundreds of cycles that a division takes.
struct Divisor {
  unsigned by = 1, magic = 0, shift = 0;

  Divisor() = default;
  explicit Divisor(int by_) : by(static_cast<unsigned>(by_)) {
    while (shift < 31 && (1u << shift) < by) ++shift;
    // Rounded up, it is exact for every dividend below 2^31 (Granlund and Montgomery 1994).
    magic = static_cast<unsigned>(((1ull << 32) * ((1ull << shift) - by)) / by + 1);
  }
  __device__ __forceinline__ int divide(int value) const {
    const unsigned n = static_cast<unsigned>(value);
    return static_cast<int>((__umulhi(n, magic) + n) >> shift);
  }
};

struct MatvecArguments {
  const std::byte* tiles;
  const __nv_bfloat16* x;
  void* out;
  float2* partials;  // [row_tiles, slots, kPairs]
  unsigned* arrivals;
  float factor;
  std::uint32_t scale_exponent;
  int tokens, rows, cols, row_tiles, col_tiles;
  int parts, chunks, part_chunks, slots;
  int teams;          // that have work: never more than steps, so that every team between two has some
  int share, longer;  // steps of a team; so many teams, the first, have one more
  Divisor by_share, by_longer_share, by_chunks, by_last_chunks;

  __host__ __device__ int steps() const { return row_tiles * chunks; }
  __device__ __forceinline__ int chunks_of(int part) const { return min(part_chunks, chunks - part * part_chunks); }
  __device__ __forceinline__ int first_step(int part, int row) const {
    return part * part_chunks * row_tiles + row * chunks_of(part);
  }
  /// Bytes of a row of x in shared memory.
  __host__ __device__ int stride() const { return part_chunks * kChunkXBytes + kRowPadBytes; }
};

/// The first step of a team, and the team that owns a step.
__device__ __forceinline__ int share_begin(const MatvecArguments& a, int team) { return team * a.share + min(team, a.longer); }
__device__ __forceinline__ int owner_of(const MatvecArguments& a, int step) {
  const int beyond = step - a.longer * (a.share + 1);
  return beyond < 0 ? a.by_longer_share.divide(step) : a.longer + a.by_share.divide(beyond);
}

/// A run of steps within one row tile: what is left of its chunks, or of the team's share.
struct Run {
  int part, row, chunk, steps;

  __device__ Run(const MatvecArguments& a, int step, int end) {
    part = 0;
    while (part + 1 < a.parts && step >= a.first_step(part + 1, 0)) ++part;
    const int chunks = a.chunks_of(part), within = step - a.first_step(part, 0);
    row = (part + 1 < a.parts ? a.by_chunks : a.by_last_chunks).divide(within);
    chunk = within - row * chunks;
    steps = min(chunks - chunk, end - step);
  }
  /// The column tile of one warp; beyond the last for the last chunk's idle warps.
  __device__ __forceinline__ int tile(const MatvecArguments& a, int warp) const {
    return (part * a.part_chunks + chunk) * kWarps + warp;
  }
};

/// Where a warp's next tile comes from; the same in all its lanes.
struct Source {
  const std::byte* from;
  int tile, tile_end;  // tile_end is 0 when nothing is left
  int run_left, step, end;

  __device__ Source(const MatvecArguments& a, int begin, int end_, int warp) : step(begin), end(end_) { start(a, warp); }
  __device__ __forceinline__ void start(const MatvecArguments& a, int warp) {
    tile_end = 0;
    run_left = 0x7fffffff;
    if (step >= end) return;
    const Run run(a, step, end);
    tile = run.tile(a, warp);
    tile_end = a.col_tiles;
    run_left = run.steps;
    step += run.steps;
    from = a.tiles + (static_cast<long long>(run.row) * a.col_tiles + tile) * kTile;
  }
  /// Asks for one tile; a step for which this warp has none ends its stage's phase all the same.
  __device__ __forceinline__ void fetch(const MatvecArguments& a, std::uint32_t stage, std::uint32_t barrier, int warp, int lane) {
    if (lane == 0 && tile_end > 0) {
      if (tile < tile_end) {
        ptx::copy_bulk(stage, from, kTile, barrier);
      } else {
        ptx::arrive(barrier);
      }
    }
    tile += kWarps;
    from += kWarps * kTile;
    if (--run_left == 0) start(a, warp);
  }
};

/// Brings a part of x into shared memory: [tokens][tiles][2 halves of a tile][4 places][4 blocks][4 columns].
template <bool kOneToken>
__device__ __forceinline__ void stage_activations(const MatvecArguments& a, std::byte* to, int part) {
  constexpr int kUnitsPerTile = static_cast<int>(kTileCols) / 4;
  const int stride = a.stride(), units = a.chunks_of(part) * kWarps * kUnitsPerTile;
  const int first = part * a.part_chunks * kWarps * kUnitsPerTile;
  for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
    const int col = (first + unit) * 4, place = unit / 16 * 16 + unit % 4 * 4 + unit / 4 % 4;
    constexpr int kMost = kOneToken ? 1 : static_cast<int>(kMatvecTokensMax);
    uint2 values[kMost];
#pragma unroll
    for (int token = 0; token < kMost; ++token) {
      values[token] = {0, 0};
      const bool there = token < a.tokens && col < a.cols;
      if (there) values[token] = *reinterpret_cast<const uint2*>(a.x + static_cast<long long>(token) * a.cols + col);
    }
    if constexpr (kOneToken) {
      const __nv_bfloat162 factor = as_pair(kOneTokenFactorBits);
      values[0] = {as_bits(__hmul2(as_pair(values[0].x), factor)), as_bits(__hmul2(as_pair(values[0].y), factor))};
    }
#pragma unroll
    for (int token = 0; token < kMost; ++token) {
      if (token < a.tokens) *reinterpret_cast<uint2*>(to + token * stride + place * 8) = values[token];
    }
  }
}

/// Ends one pair of sums: rows g and g + 8 of a group, counted over the whole matrix, for one token.
template <MatvecEnd kEnd>
__device__ __forceinline__ void put(const MatvecArguments& a, int group, int g, int token, float2 sum) {
  if (token >= a.tokens) return;
  sum.x *= a.factor;
  sum.y *= a.factor;
  if constexpr (kEnd == MatvecEnd::kSwiglu) {
    const int half = a.rows / 2, row = group * 8 + g;
    if (row >= half) return;
    // Rounded as the products would be if they were stored, so that fusion changes no bit.
    const float gate = __bfloat162float(__float2bfloat16_rn(sum.x)), up = __bfloat162float(__float2bfloat16_rn(sum.y));
    static_cast<__nv_bfloat16*>(a.out)[static_cast<long long>(token) * half + row] =
        __float2bfloat16_rn(gate / (1.0f + __expf(-gate)) * up);
  } else {
    const float values[2] = {sum.x, sum.y};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = group * 16 + g + 8 * i;
      if (row >= a.rows) continue;
      const long long at = static_cast<long long>(token) * a.rows + row;
      if constexpr (kEnd == MatvecEnd::kBf16) static_cast<__nv_bfloat16*>(a.out)[at] = __float2bfloat16_rn(values[i]);
      if constexpr (kEnd == MatvecEnd::kFloat) static_cast<float*>(a.out)[at] = values[i];
      if constexpr (kEnd == MatvecEnd::kAdd) static_cast<float*>(a.out)[at] += values[i];
    }
  }
}

/// Pieces of a row tile, in the parts before `part` and in all, and the first team that has one in `part`.
struct Pieces {
  int before = 0, all = 0, first = 0;

  __device__ Pieces(const MatvecArguments& a, int row, int part) {
    for (int p = 0; p < a.parts; ++p) {
      const int begin = a.first_step(p, row);
      const int from = owner_of(a, begin), to = owner_of(a, begin + a.chunks_of(p) - 1);
      if (p < part) before += to - from + 1;
      if (p == part) first = from;
      all += to - from + 1;
    }
  }
};

/// One team, as its threads see it.
template <int kTeams>
struct Team {
  int number = threadIdx.x / kTeamThreads, thread = threadIdx.x % kTeamThreads;
  int warp = thread / 32, lane = thread % 32;

  __device__ __forceinline__ int global() const { return blockIdx.x * kTeams + number; }
  __device__ __forceinline__ void meet() const { ptx::meet(number + 1, kTeamThreads); }
};

/// Adds the warps' sums of a row tile and ends them, or leaves them to the last team that has a piece of it.
template <int kTeams, MatvecEnd kEnd>
__device__ __forceinline__ void finish_row(const MatvecArguments& a, const Team<kTeams>& team, int row_tile, int part, Sums& sums,
                                           float2* meeting, unsigned* arrived) {
  team.meet();  // whoever added the last row tile has read this place
#pragma unroll
  for (int group = 0; group < 2; ++group) {
    float(&of)[4] = sums[group];
    float2* to = meeting + team.warp * kPairs + group * 64 + team.lane;
    to[0] = {of[0], of[2]};
    to[32] = {of[1], of[3]};
    of[0] = of[1] = of[2] = of[3] = 0;
  }
  const Pieces pieces(a, row_tile, part);
  team.meet();
  const int pair = (team.thread + row_tile % 2 * kPairs) % kTeamThreads;  // in turn, so that no warp falls behind
  const int lane = pair % 32, group = row_tile * 2 + pair / 64, g = lane / 4, token = lane % 4 * 2 + pair / 32 % 2;
  float2 sum{0, 0};
  if (pair < kPairs) {
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float2 more = meeting[w * kPairs + pair];
      sum.x += more.x;
      sum.y += more.y;
    }
  }
  if (pieces.all == 1) {
    if (pair < kPairs) put<kEnd>(a, group, g, token, sum);
    return;
  }
  float2* row = a.partials + static_cast<long long>(row_tile) * a.slots * kPairs + pair;
  if (pair < kPairs) __stcg(row + (pieces.before + team.global() - pieces.first) * kPairs, sum);
  team.meet();
  // One thread publishes what all of its team have written, and sees what the others published.
  if (pair == 0) *arrived = ptx::add_acquire_release(a.arrivals + row_tile, 1);
  team.meet();
  if (*arrived != static_cast<unsigned>(pieces.all) - 1) return;
  if (pair < kPairs) {
    sum = {0, 0};
    for (int piece = 0; piece < pieces.all; ++piece) {
      const float2 more = __ldcg(row + piece * kPairs);
      sum.x += more.x;
      sum.y += more.y;
    }
    put<kEnd>(a, group, g, token, sum);
  }
  if (pair == 0) a.arrivals[row_tile] = 0;
}

template <int kTeams, int kStages>
constexpr int kFixedBytes = kTeams * (kWarps * kStages * (kTile + 8) + kMeetingBytes + 16);

/// Shared memory: rings, meeting places, words for arrivals, the rings' barriers, then x.
template <int kTeams, int kStages, MatvecEnd kEnd, bool kOneToken>
__global__ void __launch_bounds__(kTeams * kTeamThreads, 1) nvfp4_matvec_kernel(const __grid_constant__ MatvecArguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  const Team<kTeams> team;
  auto* meeting = reinterpret_cast<float2*>(shared + kTeams * kWarps * kStages * kTile + team.number * kMeetingBytes);
  auto* arrived = reinterpret_cast<unsigned*>(shared + kTeams * (kWarps * kStages * kTile + kMeetingBytes) + team.number * 16);
  std::byte* activations = shared + kFixedBytes<kTeams, kStages>;
  const bool idle = team.global() >= a.teams;
  const int begin = idle ? 0 : share_begin(a, team.global()), end = idle ? 0 : share_begin(a, team.global() + 1);

  const int warp_of_all = team.number * kWarps + team.warp;
  const std::uint32_t ring = ptx::shared_address(shared) + warp_of_all * kStages * kTile;
  const std::uint32_t barriers = ptx::shared_address(shared) + kTeams * (kWarps * kStages * kTile + kMeetingBytes + 16) +
                                 warp_of_all * kStages * 8;
  if (team.lane == 0) {
    for (int stage = 0; stage < kStages; ++stage) ptx::init_barrier(barriers + stage * 8);
    ptx::publish_barriers();
  }
  __syncwarp();
  Source source(a, begin, end, team.warp);
  for (int stage = 0; stage < kStages; ++stage) source.fetch(a, ring + stage * kTile, barriers + stage * 8, team.warp, team.lane);
  ptx::allow_dependents();
  ptx::wait_for_dependencies();

  // Lanes of tokens that are not there read the first token's columns: their sums are never looked at.
  const std::uint32_t x = ptx::shared_address(activations) + (team.lane / 4 < a.tokens ? team.lane / 4 : 0) * a.stride() +
                          team.warp * kXTileBytes + team.lane % 4 * 32;
  const int g = team.lane / 4, t = team.lane % 4;
  const std::uint32_t x_of_block = ptx::shared_address(activations) + team.warp * kXTileBytes + t * 32 + g / 4 * 128 + g % 4 * 8;
  const std::uint32_t codes_at = ring + team.lane * 16, scales_at = ring + kScalesAt + g * 16 + (kOneToken ? t * 4 : 0);
  Sums sums = {};
  float of_one[2][2] = {};
  std::uint32_t stage = 0, parity = 0;
  int step = begin;
  for (int part = 0; part < a.parts; ++part) {  // together, since all teams share x
    if (part > 0) __syncthreads();
    stage_activations<kOneToken>(a, activations, part);
    __syncthreads();
    const int part_end = min(end, a.first_step(part, 0) + a.chunks_of(part) * a.row_tiles);
    while (step < part_end) {
      const Run run(a, step, part_end);
      int tile = run.tile(a, team.warp);
      std::uint32_t columns = (kOneToken ? x_of_block : x) + run.chunk * kChunkXBytes;
      for (int left = run.steps; left > 0; --left) {
        const std::uint32_t barrier = barriers + stage * 8;
        ptx::wait_for_phase(barrier, parity);
        if (tile < a.col_tiles) {
          if constexpr (kOneToken) {
            multiply_tile_by_one(of_one, codes_at + stage * kTile, scales_at + stage * kTile, columns, a.scale_exponent, g);
          } else {
            multiply_tile(sums, codes_at + stage * kTile, scales_at + stage * kTile, columns, a.scale_exponent);
          }
        }
        __syncwarp();
        source.fetch(a, ring + stage * kTile, barrier, team.warp, team.lane);
        if (++stage == kStages) {
          stage = 0;
          parity ^= 1;
        }
        tile += kWarps;
        columns += kChunkXBytes;
      }
      step += run.steps;
      if constexpr (kOneToken) {
        for (int group = 0; group < 2; ++group) {
          for (int i = 0; i < 2; ++i) {
            float sum = of_one[group][i];
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            sums[group][2 * i] = sum;
            of_one[group][i] = 0;
          }
        }
      }
      finish_row<kTeams, kEnd>(a, team, run.row, part, sums, meeting, arrived);
    }
  }
}

/// Lets a kernel use all the shared memory that its device has.
template <class Kernel>
bool allow_shared_memory(Kernel kernel) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), "reading the device's shared memory");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "raising shared memory");
  return true;
}

template <int kTeams, int kStages, MatvecEnd kEnd, bool kOneToken>
void launch(const MatvecArguments& arguments, int ctas, cudaStream_t stream) {
  auto* const kernel = nvfp4_matvec_kernel<kTeams, kStages, kEnd, kOneToken>;
  static const bool allowed = allow_shared_memory(kernel);
  NVLLM_CHECK(allowed);
  const int bytes = kFixedBytes<kTeams, kStages> + arguments.tokens * arguments.stride();
  launch_early(kernel, ctas, kTeams * kTeamThreads, bytes, stream, arguments);
}

// Hopper has 227 KB of shared memory a CTA and needs some 36 KB of weights under way; the small form is for the
// 99 KB of compute capability 12.1, whose memory needs 7.
constexpr int kLargeTeams = 3, kLargeStages = 2, kSmallTeams = 1, kSmallStages = 2;

template <MatvecEnd kEnd>
void launch(const MatvecArguments& arguments, const MatvecCut& cut, cudaStream_t stream) {
  if (cut.teams == kLargeTeams) {
    if (arguments.tokens == 1) return launch<kLargeTeams, kLargeStages, kEnd, true>(arguments, cut.ctas, stream);
    return launch<kLargeTeams, kLargeStages, kEnd, false>(arguments, cut.ctas, stream);
  }
  if (arguments.tokens == 1) return launch<kSmallTeams, kSmallStages, kEnd, true>(arguments, cut.ctas, stream);
  launch<kSmallTeams, kSmallStages, kEnd, false>(arguments, cut.ctas, stream);
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

}  // namespace

Nvfp4DeviceMatrix::Nvfp4DeviceMatrix(const Nvfp4Tiles& tiles)
    : rows_(tiles.rows), cols_(tiles.cols), row_tiles_(tiles.row_tiles), col_tiles_(tiles.col_tiles),
      global_scale_(tiles.global_scale), tiles_(static_cast<std::int64_t>(tiles.bytes.size())) {
  tiles_.upload(tiles.bytes.data(), tiles_.bytes());
}

Nvfp4DeviceMatrix Nvfp4DeviceMatrix::random(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Nvfp4DeviceMatrix out;
  out.rows_ = rows;
  out.cols_ = cols;
  out.row_tiles_ = up(rows, kTileRows);
  out.col_tiles_ = up(cols, kTileCols);
  out.tiles_ = DeviceBuffer(out.row_tiles_ * out.col_tiles_ * kTileBytes);
  randomise<<<1024, 256>>>(out.tiles_.as<std::uint32_t>(), out.row_tiles_ * out.col_tiles_, seed);
  check(cudaDeviceSynchronize(), "making random weights");
  return out;
}

MatvecWorkspace::MatvecWorkspace(std::int64_t partial_bytes, std::int64_t row_tiles)
    : partials_(partial_bytes), arrivals_(row_tiles * static_cast<std::int64_t>(sizeof(unsigned))) {
  arrivals_.fill(0);
}

MatvecCut cut_matvec(std::int64_t rows, std::int64_t cols, std::int64_t tokens, const DeviceFacts& device) {
  NVLLM_CHECK(tokens >= 1 && tokens <= kMatvecTokensMax);
  const bool large = device.shared_bytes >= 200 * 1024;
  MatvecCut cut{.teams = large ? kLargeTeams : kSmallTeams};
  const int fixed = large ? kFixedBytes<kLargeTeams, kLargeStages> : kFixedBytes<kSmallTeams, kSmallStages>;
  const int row_tiles = up(rows, kTileRows);
  cut.chunks = up(up(cols, kTileCols), kWarps);
  const auto room = ((device.shared_bytes - fixed) / tokens - kRowPadBytes) / kChunkXBytes;
  NVLLM_CHECK(room >= 1);
  cut.parts = up(cut.chunks, room);
  cut.part_chunks = up(cut.chunks, cut.parts);
  cut.parts = up(cut.chunks, cut.part_chunks);
  const std::int64_t steps = static_cast<std::int64_t>(row_tiles) * cut.chunks;
  cut.ctas = static_cast<int>(std::clamp<std::int64_t>(steps / cut.teams, 1, device.multiprocessors));
  const std::int64_t shortest = std::max<std::int64_t>(1, steps / (cut.ctas * cut.teams));
  cut.slots = cut.parts * static_cast<int>((cut.part_chunks - 1) / shortest + 2);
  cut.workspace_bytes = static_cast<std::int64_t>(row_tiles) * cut.slots * kPairs * static_cast<std::int64_t>(sizeof(float2));
  return cut;
}

void nvfp4_matvec(void* out, const void* x, std::int64_t tokens, const Nvfp4DeviceMatrix& w, MatvecEnd end,
                  const MatvecCut& cut, const MatvecWorkspace& workspace, cudaStream_t stream) {
  MatvecArguments arguments{.tiles = static_cast<const std::byte*>(w.tiles()),
                                  .x = static_cast<const __nv_bfloat16*>(x),
                                  .out = out,
                                  .partials = static_cast<float2*>(workspace.partials()),
                                  .arrivals = workspace.arrivals(),
                                  .factor = w.global_scale() * (tokens == 1 ? kOneTokenUnpackFactor : kUnpackFactor),
                                  .scale_exponent = tokens == 1 ? kOneTokenScaleExponent : kScaleExponent,
                                  .tokens = static_cast<int>(tokens),
                                  .rows = static_cast<int>(w.rows()),
                                  .cols = static_cast<int>(w.cols()),
                                  .row_tiles = static_cast<int>(w.row_tiles()),
                                  .col_tiles = static_cast<int>(w.col_tiles()),
                                  .parts = cut.parts,
                                  .chunks = cut.chunks,
                                  .part_chunks = cut.part_chunks,
                                  .slots = cut.slots};
  const int steps = arguments.steps();
  arguments.teams = std::min(cut.ctas * cut.teams, steps);
  arguments.share = steps / arguments.teams;
  arguments.longer = steps % arguments.teams;
  arguments.by_share = Divisor(arguments.share);
  arguments.by_longer_share = Divisor(arguments.share + 1);
  arguments.by_chunks = Divisor(cut.part_chunks);
  arguments.by_last_chunks = Divisor(cut.chunks - (cut.parts - 1) * cut.part_chunks);
  switch (end) {
    case MatvecEnd::kBf16: return launch<MatvecEnd::kBf16>(arguments, cut, stream);
    case MatvecEnd::kFloat: return launch<MatvecEnd::kFloat>(arguments, cut, stream);
    case MatvecEnd::kAdd: return launch<MatvecEnd::kAdd>(arguments, cut, stream);
    case MatvecEnd::kSwiglu: return launch<MatvecEnd::kSwiglu>(arguments, cut, stream);
  }
}

}  // namespace nvllm::cuda
