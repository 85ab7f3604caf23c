// Alone in its object file: a program that defines these itself never pulls it from the
// library.

#include "base/faults.h"

namespace nvllm {

bool fresh_sequence_reads_its_slot() { return false; }

double planted_slowdown(std::string_view /*kernel*/) { return 0; }

void hang_engine(std::int64_t /*step*/) {}

void break_device(std::int64_t /*step*/, void* /*stream*/) {}

}  // namespace nvllm
