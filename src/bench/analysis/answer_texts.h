#pragma once

#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// answers.json: for every question of every leg what was asked, and how both folders answered, in
/// words. Long texts keep their end, where the answer is. Where all of it would be too much for a
/// report, the texts of questions that changed come first and "left_out" counts those without.
///   Cost:   reads outputs.jsonl of both folders' first rounds.
///   Errors: Error(kBadFile) naming the line.
Json answer_texts_json(const Sweep& sweep, const EvidenceFolder& baseline,
                       const EvidenceFolder& candidate);

}  // namespace nvllm::bench
