#include "inject/kernel_profile.h"

#include <cxxabi.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "bench/profile/profile_folder.h"
#include "bench/records/kernel_name.h"

namespace nvllm::inject {

namespace {

/// Of a compiler's name what people read; a name that is none is read as it is.
std::string readable(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return bench::short_kernel_name(status == 0 ? demangled.get() : name);
}

}  // namespace

bool KernelProfile::start() {
  const std::lock_guard lock(mutex_);
  if (collector_ != nullptr) return false;
  collector_ = std::make_unique<bench::Collector>();
  collector_->on_clock(LaunchClock::kDeviceTrace);
  begin_ = SystemClock().now();
  first_ns_ = 0;
  kernels_ = 0;
  return true;
}

bool KernelProfile::runs() const {
  const std::lock_guard lock(mutex_);
  return collector_ != nullptr;
}

std::int64_t KernelProfile::kernels() const {
  const std::lock_guard lock(mutex_);
  return kernels_;
}

std::filesystem::path KernelProfile::stop(std::int64_t dropped) {
  const std::lock_guard lock(mutex_);
  if (collector_ == nullptr) return {};
  const std::unique_ptr<bench::Collector> collector = std::move(collector_);
  collector->on_lost(dropped - std::exchange(dropped_before_, dropped));
  return bench::write_profile(root_, collector->profile(),
                              {.leg = "injected", .device = "cuda", .model = program_, .version = NVLLM_VERSION,
                               .wall_s = seconds_between(begin_, SystemClock().now())});
}

const std::string& KernelProfile::name_of(const char* mangled) {
  const auto found = names_.find(mangled);
  return found != names_.end() ? found->second : names_.emplace(mangled, readable(mangled)).first->second;
}

void KernelProfile::on_kernels(const std::vector<cuda::KernelRecord>& records) {
  const std::lock_guard lock(mutex_);
  if (const auto call = std::exchange(on_first_, nullptr)) call();
  if (collector_ == nullptr) return;
  for (const cuda::KernelRecord& record : records) {
    if (kernels_++ == 0) first_ns_ = record.begin_ns;
    // Records come in no order: one may have begun before the first that came.
    const std::chrono::nanoseconds since(static_cast<std::int64_t>(record.begin_ns) - static_cast<std::int64_t>(first_ns_));
    collector_->on_launch({.operation = name_of(record.name), .begin = begin_ + since,
                           .seconds = static_cast<double>(record.end_ns - record.begin_ns) / 1e9});
  }
}

}  // namespace nvllm::inject
