// libnvllm_profile.so: profiles the kernels of any CUDA program that loads it.
//   NVLLM_PROFILE_DIR=DIR LD_PRELOAD=libnvllm_profile.so PROGRAM ...
// CUDA loads what CUDA_INJECTION64_PATH names when it starts, and calls InitializeInjection; to be preloaded is to be named there.

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "base/hashing.h"
#include "base/json.h"
#include "base/log.h"
#include "bench/profile/profile_folder.h"
#include "inject/control_socket.h"
#include "inject/kernel_profile.h"

namespace nvllm::inject {

namespace {

/// What this process was started as: its arguments, apart by spaces.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  while (!text.empty() && text.back() == '\0') text.pop_back();
  for (char& c : text) c = c == '\0' ? ' ' : c;
  return text;
}

void end_session();

constexpr int kFlushMs = 100;

std::string error_reply(const std::string& what) { return Json{{"error", what}}.dump(); }

/// The process's one profile, its trace and how it is told.
class Session {
 public:
  static std::unique_ptr<Session> open(const std::filesystem::path& root, bool starts) {
    bench::require_profile_root(root);
    auto session = std::unique_ptr<Session>(new Session(root));
    std::string why_not;
    session->trace_ = cuda::DeviceTrace::open(session->profile_, why_not);
    if (session->trace_ == nullptr) {
      log(LogLevel::kWarning, "inject", "no profile: " + why_not);
      return nullptr;
    }
    // What is registered last runs first at the end of the process. CUDA takes itself down there too, and by the first kernel
    // it has said so.
    session->profile_.on_first([] { std::atexit(end_session); });
    session->trace_->flush_every(kFlushMs);
    if (starts) {
      session->profile_.start();
    } else {
      session->trace_->pause();
    }
    session->socket_ = std::make_unique<ControlSocket>(root / fmt::format("control-{}.sock", ::getpid()),
                                                       [of = session.get()](std::string_view command) { return of->answer(command); });
    return session;
  }

  /// Writes what there is, at the end of the process.
  void end() {
    if (ended_ || ::getpid() != pid_) return;  // a fork's child has none of its parent's threads
    ended_ = true;
    socket_.reset();
    trace_->flush();
    if (!profile_.runs() || profile_.kernels() == 0) return;
    const std::filesystem::path folder = profile_.stop(trace_->dropped());
    log(LogLevel::kInfo, "inject", fmt::format("profile written folder={}", folder.string()));
  }

 private:
  explicit Session(const std::filesystem::path& root) : profile_(root, command_line()) {}

  std::string answer(std::string_view command) {
    try {
      if (command == "start") return start();
      if (command == "stop") return stop();
      return error_reply("say start or stop");
    } catch (const std::exception& error) {
      return error_reply(error.what());
    }
  }
  std::string start() {
    trace_->flush();  // what came before is not this profile's
    if (!profile_.start()) return error_reply("a profile is running");
    trace_->resume();
    return R"({"started": true})";
  }
  std::string stop() {
    if (!profile_.runs()) return error_reply("no profile is running");
    trace_->flush();
    trace_->pause();
    const std::int64_t kernels = profile_.kernels();
    const std::filesystem::path folder = profile_.stop(trace_->dropped());
    return Json{{"folder", folder.string()}, {"kernel_calls", kernels}}.dump();
  }

  const pid_t pid_ = ::getpid();
  bool ended_ = false;
  KernelProfile profile_;
  std::unique_ptr<cuda::DeviceTrace> trace_;
  std::unique_ptr<ControlSocket> socket_;
};

/// Never destroyed: the profiling library's threads may outlive static objects.
Session* session = nullptr;

void end_session() { session->end(); }

void begin() {
  const char* const root = std::getenv("NVLLM_PROFILE_DIR");
  if (root == nullptr || session != nullptr) return;
  hash_until_the_end();  // of kernels that the profiling library hands over while the process ends
  const char* const start = std::getenv("NVLLM_PROFILE_START");
  try {
    session = Session::open(root, start == nullptr || std::string(start) != "wait").release();
    if (session != nullptr) std::atexit(end_session);
  } catch (const std::exception& error) {
    log(LogLevel::kWarning, "inject", std::string("no profile: ") + error.what());
  }
}

/// Preloaded, this runs in every process; only those that use CUDA come to InitializeInjection.
__attribute__((constructor)) void name_for_cuda() {
  Dl_info info{};
  if (std::getenv("NVLLM_PROFILE_DIR") == nullptr || ::dladdr(reinterpret_cast<const void*>(&name_for_cuda), &info) == 0) return;
  ::setenv("CUDA_INJECTION64_PATH", std::filesystem::absolute(info.dli_fname).c_str(), 0);
}

}  // namespace

}  // namespace nvllm::inject

extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  nvllm::inject::begin();
  return 1;
}
