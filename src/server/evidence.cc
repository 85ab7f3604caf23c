// GET /evidence and GET /evidence/report?folder=NAME: the reports below --evidence-dir.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "server/api_error.h"
#include "server/endpoints.h"

namespace nvllm::server {
namespace {

constexpr const char* kReport = "report.html";
constexpr std::int64_t kReportBytesMax = 16 << 20;
constexpr std::size_t kFoldersMax = 1000;

/// Names of the folders that hold a report, in order. A folder that cannot be read holds none.
std::vector<std::string> folders(const std::filesystem::path& root) {
  std::vector<std::string> names;
  if (root.empty()) return names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(root, failed)) {
    if (std::filesystem::is_regular_file(entry.path() / kReport, failed)) names.push_back(entry.path().filename());
    if (names.size() == kFoldersMax) break;
  }
  std::ranges::sort(names);
  return names;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The value of `folder=` in a query, percent-decoded; "" if it is malformed.
std::string wanted_folder(std::string_view target) {
  constexpr std::string_view kName = "?folder=";
  const std::size_t at = target.find(kName);
  if (at == std::string_view::npos) return "";
  const std::string_view coded = target.substr(at + kName.size());
  std::string out;
  for (std::size_t i = 0; i < coded.size(); ++i) {
    if (coded[i] != '%') {
      out += coded[i];
      continue;
    }
    const int high = i + 2 < coded.size() ? hex_digit(coded[i + 1]) : -1;
    const int low = i + 2 < coded.size() ? hex_digit(coded[i + 2]) : -1;
    if (high < 0 || low < 0) return "";
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

void serve_evidence(ServerContext& context, const ExchangePtr& exchange) {
  Json list;
  list["folders"] = folders(context.identity().evidence_dir);
  exchange->respond({.body = dump_json(list)});
}

void serve_evidence_report(ServerContext& context, const ExchangePtr& exchange) {
  // Only a name from the list is opened, so nothing that a caller writes becomes part of a path.
  const std::filesystem::path& root = context.identity().evidence_dir;
  const std::vector<std::string> names = folders(root);
  const auto found = std::ranges::find(names, wanted_folder(exchange->request().target));
  if (found == names.end()) throw ApiError({.status = 404, .message = "no evidence folder of that name; GET /evidence lists them"});
  exchange->respond({.content_type = "text/html; charset=utf-8", .body = read_file(root / *found / kReport, kReportBytesMax)});
}

}  // namespace nvllm::server
