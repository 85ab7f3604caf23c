// What "stale-state" does to the kernels, and that the instrument of the tests of equal bits sees
// it.

#include <gtest/gtest.h>

#include "engine/runner_cpu.h"
#include "faults/planted_faults.h"
#include "kernels/delta_case.h"
#include "kernels/reference/gated_delta_chunked.h"
#include "support/model_trace.h"

namespace nvllm::test {
namespace {

/// One fresh sequence, or one with a past, in a slot that holds something.
DeltaCase one_sequence(std::int64_t start) {
  DeltaCase c(3);
  const std::int64_t size = c.shape.recurrent_elements();
  std::copy_n(c.state.begin(), size, c.state.begin() + 2 * size);
  c.segments.resize(1);
  c.segments[0].start = start;
  return c;
}

CpuOps make_ops() { return CpuOps({.threads = 2, .tokens_max = 256, .positions_max = 256}); }

using Word = HostRows (*)(const DeltaCase&);

HostRows recurrent(const DeltaCase& c) {
  CpuOps ops = make_ops();
  HostRows out(DeltaCase::kRows, c.shape.value_heads * c.shape.value_dim), qkv = c.qkv, b = c.b,
                                                                           a = c.a;
  std::vector<float> state = c.state;
  ops.delta_rule(out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias,
                 {c.shape, c.segments, {nullptr, state.data(), DeltaCase::kSlots}});
  return out;
}

HostRows chunked(const DeltaCase& c) {
  CpuOps ops = make_ops();
  HostRows out(DeltaCase::kRows, c.shape.value_heads * c.shape.value_dim), qkv = c.qkv, b = c.b,
                                                                           a = c.a;
  std::vector<float> state = c.state;
  ops.delta_rule_chunked(out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias,
                         {c.shape, c.segments, {nullptr, state.data(), DeltaCase::kSlots}}, 16);
  return out;
}

HostRows convolved(const DeltaCase& c) {
  CpuOps ops = make_ops();
  HostRows out(DeltaCase::kRows, c.shape.channels()), x = c.qkv;
  std::vector<Bf16> state = random_rows(DeltaCase::kSlots * c.shape.conv_elements(), 70);
  const std::vector<float> weights = random_floats(c.shape.conv_taps * c.shape.channels(), 71);
  ops.causal_conv(out.view(), x.view(), weights,
                  {c.shape, c.segments, {state.data(), nullptr, DeltaCase::kSlots}});
  return out;
}

/// Doubles as BF16 rows, so that one table holds both backends.
HostRows rounded(const ReferenceRows& rows) {
  HostRows out(rows.rows, rows.cols);
  for (std::size_t i = 0; i < rows.data.size(); ++i)
    out.data[i] = to_bf16(static_cast<float>(rows.data[i]));
  return out;
}

HostRows oracle_recurrent(const DeltaCase& c) { return rounded(recurrence(c).out); }

HostRows oracle_chunked(const DeltaCase& c) {
  DeltaResult result(c);
  ReferenceRows qkv(c.qkv), b = c.rounded_gates(), a(c.a);
  delta_rule_chunked(result.out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias,
                     result.context(c), 16);
  return rounded(result.out);
}

HostRows oracle_convolved(const DeltaCase& c) {
  ReferenceRows out(DeltaCase::kRows, c.shape.channels()), x(c.qkv);
  std::vector<double> state;
  for (const Bf16 v : random_rows(DeltaCase::kSlots * c.shape.conv_elements(), 70))
    state.push_back(to_float(v));
  const std::vector<float> weights = random_floats(c.shape.conv_taps * c.shape.channels(), 71);
  ReferenceOps().causal_conv(out.view(), x.view(), weights,
                             {c.shape, c.segments, {state.data(), nullptr, DeltaCase::kSlots}});
  return rounded(out);
}

constexpr Word kWords[] = {recurrent,        chunked,        convolved,
                           oracle_recurrent, oracle_chunked, oracle_convolved};

TEST(StaleState, MakesAFreshSequenceGoOnFromItsSlotInEveryKernelOfBothBackends) {
  const DeltaCase fresh = one_sequence(0), old = one_sequence(7);
  for (const Word run : kWords) {
    const HostRows clean = run(fresh), continued = run(old);
    EXPECT_FALSE(clean == continued);
    const Planting planting("stale-state");
    EXPECT_EQ(run(fresh), continued);
    EXPECT_EQ(run(old), continued);
  }
}

/// Two requests one after the other in the one slot there is.
TraceHashes in_one_slot() {
  const std::vector<TraceRequest> wanted = boundary_requests(tiny_hybrid().config().vocab_size, 7);
  return Tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(1, 0)))
      .run({wanted[7], wanted[8]});
}

/// Each of them in an engine of its own.
TraceHashes in_fresh_engines() {
  const std::vector<TraceRequest> wanted = boundary_requests(tiny_hybrid().config().vocab_size, 7);
  TraceHashes all;
  for (const std::size_t i : {7, 8}) {
    all.merge(Tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(1, 0))).run({wanted[i]}));
  }
  return all;
}

TEST(StaleState, IsSeenByTheInstrumentOfEqualBits) {
  const TraceHashes apart = in_fresh_engines();
  ASSERT_EQ(apart.size(), 2u);
  EXPECT_EQ(in_one_slot(), apart);
  const Planting planting("stale-state");
  EXPECT_EQ(in_fresh_engines(), apart) << "an unused slot holds zeros";
  const TraceHashes leaked = in_one_slot();
  EXPECT_NE(leaked, apart);
  const std::vector<std::int32_t> first =
      boundary_requests(tiny_hybrid().config().vocab_size, 7)[7].prompt;
  EXPECT_EQ(leaked.at(first), apart.at(first)) << "nobody was in the slot before the first request";
}

}  // namespace
}  // namespace nvllm::test
