// Linked into nvllm_with_faults alone: plants what NVLLM_FAULTS says before main begins, and says
// so on stderr, so that the log of a faulty server cannot be taken for that of a sound one.

#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "faults/planted_faults.h"

namespace nvllm::test {

namespace {

constexpr int kUsageError = 2;

bool plant_from_environment() {
  const char* words = std::getenv("NVLLM_FAULTS");
  if (words == nullptr || *words == '\0') return false;
  try {
    plant(parse_faults(words));
  } catch (const Error& error) {
    std::fprintf(stderr, "nvllm_with_faults: NVLLM_FAULTS: %s\n", error.what());
    std::_Exit(kUsageError);
  }
  std::fprintf(stderr, "nvllm_with_faults: planted: %s\n", words);
  return true;
}

[[maybe_unused]] const bool kPlanted = plant_from_environment();

}  // namespace

}  // namespace nvllm::test
