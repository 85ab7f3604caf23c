#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace nvllm::bench {

/// One look at the machine.
struct Checkup {
  enum class State { kOk, kWarn, kUnfit } state = State::kOk;
  std::string name, text;
};

/// Whether this machine is fit to measure on: memory, pressure, swap, disk, load, clock policy, a
/// loopback port, the model's files, and how much a fixed piece of work scatters.
///   Cost:   `probe_s` seconds, and one read of the model.
std::vector<Checkup> examine_host(const std::filesystem::path& folder,
                                  const std::filesystem::path& model, double probe_s);

/// A line each.
std::string checkup_text(const std::vector<Checkup>& checks);

}  // namespace nvllm::bench
