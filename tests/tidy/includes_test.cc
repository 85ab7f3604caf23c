// Reads every include line of src/ and holds it against the table of ARCHITECTURE.md.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace nvllm::test {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"tensor", {"base"}},
    {"checkpoint", {"tensor", "base"}},
    {"tokenizer", {"base"}},
    {"net", {"base"}},
    {"kernels", {"tensor", "base"}},
    {"model", {"kernels", "checkpoint", "tensor", "base"}},
    {"engine", {"model", "kernels", "checkpoint", "tensor", "base"}},
    {"server", {"engine", "tokenizer", "net", "base"}},
    {"bench", {"server", "engine", "model", "kernels", "checkpoint", "tokenizer", "net", "tensor", "base"}},
    {"inject", {"bench", "kernels", "base"}},
    {"cli", {"bench", "server", "engine", "model", "kernels", "checkpoint", "tokenizer", "net", "tensor", "base"}},
};

/// Third-party libraries and the one room (or part of one) that each is a guest of.
const std::vector<std::pair<std::string, std::string>> kGuests = {
    {"hwy/", "kernels/cpu/"}, {"boost/", "net/"},    {"pcre2", "tokenizer/"}, {"utf8proc", "tokenizer/"},
    {"spdlog/", "base/"},     {"openssl/", "base/"}, {"nlohmann/", "base/"},  {"CLI/", "cli/"},
    {"zlib.h", "bench/"},    {"sqlite3.h", "bench/"}, {"toml++/", "bench/sweep/"},
    {"cupti", "kernels/cuda/"},
};

struct Include {
  std::string file;  ///< relative to src/
  std::string target;
  bool quoted = false;
};

std::vector<Include> all_includes() {
  const fs::path root = fs::path(NVLLM_SOURCE_DIR) / "src";
  const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension();
    if (extension != ".h" && extension != ".cc") continue;
    std::ifstream lines(entry.path());
    std::smatch match;
    for (std::string line; std::getline(lines, line);) {
      if (!std::regex_search(line, match, pattern)) continue;
      found.push_back({fs::relative(entry.path(), root).string(), match[2], match[1] == "\""});
    }
  }
  return found;
}

std::string room_of(const std::string& path) { return path.substr(0, path.find('/')); }

/// What is wrong with an include, or nothing.
std::string fault(const Include& include) {
  const std::string room = room_of(include.file);
  if (!kMayInclude.contains(room)) return "no such room in the table: " + room;
  const std::string target_room = room_of(include.target);
  if (include.quoted && kMayInclude.contains(target_room) && target_room != room &&
      !kMayInclude.at(room).contains(target_room)) {
    return room + " may not include " + target_room;
  }
  for (const auto& [library, home] : kGuests) {
    if (include.target.starts_with(library) && !include.file.starts_with(home)) {
      return library + " is a guest of " + home;
    }
  }
  return {};
}

TEST(Includes, GoDownOnlyAndLibrariesStayInTheirRoom) {
  const std::vector<Include> includes = all_includes();
  ASSERT_GT(includes.size(), 500u);
  for (const Include& include : includes) {
    EXPECT_EQ(fault(include), "") << include.file << " includes " << include.target;
  }
}

TEST(Includes, TheCheckSeesAnUpwardASidewaysAndAForeignOne) {
  EXPECT_NE(fault({"base/a.cc", "engine/engine.h", true}), "");
  EXPECT_NE(fault({"net/a.cc", "tokenizer/tokenizer.h", true}), "");
  EXPECT_NE(fault({"server/a.cc", "boost/asio.hpp", false}), "");
  EXPECT_EQ(fault({"server/a.cc", "engine/engine.h", true}), "");
}

TEST(Files, StayBelowEightHundredLines) {
  for (const char* folder : {"src", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(NVLLM_SOURCE_DIR) / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream lines(entry.path());
      std::int64_t count = 0;
      for (std::string line; std::getline(lines, line);) ++count;
      EXPECT_LE(count, 800) << entry.path();
    }
  }
}

}  // namespace
}  // namespace nvllm::test
