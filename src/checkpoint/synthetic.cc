// Speed of generation matters (27 billion weights): codes come sixteen to a random word, and normal
// values from a table of quantiles, four to a word.

#include "checkpoint/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/hashing.h"
#include "base/units.h"
#include "checkpoint/quantise.h"
#include "tensor/buffer.h"

namespace nvllm::checkpoint {

namespace {

constexpr std::size_t kQuantiles = 4096;

/// Quantiles of the standard normal distribution at the middles of 4096 equal parts.
const std::array<float, kQuantiles>& normal_quantiles() {
  static const std::array<float, kQuantiles> kTable = [] {
    std::array<float, kQuantiles> table{};
    for (std::size_t i = 0; i < kQuantiles; ++i) {
      const double wanted = (static_cast<double>(i) + 0.5) / kQuantiles;
      double low = -8.0, high = 8.0;
      for (int step = 0; step < 60; ++step) {
        const double middle = 0.5 * (low + high);
        (0.5 * std::erfc(-middle * std::sqrt(0.5)) < wanted ? low : high) = middle;
      }
      table[i] = static_cast<float>(low);
    }
    return table;
  }();
  return kTable;
}

/// FNV-1a over the name: a tensor's stream of random words does not depend on its neighbours.
std::uint64_t stream_of(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return random_bits(seed, hash);
}

/// Calls fill(begin, end) for pieces of [0, count), each by a thread of its own where there is much to do. Words come
/// by their number, so it does not matter who makes them.
template <class Fill>
void in_pieces(std::size_t count, const Fill& fill) {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  const std::size_t workers = std::min<std::size_t>(std::max(1u, std::thread::hardware_concurrency()), (count + kPiece - 1) / kPiece);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t begin = kPiece * next++; begin < count; begin = kPiece * next++) fill(begin, std::min(begin + kPiece, count));
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < workers; ++i) others.emplace_back(work);
  work();
}

void fill_normal_bf16(std::uint64_t stream, double deviation, std::span<std::uint16_t> out) {
  std::array<std::uint16_t, kQuantiles> table{};
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    table[i] = to_bf16(static_cast<float>(normal_quantiles()[i] * deviation)).bits;
  }
  in_pieces(out.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += 4) {
      std::uint64_t bits = random_bits(stream, i / 4);
      for (std::size_t k = i; k < std::min(i + 4, end); ++k, bits >>= 16) out[k] = table[bits & (kQuantiles - 1)];
    }
  });
}

/// Fills with random words; `and_mask` and `or_mask` bring bytes into a range.
struct ByteRange {
  std::uint64_t and_mask = ~0ull, or_mask = 0;
};
void fill_bytes(std::uint64_t stream, ByteRange range, std::span<std::byte> out) {
  in_pieces(out.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += 8) {
      const std::uint64_t bits = (random_bits(stream, i / 8) & range.and_mask) | range.or_mask;
      std::memcpy(out.data() + i, &bits, std::min<std::size_t>(8, end - i));
    }
  });
}

// Block scales are the eight E4M3 values from 1 to 1.875 (codes 0x38 to 0x3f), codes are uniform:
// root-mean-squares of both, for a weight's deviation.
constexpr ByteRange kScaleRange{0x0707070707070707ull, 0x3838383838383838ull};
constexpr double kScaleRms = 1.4657, kCodeRms = 2.9262;

double deviation(const ModelConfig& config, const WeightSpec& spec) {
  if (spec.name == model_names(config).embedding) return 0.02;
  return 1.0 / std::sqrt(static_cast<double>(spec.shape[1]));
}

std::int64_t element_count(const WeightSpec& spec) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : spec.shape) count *= dimension;
  return count;
}

/// A value of a vector, from a uniform number in [0, 1).
double vector_value(const ModelConfig& config, const WeightSpec& spec, double uniform) {
  const std::string_view name = spec.name;
  if (name.ends_with(".A_log")) return std::log(1.0 + 15.0 * uniform);  // decay rates 1 to 16
  if (name.ends_with(".dt_bias")) {
    // Steps from 0.001 to 0.1, as the inverse of softplus: the initialisation of Mamba 2.
    const double step = std::exp(std::log(0.001) + uniform * (std::log(0.1) - std::log(0.001)));
    return step + std::log(-std::expm1(-step));
  }
  if (name.ends_with("conv1d.weight")) {
    return (2.0 * uniform - 1.0) / std::sqrt(static_cast<double>(config.conv_taps));
  }
  const double around = 0.2 * (uniform - 0.5);
  if (name.ends_with(".bias")) return around;
  const bool plain = !config.zero_centred_norms || name.ends_with(".linear_attn.norm.weight");
  return plain ? 1.0 + around : around;
}

}  // namespace

SyntheticFormat parse_synthetic_format(std::string_view name) {
  if (name == "bf16") return SyntheticFormat::kBf16;
  if (name == "nvfp4") return SyntheticFormat::kNvfp4;
  if (name == "nvfp4-head") return SyntheticFormat::kNvfp4WithHead;
  throw Error(ErrorKind::kUsage, fmt::format("number format '{}' is unknown, wanted bf16, nvfp4 or nvfp4-head", name));
}

SyntheticCheckpoint::SyntheticCheckpoint(ModelConfig config, std::uint64_t seed,
                                         SyntheticFormat format, GdnParameters gdn)
    : config_(std::move(config)), seed_(seed), format_(format), gdn_(gdn) {
  if (format_ == SyntheticFormat::kNvfp4WithHead) config_.tied_head = false;
  for (WeightSpec& spec : required_weights(config_)) specs_.emplace(spec.name, spec);
}

std::unique_ptr<SyntheticCheckpoint> SyntheticCheckpoint::open(std::string_view name,
                                                               GdnParameters gdn) {
  SyntheticFormat format = SyntheticFormat::kNvfp4;
  if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
    format = parse_synthetic_format(name.substr(colon + 1));
    name = name.substr(0, colon);
  }
  return std::make_unique<SyntheticCheckpoint>(known_shape(name), kSyntheticSeed, format, gdn);
}

bool SyntheticCheckpoint::is_nvfp4(const WeightSpec& spec) const {
  const bool head = format_ == SyntheticFormat::kNvfp4WithHead && spec.name == model_names(config_).head;
  return format_ != SyntheticFormat::kBf16 && spec.role == WeightSpec::Role::kMatrix &&
         (head || is_quantised_by_default(config_, spec.name)) && spec.shape[1] % 16 == 0;
}

bool SyntheticCheckpoint::is_f32(std::string_view tensor) {
  return tensor.ends_with(".linear_attn.A_log") || tensor.ends_with(".linear_attn.norm.weight");
}

const WeightSpec& SyntheticCheckpoint::spec(const std::string& name, WeightSpec::Role role) const {
  const auto found = specs_.find(name);
  if (found == specs_.end() || found->second.role != role) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("synthetic weights: no {} '{}' in this geometry",
                            role == WeightSpec::Role::kMatrix ? "module" : "vector", name));
  }
  return found->second;
}

MatrixSource SyntheticCheckpoint::matrix(const std::string& module) const {
  const WeightSpec& wanted = spec(module, WeightSpec::Role::kMatrix);
  const std::uint64_t stream = stream_of(seed_, module);
  MatrixSource matrix;
  matrix.name = module;
  matrix.rows = wanted.shape[0];
  matrix.cols = wanted.shape[1];
  const auto count = static_cast<std::size_t>(matrix.rows * matrix.cols);
  if (is_nvfp4(wanted)) {
    const auto scales_at = static_cast<std::size_t>(round_up(matrix.rows * matrix.cols / 2, 64));
    const auto buffer = std::make_shared<Buffer>(Buffer::host(scales_at + count / 16));
    auto* bytes = buffer->as<std::byte>();
    fill_bytes(stream, {}, {bytes, count / 2});
    fill_bytes(stream + 1, kScaleRange, {bytes + scales_at, count / 16});
    matrix.format = MatrixFormat::kNvfp4;
    matrix.data = bytes;
    matrix.block_scales = bytes + scales_at;
    matrix.global_scale = static_cast<float>(deviation(config_, wanted) / (kCodeRms * kScaleRms));
    matrix.keep_alive = buffer;
    return matrix;
  }
  const auto buffer = std::make_shared<Buffer>(Buffer::host(count * 2));
  fill_normal_bf16(stream, deviation(config_, wanted), {buffer->as<std::uint16_t>(), count});
  matrix.format = MatrixFormat::kBf16;
  matrix.data = buffer->as<std::byte>();
  matrix.keep_alive = buffer;
  return matrix;
}

MatrixFormat SyntheticCheckpoint::format(const std::string& module) const {
  return is_nvfp4(spec(module, WeightSpec::Role::kMatrix)) ? MatrixFormat::kNvfp4 : MatrixFormat::kBf16;
}

std::vector<float> SyntheticCheckpoint::vector(const std::string& tensor) const {
  const WeightSpec& wanted = spec(tensor, WeightSpec::Role::kVector);
  const std::uint64_t stream = stream_of(seed_, tensor);
  const bool rounded = !is_f32(tensor) || gdn_ == GdnParameters::kCastToBf16;
  std::vector<float> values(static_cast<std::size_t>(element_count(wanted)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(vector_value(config_, wanted, random_uniform(stream, i)));
    if (rounded) values[i] = round_to_bf16(values[i]);
  }
  return values;
}

std::int64_t SyntheticCheckpoint::weight_bytes() const {
  std::int64_t total = 0;
  for (const auto& [name, wanted] : specs_) {
    if (name.starts_with("mtp.")) continue;
    const std::int64_t count = element_count(wanted);
    total += is_nvfp4(wanted) ? count / 2 + count / 16 + 4 : count * (is_f32(name) ? 4 : 2);
  }
  return total;
}

}  // namespace nvllm::checkpoint
