// Matrix products beside the two roofs of the machine, in turns within every iteration: a share is
// the median over iterations of (kernel rate / roof rate) measured a moment apart.
//
//   build/release/bench_kernels --benchmark_filter=Matmul
//
// Counters: GB/s and GMAC/s of the kernel, of_read and of_dot: its share of the read sweep and of
// the dot roof, of_lower: its share of whichever roof is lower for its bytes and multiply-adds. The
// dot roof is that of the instruction the format's kernel uses (cpu::dot_unit).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cost.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/roofs.h"
#include "tests/support/random_matrix.h"

namespace nvllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kSweepBytes = 96 << 20;  // larger than any last-level cache it is likely to meet

std::int64_t threads() { return std::max(1u, std::thread::hardware_concurrency()); }

double seconds_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// The machine's two roofs, measured whenever asked.
class Roofs {
 public:
  Roofs() : pool_(threads()), data_(kSweepBytes, std::byte{1}) {}
  double read_bytes_per_second() {
    return kSweepBytes / seconds_of([&] { benchmark::DoNotOptimize(cpu::read_sweep(data_, pool_)); });
  }
  double dot_multiply_adds_per_second(cpu::DotUnit unit) {
    std::int64_t done = 0;
    const double seconds = seconds_of([&] { done = cpu::dot_roof(unit, 200'000'000, pool_); });
    return static_cast<double>(done) / seconds;
  }

 private:
  cpu::WorkerPool pool_;
  std::vector<std::byte> data_;
};

Roofs& roofs() {
  static Roofs instance;
  return instance;
}

struct Shape {
  const char* name;
  std::int64_t rows, cols;
};

struct Case {
  Shape shape;
  MatrixFormat format;
  std::int64_t tokens;
};

/// Runs `work`, which costs `cost`, and the two roofs in turns.
void in_turns(benchmark::State& state, Cost cost, cpu::DotUnit unit, const std::function<void()>& work) {
  work();
  std::vector<double> seconds, of_read, of_dot, of_lower, reads, dots;
  for (auto _ : state) {
    const double read = roofs().read_bytes_per_second();
    const double time = seconds_of(work);
    const double dot = roofs().dot_multiply_adds_per_second(unit);
    state.SetIterationTime(time);
    const double read_floor = static_cast<double>(cost.bytes) / read;
    const double dot_floor = static_cast<double>(cost.multiply_adds) / dot;
    seconds.push_back(time);
    reads.push_back(read);
    dots.push_back(dot);
    of_read.push_back(read_floor / time);
    of_dot.push_back(dot_floor / time);
    of_lower.push_back(std::max(read_floor, dot_floor) / time);
  }
  state.counters["GB/s"] = static_cast<double>(cost.bytes) / median(seconds) / 1e9;
  state.counters["GMAC/s"] = static_cast<double>(cost.multiply_adds) / median(seconds) / 1e9;
  state.counters["read_GB/s"] = median(reads) / 1e9;
  state.counters["dot_GMAC/s"] = median(dots) / 1e9;
  state.counters["of_read"] = median(of_read);
  state.counters["of_dot"] = median(of_dot);
  state.counters["of_lower"] = median(of_lower);
}

void run_matmul(benchmark::State& state, const Case& c) {
  CpuOps ops({.threads = threads(), .tokens_max = c.tokens, .positions_max = 1});
  const cpu::PackedMatrix w = ops.prepare(test::random_matrix(c.format, c.shape.rows, c.shape.cols, 1));
  std::vector<Bf16> x = test::random_rows(c.tokens * c.shape.cols, 2);
  std::vector<Bf16> out(static_cast<std::size_t>(c.tokens * c.shape.rows));
  const View<Bf16> result(out.data(), c.tokens, c.shape.rows);
  const View<const Bf16> input(x.data(), c.tokens, c.shape.cols);
  in_turns(state, matmul_cost(c.tokens, c.shape.rows, c.shape.cols, w.bytes()), cpu::dot_unit(w.format), [&] {
    ops.matmul(result, input, w, {});
    benchmark::ClobberMemory();
  });
  state.SetLabel(CpuOps::simd_target());
}

const char* format_name(MatrixFormat format) {
  switch (format) {
    case MatrixFormat::kNvfp4: return "nvfp4";
    case MatrixFormat::kFp8: return "fp8";
    default: return "bf16";
  }
}

void register_all() {
  // The MLP of a 27B model, and the output head of a 1B one.
  constexpr Shape kGate{"27b-gate", 17408, 5120}, kDown{"27b-down", 5120, 17408}, kSmall{"0.8b-gate", 3584, 1024};
  const auto add = [](const Case& c) {
    const std::string name = std::string("Matmul/") + format_name(c.format) + "/" + c.shape.name +
                             "/tokens:" + std::to_string(c.tokens);
    benchmark::RegisterBenchmark(name.c_str(), [c](benchmark::State& state) { run_matmul(state, c); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const Shape& shape : {kGate, kDown}) {
    for (const std::int64_t tokens : {1, 2, 4, 8, 16, 64}) add({shape, MatrixFormat::kNvfp4, tokens});
  }
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kFp8}) {
    for (const std::int64_t tokens : {1, 8, 64}) add({kDown, format, tokens});
  }
  for (const std::int64_t tokens : {1, 8}) add({kSmall, MatrixFormat::kNvfp4, tokens});
}

}  // namespace
}  // namespace nvllm

int main(int argc, char** argv) {
  nvllm::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
