// How fast a torch trace is read, and in how much memory:  bench_trace_import [MEGABYTES]
// Writes a synthetic trace (plain and gzip) to the temporary folder, with the mix of events that a
// served model leaves: half of the bytes are device work, the rest operators and runtime calls.

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hashing.h"
#include "bench/import/byte_source.h"
#include "bench/import/torch_trace.h"

namespace {

namespace fs = std::filesystem;
using nvllm::bench::TraceImport;

/// Names as long as real ones: many short, some templates, one of 1,700 characters.
std::vector<std::string> kernel_names() {
  std::vector<std::string> names = {"memcpy32_post", "_causal_conv1d_update_kernel", "triton_poi_fused_5"};
  for (int i = 0; i < 60; ++i) {
    names.push_back(
        fmt::format("void at::native::vectorized_elementwise_kernel<{}, at::native::Functor{}<float>, "
                    "std::array<char*, 2ul> >(int, at::native::Functor{}<float>, std::array<char*, 2ul>)",
                    4 << (i % 3), i, i));
  }
  names.push_back("_ZN7cutlass13device_kernelI" + std::string(1700, 'E'));
  return names;
}

/// Digits without a pattern, as times and ids have them, so that unpacking is not made easy.
std::uint64_t random_below(std::uint64_t bound, std::uint64_t counter) {
  return nvllm::random_bits(1, counter) % bound;
}

std::string device_event(const std::string& name, std::uint64_t i) {
  return fmt::format(
      "  {{\n    \"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"{}\", \"pid\": 0, \"tid\": 7,\n    \"ts\": {}.{:03}, "
      "\"dur\": "
      "{}.{:03},\n    \"args\": {{\n      \"External id\": {}, \"queued\": 0, \"device\": 0, \"context\": 1,\n      "
      "\"stream\": 7, "
      "\"correlation\": {},\n      \"registers per thread\": 32,\n      \"shared memory\": 0,\n      \"blocks per "
      "SM\": "
      "1.523148,\n      \"warps per SM\": 8.125000,\n      \"grid\": [{}, 1, 1],\n      \"block\": [128, 1, 1],\n      "
      "\"est. achieved occupancy %\": 0,\n      \"graph id\": 3, \"graph node id\": {}\n    }}\n  }},\n",
      name, 1000 + i * 10, random_below(1000, i), random_below(400, ~i), random_below(1000, i * 7),
      random_below(1'000'000'000, i * 5), i * 3, 4 << (i % 2), random_below(800, i * 3));
}

std::string host_event(std::uint64_t i) {
  if (i % 2 == 0) {
    return fmt::format(
        "  {{\n    \"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaMemcpyAsync\", \"pid\": 41, \"tid\": "
        "41,\n    \"ts\": {}.{:03}, \"dur\": 3.{:03},\n    \"args\": {{\n      \"External id\": {}, \"cbid\": 41, "
        "\"correlation\": {}\n    }}\n  }},\n",
        i * 10, random_below(1000, i * 11), random_below(1000, i * 13), random_below(1'000'000'000, i), i);
  }
  return fmt::format(
      "  {{\n    \"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"aten::add_\", \"pid\": 41, \"tid\": 41,\n    \"ts\": "
      "{}.{:03}, \"dur\": 7.{:03},\n    \"args\": {{\n      \"External id\": {}, \"Record function id\": 0, \"Concrete "
      "Inputs\": [\"\", \"\", \"1\"], \"Input type\": [\"c10::BFloat16\", \"c10::BFloat16\", \"Scalar\"], \"Input "
      "Strides\": [[5120, 1], [5120, 1], []], \"Input Dims\": [[1, 5120], [1, 5120], []], \"Ev Idx\": {}\n    "
      "}}\n  }},\n",
      i * 10, random_below(1000, i * 17), random_below(1000, i * 19), random_below(1'000'000'000, i), i);
}

/// Writes both forms. Returns the bytes of JSON.
std::int64_t write_traces(const fs::path& plain, const fs::path& packed, std::int64_t bytes_wanted) {
  std::FILE* const file = std::fopen(plain.c_str(), "wb");
  const gzFile zipped = ::gzopen(packed.c_str(), "wb6");
  if (file == nullptr || zipped == nullptr) std::abort();
  std::int64_t bytes = 0;
  const auto put = [&](const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), file);
    ::gzwrite(zipped, text.data(), static_cast<unsigned>(text.size()));
    bytes += static_cast<std::int64_t>(text.size());
  };
  const std::vector<std::string> names = kernel_names();
  put("{\n  \"schemaVersion\": 1,\n  \"deviceProperties\": [],\n  \"traceEvents\": [\n");
  for (std::uint64_t i = 0; bytes < bytes_wanted; ++i) {
    put(device_event(names[i % names.size()], i));
    put(host_event(i));
  }
  put("  {\"name\": \"process_name\", \"ph\": \"M\", \"ts\": 0, \"pid\": 0}\n  ],\n  \"traceName\": "
      "\"synthetic\"\n}\n");
  std::fclose(file);
  ::gzclose(zipped);
  return bytes;
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void report(const char* what, double seconds, std::int64_t bytes, const char* more) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:<18}{:>8.3f} s CPU {:>8.1f} MB/s of JSON, peak memory {:.1f} MiB{}\n", what, seconds,
             static_cast<double>(bytes) / seconds / 1e6, static_cast<double>(usage.ru_maxrss) / 1024, more);
  std::fflush(stdout);
}

/// In a child, so that its peak memory is its own.
template <class Work>
void in_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) std::exit(1);
}

void read_and_report(const char* what, const fs::path& path) {
  in_child([&] {
    const double begin = cpu_seconds();
    const TraceImport seen = nvllm::bench::import_torch_trace(path);
    const double seconds = cpu_seconds() - begin;
    const std::string more = fmt::format(", {} events, {} kernels of {} kinds, {}", seen.events, seen.kernels,
                                         seen.table.rows.size(), to_string(seen.end));
    report(what, seconds, seen.json_bytes, more.c_str());
  });
}

void unpack_and_report(const fs::path& path) {
  in_child([&] {
    const double begin = cpu_seconds();
    nvllm::bench::ByteSource source(nvllm::bench::read_from_file(path), path.string());
    std::vector<char> buffer(512 << 10);
    while (source.read(buffer.data(), buffer.size()) > 0) {
    }
    report("inflate alone", cpu_seconds() - begin, source.bytes(), "");
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t megabytes = argc > 1 ? std::atoll(argv[1]) : 200;
  const fs::path plain = fs::temp_directory_path() / fmt::format("nvllm_trace_{}.json", ::getpid());
  const fs::path packed = plain.string() + ".gz";
  const std::int64_t bytes = write_traces(plain, packed, megabytes * 1'000'000);
  fmt::print("{:.1f} MB of JSON, {:.1f} MB packed\n", static_cast<double>(bytes) / 1e6,
             static_cast<double>(fs::file_size(packed)) / 1e6);
  std::fflush(stdout);
  for (int round = 0; round < 3; ++round) {
    unpack_and_report(packed);
    read_and_report("import .json.gz", packed);
    read_and_report("import .json", plain);
  }
  fs::remove(plain);
  fs::remove(packed);
}
