#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {
namespace {

TEST(Scratch, OpensTheDemo) {
  const char* where = std::getenv("NVLLM_SCRATCH");
  if (where == nullptr) GTEST_SKIP();
  const Checkpoint checkpoint = Checkpoint::open(where);
  for (const WeightSpec& spec : required_weights(checkpoint.config())) {
    if (spec.role == WeightSpec::Role::kMatrix) {
      EXPECT_EQ(checkpoint.matrix(spec.name).rows, spec.shape[0]);
    } else {
      EXPECT_FALSE(checkpoint.vector(spec.name).empty());
    }
  }
  std::printf("%ld bytes, %zu eos\n", checkpoint.weight_bytes(), checkpoint.config().eos_ids.size());
}

}  // namespace
}  // namespace nvllm::checkpoint
