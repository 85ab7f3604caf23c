// Takes the place of src/base/faults.cc in the programs that link it.

#include "faults/planted_faults.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/faults.h"

namespace nvllm {

namespace test {

namespace {

constexpr std::string_view kSlow = "slow:", kBroken = "broken-device:", kHung = "hung-engine:";

PlantedFaults& planted() {
  static PlantedFaults faults;
  return faults;
}

[[noreturn]] void refuse(const std::string& word) {
  throw Error(ErrorKind::kUsage,
              fmt::format("no fault '{}', wanted stale-state, hung-engine:STEP, broken-device:STEP, or slow:KERNEL:SHARE with a share "
                          "above 0 and up to 10, such as slow:DecodeKernel:0.03",
                          word));
}

void read_slowdown(const std::string& word, PlantedFaults& faults) {
  const std::size_t colon = word.rfind(':');
  if (colon <= kSlow.size()) refuse(word);
  const std::string kernel = word.substr(kSlow.size(), colon - kSlow.size());
  double share = 0;
  const char* const end = word.data() + word.size();
  const auto [next, fault] = std::from_chars(word.data() + colon + 1, end, share);
  if (fault != std::errc() || next != end || !(share > 0) || share > 10) refuse(word);
  if (!faults.slowdowns.emplace(kernel, share).second) refuse(word);
}

std::int64_t read_step(const std::string& word, std::string_view kind) {
  std::int64_t step = -1;
  const char* const end = word.data() + word.size();
  const auto [next, fault] = std::from_chars(word.data() + kind.size(), end, step);
  if (fault != std::errc() || next != end || step < 0) refuse(word);
  return step;
}

}  // namespace

PlantedFaults parse_faults(std::string_view words) {
  PlantedFaults faults;
  std::istringstream list{std::string(words)};
  for (std::string word; list >> word;) {
    if (word == "stale-state") {
      faults.stale_state = true;
    } else if (word.starts_with(kSlow)) {
      read_slowdown(word, faults);
    } else if (word.starts_with(kBroken)) {
      faults.breaking_step = read_step(word, kBroken);
    } else if (word.starts_with(kHung)) {
      faults.hanging_step = read_step(word, kHung);
    } else {
      refuse(word);
    }
  }
  return faults;
}

void plant(const PlantedFaults& faults) { planted() = faults; }

}  // namespace test

bool fresh_sequence_reads_its_slot() { return test::planted().stale_state; }

void hang_engine(std::int64_t step) {
  while (step == test::planted().hanging_step) std::this_thread::sleep_for(std::chrono::seconds(1));
}

double planted_slowdown(std::string_view kernel) {
  const auto& slowdowns = test::planted().slowdowns;
  const auto found = slowdowns.find(kernel);
  return found == slowdowns.end() ? 0 : found->second;
}

void break_device(std::int64_t step, void* stream) {
  if (step == test::planted().breaking_step) test::queue_device_fault(stream);
}

}  // namespace nvllm
