#include "bench/store/seal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "bench/store/canonical_json.h"
#include "bench/store/file_digest.h"
#include "bench/store/git_ignore.h"
#include "bench/store/relative_path.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSealBytesMax = 4 << 20;

Json to_json(const Seal& seal) {
  Json json;
  json["schema"] = "nvllm.sealed/v1";
  json["unit"] = unit_name(seal.unit);
  json["unit_hash"] = seal.unit_hash;
  json["state"] = seal.state;
  json["attempt"] = seal.attempt;
  json["exit"] = seal.exit;
  json["files"] = Json::array();
  for (const SealedFile& file : seal.files) {
    json["files"].push_back(
        Json{{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}, {"in_git", file.in_git}});
  }
  return json;
}

SealCheck invalid(const Seal& seal, std::string reason) {
  return {SealCheck::Outcome::kInvalid, std::move(reason), seal.attempt, seal.state};
}

/// What is wrong with one file, or nothing.
std::string fault(const fs::path& unit_folder, const SealedFile& file, RawFiles raw) {
  const fs::path path = unit_folder / file.name;
  if (!fs::exists(path)) {
    return !file.in_git && raw == RawFiles::kMayBeAbsent ? "" : fmt::format("{} is missing", file.name);
  }
  const FileDigest digest = digest_file(path);
  if (digest.bytes == file.bytes && digest.sha256 == file.sha256) return "";
  return fmt::format("{} has {} bytes with sha256 {}, sealed were {} with {}", file.name, digest.bytes, digest.sha256,
                     file.bytes, file.sha256);
}

}  // namespace

void write_seal(const fs::path& unit_folder, Seal seal, std::span<const std::string> names) {
  seal.files.clear();
  for (const std::string& name : names) {
    const FileDigest digest = digest_file(unit_folder / name);
    seal.files.push_back({name, digest.bytes, digest.sha256, !is_git_ignored(name)});
  }
  std::sort(seal.files.begin(), seal.files.end(),
            [](const SealedFile& left, const SealedFile& right) { return left.name < right.name; });
  write_file_atomically(unit_folder / kSealName, readable_json(to_json(seal)));
}

Seal read_seal(const fs::path& unit_folder) {
  const fs::path path = unit_folder / kSealName;
  const Json json = parse_json(read_file(path, kSealBytesMax), path.string());
  Seal seal;
  try {
    seal.unit = parse_unit_name(json.at("unit").get<std::string>());
    seal.unit_hash = json.at("unit_hash").get<std::string>();
    seal.state = json.at("state").get<std::string>();
    seal.attempt = json.at("attempt").get<std::int64_t>();
    seal.exit = json.at("exit").get<std::int64_t>();
    for (const Json& file : json.at("files")) {
      seal.files.push_back({file.at("name").get<std::string>(), file.at("bytes").get<std::int64_t>(),
                            file.at("sha256").get<std::string>(), file.at("in_git").get<bool>()});
      if (!stays_below(seal.files.back().name)) {
        throw Error(ErrorKind::kBadFile, fmt::format("{}: field 'files': '{}' lies outside of the unit's folder",
                                                     path.string(), seal.files.back().name));
      }
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not a seal: {}", path.string(), error.what()));
  }
  return seal;
}

SealCheck check_seal(const fs::path& unit_folder, const Unit& unit, std::string_view unit_hash, RawFiles raw) {
  if (!fs::exists(unit_folder / kSealName)) return {};
  Seal seal;
  try {
    seal = read_seal(unit_folder);
  } catch (const Error& error) {
    return invalid(seal, error.what());
  }
  if (seal.unit != unit) return invalid(seal, fmt::format("sealed for {}", unit_name(seal.unit)));
  if (seal.state != "SEALED") return invalid(seal, fmt::format("ended as {}", seal.state));
  if (seal.unit_hash != unit_hash) {
    return invalid(seal, fmt::format("sealed with unit_hash {}, today's is {}: another configuration, binary, model "
                                     "or driver",
                                     seal.unit_hash, unit_hash));
  }
  for (const SealedFile& file : seal.files) {
    if (std::string why = fault(unit_folder, file, raw); !why.empty()) return invalid(seal, std::move(why));
  }
  return {SealCheck::Outcome::kValid, "", seal.attempt, seal.state};
}

}  // namespace nvllm::bench
