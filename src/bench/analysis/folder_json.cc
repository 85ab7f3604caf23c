#include "bench/analysis/folder_json.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "bench/store/file_digest.h"
#include "bench/store/manifest.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

Json files_json(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  Json files = Json::array();
  for (const fs::path& path : paths) {
    const FileDigest digest = digest_file(path);
    files.push_back(
        {{"name", fs::relative(path, folder).generic_string()}, {"bytes", digest.bytes}, {"sha256", digest.sha256}});
  }
  return files;
}

}  // namespace

Json folder_json(const EvidenceFolder& folder) {
  fs::path path = fs::absolute(folder.path).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  Json json;
  json["name"] = path.filename().string();
  json["identity"] = has_manifest(folder.path) ? Json(folder_identity(folder.path)) : Json(nullptr);
  json["provenance"] = folder.provenance;
  json["notes"] = folder.notes;
  json["legs"] = Json::array();
  for (const LegEvidence& leg : folder.legs) {
    Json one;
    one["leg"] = leg.leg;
    one["rounds"] = leg.profiles.size();
    if (!leg.profiles.empty()) {
      one["requests"] = leg.profiles[0].requests;
      one["decode_steps"] = leg.profiles[0].decode_steps;
    }
    one["questions"] = leg.questions.size();
    one["profile"] = leg.profile_metadata;
    one["gsm8k"] = leg.eval_metadata;
    json["legs"].push_back(std::move(one));
  }
  json["files"] = files_json(folder.path);
  return json;
}

}  // namespace nvllm::bench
