#pragma once

// Writes an evidence folder of memory to disk, in our own layout.

#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "bench/records/evidence.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/perq.h"

namespace nvllm::bench {

inline void put_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  write_file_atomically(path, text);
}

inline void write_folder(const std::filesystem::path& root, const EvidenceFolder& folder) {
  put_file(root / "provenance.json", readable_json(folder.provenance));
  for (const LegEvidence& leg : folder.legs) {
    Json metadata = leg.profile_metadata;
    metadata["workload"] = {{"requests", leg.profiles.at(0).requests},
                            {"max_tokens", leg.profiles.at(0).decode_steps / leg.profiles.at(0).requests + 1}};
    put_file(root / leg.leg / "profile_metadata.json", readable_json(metadata));
    for (const KernelTable& table : leg.profiles) {
      put_file(root / leg.leg / fmt::format("rounds/{:02}/profile/kernels.csv", table.round),
               format_kernels(table, nullptr));
    }
    put_file(root / leg.leg / "rounds/01/gsm8k/perq.jsonl", format_perq(leg.questions));
  }
}

}  // namespace nvllm::bench
