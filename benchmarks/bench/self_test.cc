// How often the bench is wrong:
//   bench_self_test rounds PLANTED.toml NOISE.json
//   bench_self_test results AA PLANTED NOISE.json OUT [DRAWS]
// The first prints how many rounds `plan` chooses for the planted sweep. The second reads the
// finished sweep folders in AA (one leg under two names) and PLANTED (one leg made slower) and
// writes OUT.json and OUT.md. tools/evidence/self_test runs the sweeps and both.

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "base/files.h"
#include "bench/run/self_test.h"
#include "bench/store/canonical_json.h"

namespace {

using namespace nvllm::bench;

int results(const std::vector<std::string>& words) {
  SelfTest test;
  if (words.size() == 6) test.draws = std::atoll(words[5].c_str());
  test.same = read_recorded_sweeps(words[1]);
  test.planted = read_recorded_sweeps(words[2]);
  test.noise = read_noise_floor(words[3]);
  const nvllm::Json json = self_test_json(test);
  nvllm::write_file_atomically(words[4] + ".json", readable_json(json));
  nvllm::write_file_atomically(words[4] + ".md", self_test_table(json));
  fmt::print("{}", self_test_table(json));
  return 0;
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "rounds") {
    const RulePower plan = plan_first_hypothesis(read_sweep(words[1]), read_noise_floor(words[2]));
    fmt::print("{}\n", *plan.rounds);
    return 0;
  }
  const bool draws_are_given = words.size() == 6 && std::atoll(words[5].c_str()) >= 1;
  if ((words.size() == 5 || draws_are_given) && words[0] == "results") return results(words);
  fmt::print(stderr,
             "usage: bench_self_test rounds PLANTED.toml NOISE.json\n"
             "       bench_self_test results AA PLANTED NOISE.json OUT [DRAWS]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_self_test: {}\n", error.what());
    return 1;
  }
}
