#pragma once

// Faults that a test plants to show that an instrument can fail. What is planted is settled at link
// time: every normal program takes the answers of faults.cc, which are "none" and read nothing; the
// test-only programs of tests/faults link other answers in their place.

#include <cstdint>
#include <string_view>

namespace nvllm {

/// Whether a fresh sequence takes what its recurrent slot holds for its own past, where it should
/// take zeros.
bool fresh_sequence_reads_its_slot();

/// The share of its own time by which a kernel is made slower; 0 where nothing is planted.
double planted_slowdown(std::string_view kernel);

/// Called before step `step` of an engine, from its thread: a test lets it hang here.
void hang_engine(std::int64_t step);

/// Called before step `step` of a GPU is queued into its stream, a CUDA stream: a test breaks the device here.
void break_device(std::int64_t step, void* stream);

}  // namespace nvllm
