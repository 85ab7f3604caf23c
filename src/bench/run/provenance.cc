#include "bench/run/provenance.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "base/compiler.h"
#include "base/hashing.h"
#include "bench/store/canonical_json.h"
#include "bench/store/file_digest.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// What stands behind "KEY : " or "KEY=" in a file of such lines; empty without.
std::string value_in(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_of(":=");
    const std::size_t value =
        begin == std::string::npos ? begin : line.find_first_not_of(" \t\"", begin + 1);
    if (value == std::string::npos) continue;
    return line.substr(value, line.find_last_not_of(" \t\"") - value + 1);
  }
  return "";
}

/// Machines differ in it; nobody can read a name out of it. The name goes in as well: containers of
/// one image share the id, and times of two machines taken for one are worse than those of one
/// taken for two.
std::string hashed_host_id() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  const std::string id =
      fmt::format("nvllm host {} {}", first_line("/etc/machine-id"), name.data());
  return sha256_hex(std::string_view(id)).substr(0, 16);
}

/// The output of a command, without the line end; empty if it failed.
std::string output_of(const char* command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command, "re"), ::pclose);
  if (!pipe) return "";
  std::string text;
  std::array<char, 256> piece{};
  while (std::fgets(piece.data(), piece.size(), pipe.get()) != nullptr) text += piece.data();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// The first GPU as its driver describes it; null without one.
Json gpu_facts() {
  const std::string described =
      output_of("nvidia-smi --id=0 --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null");
  std::vector<std::string> fields;
  std::istringstream parts(described);
  for (std::string field; std::getline(parts >> std::ws, field, ',');) fields.push_back(field);
  if (fields.size() != 5) return nullptr;
  return Json{{"name", fields[0]}, {"driver", fields[1]}, {"memory", fields[2]}, {"clock_max", fields[3]}, {"power_limit", fields[4]}};
}

}  // namespace

Json host_facts() {
  utsname system{};
  ::uname(&system);
  Json json;
  json["host"] = hashed_host_id();
  json["cpu"] =
      Json{{"name", value_in("/proc/cpuinfo", "model name")},
           {"threads", std::thread::hardware_concurrency()},
           {"governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")}};
  if (Json gpu = gpu_facts(); !gpu.is_null()) json["gpu"] = std::move(gpu);
  json["ram"] = value_in("/proc/meminfo", "MemTotal");
  json["os"] = value_in("/etc/os-release", "PRETTY_NAME");
  json["kernel"] = std::string(system.sysname) + " " + system.release + " " + system.machine;
  json["compiler"] = kCompiler;
  return json;
}

Json model_facts(const fs::path& model) {
  Json json;
  json["files"] = Json::object();
  if (!fs::is_directory(model)) {
    json["sha256"] = sha256_hex(std::string_view(model.string()));
    return json;
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model)) {
    // Questions are data, not model: their digest is that of the data set.
    if (entry.is_regular_file() && entry.path().extension() != ".jsonl")
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const FileDigest digest = digest_file(fs::canonical(file));
    json["files"][file.filename().string()] =
        Json{{"bytes", digest.bytes}, {"sha256", digest.sha256}};
  }
  json["sha256"] = canonical_hash(json["files"]);
  return json;
}

Json binary_facts(const fs::path& program) {
  const FileDigest digest = digest_file(program);
  return Json{{"name", program.filename().string()},
              {"bytes", digest.bytes},
              {"sha256", digest.sha256},
              {"compiler", kCompiler}};
}

Json commit_facts() {
  const std::string commit = output_of("git rev-parse HEAD 2>/dev/null");
  if (commit.size() != 40) return nullptr;
  return Json{
      {"commit", commit},
      {"dirty", !output_of("git status --porcelain --untracked-files=no 2>/dev/null").empty()}};
}

}  // namespace nvllm::bench
