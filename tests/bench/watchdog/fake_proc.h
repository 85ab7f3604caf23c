#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_folder.h"

namespace nvllm::test {

/// A folder that looks like /proc as far as the watchdog reads it.
class FakeProc {
 public:
  FakeProc() {
    std::filesystem::create_directory(root_ / "pressure");
    set_memory(64'000'000, 32'000'000);
    set_pressure(0.5, 0.25);
    write("vmstat", "nr_free_pages 1\npswpin 10\npswpout 20\n");
  }
  const std::filesystem::path& path() const { return root_.path(); }
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    // As in the kernel's folder, a reader never sees half a file.
    std::ofstream(path.string() + ".new") << text;
    std::filesystem::rename(path.string() + ".new", path);
  }
  void set_memory(std::int64_t total_kib, std::int64_t available_kib) {
    write("meminfo", fmt::format("MemTotal:       {} kB\nMemFree:  1 kB\nMemAvailable:   {} kB\nBuffers: 5 kB\n",
                                 total_kib, available_kib));
  }
  void set_pressure(double some, double full) {
    write("pressure/memory", fmt::format("some avg10={:.2f} avg60=9.00 avg300=9.00 total=1\n"
                                         "full avg10={:.2f} avg60=9.00 avg300=9.00 total=1\n",
                                         some, full));
  }
  void remove(const std::string& name) { std::filesystem::remove_all(root_ / name); }

 private:
  nvllm::testing::TempFolder root_;
};

}  // namespace nvllm::test
