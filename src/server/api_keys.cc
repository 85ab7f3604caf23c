#include "server/api_keys.h"

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"

namespace nvllm::server {
namespace {

constexpr std::int64_t kKeyFileBytesMax = 64 * 1024;

/// Looks at every byte whatever it finds.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

ApiKeys ApiKeys::load(const std::filesystem::path& path) {
  const std::string content = read_file(path, kKeyFileBytesMax);
  ApiKeys keys;
  std::string_view rest = content;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    if (!line.empty() && line.front() != '#') keys.add(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (!keys.required()) {
    throw Error(ErrorKind::kBadFile,
                path.string() + " holds no API key; one key per line is wanted");
  }
  return keys;
}

void ApiKeys::add(std::string_view key) { digests_.push_back(sha256_hex(key)); }

bool ApiKeys::allow(const net::HttpRequest& request) const {
  if (!required()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string* header = request.header("Authorization");
  if (header == nullptr || header->size() < kScheme.size() ||
      !net::equal_ignoring_case(std::string_view(*header).substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  const std::string digest = sha256_hex(std::string_view(*header).substr(kScheme.size()));
  bool known = false;
  for (const std::string& candidate : digests_) {
    known = equal_in_constant_time(candidate, digest) || known;
  }
  return known;
}

}  // namespace nvllm::server
