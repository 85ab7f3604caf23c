// A planted slowdown lies inside what the scope of a launch measures, and is there without a
// listener.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "faults/planted_faults.h"
#include "kernels/launch_note.h"

namespace nvllm::test {
namespace {

constexpr double kWork = 0.002;

class SecondsListener : public LaunchListener {
 public:
  void on_launch(const LaunchNote& note) override { seconds = note.seconds; }
  double seconds = 0;
};

/// What a launch took inside its scope, and from outside.
struct Launch {
  double inside_s = 0, outside_s = 0;
};

Launch launch(LaunchListener* listener, std::string_view kernel) {
  const SystemClock clock;
  Launch times;
  const SteadyTime begin = clock.now();
  {
    const LaunchScope scope(listener, {.operation = kernel});
    const SteadyTime work = clock.now();
    while (times.inside_s < kWork) times.inside_s = seconds_between(work, clock.now());
  }
  times.outside_s = seconds_between(begin, clock.now());
  return times;
}

TEST(Slowdown, LengthensWhatTheListenerHears) {
  const Planting planting("slow:slowed:0.5");
  SecondsListener listener;
  const Launch times = launch(&listener, "slowed");
  EXPECT_GE(listener.seconds, 1.5 * times.inside_s);
  EXPECT_LE(listener.seconds, times.outside_s);
}

TEST(Slowdown, IsThereWithoutAListener) {
  const Planting planting("slow:slowed:0.5");
  const Launch times = launch(nullptr, "slowed");
  EXPECT_GE(times.outside_s, 1.5 * times.inside_s);
}

TEST(Slowdown, LeavesOtherKernelsAndUnfaultyProgramsAlone) {
  // An interruption may lengthen a try, so the shortest of many tells.
  for (const char* words : {"slow:slowed:0.5", ""}) {
    const Planting planting(words);
    const char* kernel = *words == '\0' ? "slowed" : "other";
    double shortest = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 20; ++i) {
      SecondsListener listener;
      const Launch times = launch(&listener, kernel);
      shortest = std::min(shortest, listener.seconds / times.inside_s);
    }
    EXPECT_LT(shortest, 1.25) << words;
  }
}

}  // namespace
}  // namespace nvllm::test
