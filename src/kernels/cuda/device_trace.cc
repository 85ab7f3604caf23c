#include "kernels/cuda/device_trace.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#if __has_include(<cupti.h>)
#include <cupti.h>
#define NVLLM_HAS_CUPTI 1
#endif

namespace nvllm::cuda {

#ifdef NVLLM_HAS_CUPTI

namespace {

constexpr std::size_t kBufferBytes = std::size_t{4} << 20;
constexpr std::size_t kBufferAlignment = 8;

/// The library's functions, found once.
struct Library {
  decltype(&cuptiSubscribe) subscribe = nullptr;
  decltype(&cuptiUnsubscribe) unsubscribe = nullptr;
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityFlushPeriod) flush_period = nullptr;
  decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
  decltype(&cuptiActivityGetNumDroppedRecords) dropped_records = nullptr;
  decltype(&cuptiFinalize) finalize = nullptr;
  decltype(&cuptiGetResultString) text = nullptr;
  std::string why_not;

  Library() {
    void* handle = nullptr;
    for (const char* name : {"libcupti.so.13", "libcupti.so"}) {
      handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (handle != nullptr) break;
    }
    if (handle == nullptr) {
      why_not = "libcupti.so.13 of the CUDA toolkit is not found";
      return;
    }
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      if (function == nullptr) why_not = std::string("libcupti has no ") + name;
    };
    find(subscribe, "cuptiSubscribe");
    find(unsubscribe, "cuptiUnsubscribe");
    find(register_callbacks, "cuptiActivityRegisterCallbacks");
    find(enable, "cuptiActivityEnable");
    find(disable, "cuptiActivityDisable");
    find(flush, "cuptiActivityFlushAll");
    find(flush_period, "cuptiActivityFlushPeriod");
    find(next_record, "cuptiActivityGetNextRecord");
    find(dropped_records, "cuptiActivityGetNumDroppedRecords");
    find(finalize, "cuptiFinalize");
    find(text, "cuptiGetResultString");
  }

  std::string text_of(CUptiResult status) const {
    const char* of = nullptr;
    return text(status, &of) == CUPTI_SUCCESS && of != nullptr ? of : "error " + std::to_string(static_cast<int>(status));
  }
};

Library& library() {
  static Library* const found = new Library;  // never unloaded: its thread may outlive us
  return *found;
}

// The library calls plain functions, so that what they need is here.
std::mutex listener_mutex;
KernelRecordListener* listener = nullptr;
CUpti_SubscriberHandle subscriber = nullptr;
std::atomic<std::int64_t> dropped_count{0};

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* records_max) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
  *bytes = *buffer == nullptr ? 0 : kBufferBytes;
  *records_max = 0;  // as many as fit
}

void CUPTIAPI take_buffer(CUcontext context, std::uint32_t stream, std::uint8_t* buffer, std::size_t /*bytes*/, std::size_t valid_bytes) {
  std::vector<KernelRecord> records;
  CUpti_Activity* record = nullptr;
  while (valid_bytes > 0 && library().next_record(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
    if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
    const auto* const kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
    records.push_back({.name = kernel->name, .begin_ns = kernel->start, .end_ns = kernel->end, .correlation = kernel->correlationId});
  }
  std::size_t lost = 0;
  if (library().dropped_records(context, stream, &lost) == CUPTI_SUCCESS) dropped_count += static_cast<std::int64_t>(lost);
  std::free(buffer);
  const std::lock_guard lock(listener_mutex);
  if (listener != nullptr && !records.empty()) listener->on_kernels(records);
}

}  // namespace

std::unique_ptr<DeviceTrace> DeviceTrace::open(KernelRecordListener& to, std::string& why_not) {
  const Library& cupti = library();
  why_not = cupti.why_not;
  if (!why_not.empty()) return nullptr;
  {
    const std::lock_guard lock(listener_mutex);
    if (listener != nullptr) {
      why_not = "kernels are traced already";
      return nullptr;
    }
    listener = &to;
  }
  // There can be one subscriber in a process: so that two profilers do not take each other's buffers.
  CUptiResult status = cupti.subscribe(&subscriber, [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}, nullptr);
  const bool subscribed = status == CUPTI_SUCCESS;
  if (status == CUPTI_SUCCESS) status = cupti.register_callbacks(give_buffer, take_buffer);
  // The concurrent kind: with the other one no two kernels would overlap.
  if (status == CUPTI_SUCCESS) status = cupti.enable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  if (status == CUPTI_SUCCESS) return std::unique_ptr<DeviceTrace>(new DeviceTrace);
  why_not = "libcupti does not start: " + cupti.text_of(status);
  if (subscribed) cupti.unsubscribe(subscriber);
  const std::lock_guard lock(listener_mutex);
  listener = nullptr;
  return nullptr;
}

DeviceTrace::~DeviceTrace() {
  library().disable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  library().flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  library().unsubscribe(subscriber);
  library().finalize();
  const std::lock_guard lock(listener_mutex);
  listener = nullptr;
}

void DeviceTrace::flush_every(int milliseconds) { library().flush_period(static_cast<std::uint32_t>(milliseconds)); }
void DeviceTrace::pause() { library().disable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL); }
void DeviceTrace::resume() { library().enable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL); }
void DeviceTrace::flush() { library().flush(0); }
std::int64_t DeviceTrace::dropped() const { return dropped_count; }

#else

std::unique_ptr<DeviceTrace> DeviceTrace::open(KernelRecordListener&, std::string& why_not) {
  why_not = "this program was built without CUPTI's headers";
  return nullptr;
}
DeviceTrace::~DeviceTrace() = default;
void DeviceTrace::flush_every(int) {}
void DeviceTrace::pause() {}
void DeviceTrace::resume() {}
void DeviceTrace::flush() {}
std::int64_t DeviceTrace::dropped() const { return 0; }

#endif

}  // namespace nvllm::cuda
