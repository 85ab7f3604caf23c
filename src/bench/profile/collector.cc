// One row per identity: sums, extremes and a histogram, so that a profile of an hour takes the memory
// of a profile of a minute. Two rings keep the last raw events and steps for a look at single calls.

#include "bench/profile/collector.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace nvllm::bench {

namespace {

std::int64_t rounded_rows(std::int64_t rows) {
  return rows <= 1 ? rows : static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rows)));
}

}  // namespace

std::string_view to_string(ProfilePhase phase) { return phase == ProfilePhase::kDecode ? "decode" : "prefill"; }
std::string_view to_string(LaunchClock clock) {
  switch (clock) {
    case LaunchClock::kHost:
      return "host clock around each kernel";
    case LaunchClock::kBetweenLaunches:
      return "device clock between launches";
    case LaunchClock::kDeviceTrace:
      break;
  }
  return "device trace (CUPTI)";
}
std::string_view to_string(WorkKind kind) { return kind == WorkKind::kKernel ? "kernel" : "host"; }

double KernelStats::sd_s() const {
  if (call_count < 2) return 0;
  const auto n = static_cast<double>(call_count);
  return std::sqrt(std::max(0.0, (squares_s2 - total_s * total_s / n) / (n - 1)));
}

double KernelStats::quantile_s(double q) const { return std::clamp(histogram.quantile_s(q), min_s, max_s); }

void KernelStats::add(const LaunchNote& note) {
  // A clock that did not tick between two looks must not make the sum of logarithms infinite.
  const double seconds = std::max(note.seconds, 1e-9);
  const double log_seconds = std::log(seconds);
  min_s = call_count == 0 ? seconds : std::min(min_s, seconds);
  max_s = std::max(max_s, seconds);
  ++call_count;
  total_s += seconds;
  squares_s2 += seconds * seconds;
  log_sum += log_seconds;
  row_sum += note.shape.rows;
  cost = cost + note.cost;
  histogram.add(log_seconds);
}

void KernelStats::merge(const KernelStats& other) {
  if (other.call_count == 0) return;
  min_s = call_count == 0 ? other.min_s : std::min(min_s, other.min_s);
  max_s = std::max(max_s, other.max_s);
  call_count += other.call_count;
  total_s += other.total_s;
  squares_s2 += other.squares_s2;
  log_sum += other.log_sum;
  row_sum += other.row_sum;
  cost = cost + other.cost;
  histogram.merge(other.histogram);
}

template <class T>
void Collector::Ring<T>::push(const T& item) {
  if (static_cast<std::int64_t>(items.size()) < size_max) {
    items.push_back(item);  // reserved: does not allocate
  } else if (size_max > 0) {
    items[static_cast<std::size_t>(seen % size_max)] = item;
  }
  ++seen;
}

template <class T>
std::vector<T> Collector::Ring<T>::in_order() const {
  std::vector<T> out = items;
  if (dropped() > 0 && size_max > 0) std::rotate(out.begin(), out.begin() + seen % size_max, out.end());
  return out;
}

Collector::Collector(const CollectorLimits& limits) : limits_(limits), origin_(SystemClock().now()) {
  // Two pooled rows more than operations: "other" of both phases.
  rows_.reserve(static_cast<std::size_t>(limits.identity_max + 2 * limits.operation_max + 2));
  index_.reserve(rows_.capacity());
  pending_.reserve(static_cast<std::size_t>(std::max<std::int64_t>(1, limits.pending_max)));
  events_.size_max = limits.event_max;
  events_.items.reserve(static_cast<std::size_t>(limits.event_max));
  last_steps_.size_max = limits.step_max;
  last_steps_.items.reserve(static_cast<std::size_t>(limits.step_max));
}

std::size_t Collector::KeyHash::operator()(const Key& key) const {
  std::size_t hash = std::hash<std::string_view>()(key.operation);
  for (const std::int64_t part : {key.layer, key.shape.rows, key.shape.outputs, key.shape.inputs,
                                  static_cast<std::int64_t>(key.kind) * 2 + static_cast<std::int64_t>(key.phase)}) {
    hash = (hash ^ static_cast<std::size_t>(part)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return hash;
}

std::int32_t Collector::add_row(const Key& key) {
  auto row = std::make_unique<KernelStats>();
  row->identity = {key.kind, std::string(key.operation), key.layer, key.shape, key.phase};
  Key stored = key;
  stored.operation = row->identity.operation;
  const auto number = static_cast<std::int32_t>(rows_.size());
  rows_.push_back(std::move(row));
  index_.emplace(stored, number);
  return number;
}

std::int32_t Collector::pooled_row(const LaunchNote& note, ProfilePhase phase) {
  ++pooled_calls_;
  Key key{note.kind, note.operation, kEveryLayer, {}, phase};
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  if (pooled_row_count_ < 2 * limits_.operation_max) {
    ++pooled_row_count_;
    return add_row(key);
  }
  key.kind = WorkKind::kKernel;
  key.operation = "other";
  const auto found = index_.find(key);
  return found != index_.end() ? found->second : add_row(key);
}

std::int32_t Collector::row_of(const LaunchNote& note, ProfilePhase phase) {
  LaunchShape shape = note.shape;
  shape.rows = rounded_rows(shape.rows);
  const Key key{note.kind, note.operation, note.layer, shape, phase};
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  if (identity_count_ >= limits_.identity_max) return pooled_row(note, phase);
  ++identity_count_;
  return add_row(key);
}

void Collector::on_launch(const LaunchNote& note) {
  if (pending_.size() == pending_.capacity()) add_pending();
  pending_.push_back({note, phase_});
  (note.kind == WorkKind::kKernel ? step_.kernel_s : step_.host_s) += note.seconds;
}

void Collector::add_pending() {
  const SteadyTime begin = SystemClock().now();
  for (const Pending& pending : pending_) add(pending.note, pending.phase);
  pending_.clear();
  adding_s_ += seconds_between(begin, SystemClock().now());
}

void Collector::add(const LaunchNote& note, ProfilePhase phase) {
  const std::int32_t row = row_of(note, phase);
  rows_[static_cast<std::size_t>(row)]->add(note);
  events_.push({.kernel = row,
                .layer = note.layer,
                .rows = note.shape.rows,
                .bytes = note.cost.bytes,
                .begin_s = seconds_between(origin_, note.begin),
                .seconds = note.seconds});
}

void Collector::on_step_begin(const StepNote& step) {
  phase_ = step.prefill_rows == 0 ? ProfilePhase::kDecode : ProfilePhase::kPrefill;
  prefills_ += step.prefills;
  step_begin_ = step.begin;
  step_ = {.begin_s = seconds_between(origin_, step.begin),
           .decode_rows = step.decode_rows,
           .prefill_rows = step.prefill_rows};
}

void Collector::on_step_end(SteadyTime end) {
  step_.wall_s = seconds_between(step_begin_, end);
  StepTotals& totals = steps_[static_cast<std::size_t>(phase_)];
  ++totals.count;
  totals.rows += step_.decode_rows + step_.prefill_rows;
  totals.wall_s += step_.wall_s;
  totals.kernel_s += step_.kernel_s;
  totals.host_s += step_.host_s;
  last_steps_.push(step_);
  if (2 * pending_.size() >= pending_.capacity()) add_pending();
}

Profile Collector::profile() {
  add_pending();
  Profile out{.kernels = {},
              .steps = steps_,
              .prefills = prefills_,
              .pooled_calls = pooled_calls_,
              .events = events_.in_order(),
              .dropped_events = events_.dropped(),
              .last_steps = last_steps_.in_order(),
              .dropped_steps = last_steps_.dropped(),
              .lost_kernels = lost_kernels_,
              .clock = clock_,
              .adding_s = adding_s_};
  for (const auto& row : rows_) out.kernels.push_back(*row);
  return out;
}

}  // namespace nvllm::bench
