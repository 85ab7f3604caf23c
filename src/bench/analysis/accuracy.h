#pragma once

// Right answers, question by question. A timeout is neither right nor wrong; totals are shown and
// never compared.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/stats/paired_binary.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// One question whose status changed.
struct Transition {
  std::int64_t question = 0;  ///< from 1
  QuestionStatus from = QuestionStatus::kNoAnswer, to = QuestionStatus::kNoAnswer;
};

/// One leg of one folder.
struct AnswerSide {
  AnswerCounts counts;
  std::vector<std::int64_t> timed_out;  ///< questions
  double completion_tokens_mean = 0;    ///< of finished answers that state them; 0: none does
};

/// One leg of both folders.
struct LegAccuracy {
  std::string leg;
  AnswerSide baseline, candidate;
  PairedCounts paired;  ///< over all shared questions, not right counted as not right
  std::vector<std::int64_t> lost, gained, timed_out_both;
  std::vector<Transition> transitions;  ///< in question order
  std::int64_t both_finished = 0;
  std::int64_t identical = 0;      ///< answers that are the same by `identical_by`
  std::string identical_by;        ///< "token ids", "output hash", "end of the text" or empty
  std::vector<std::string> state;  ///< by question: "baseline>candidate" statuses, for the matrix
  std::string undecided_because;   ///< not empty: accuracy is INCONCLUSIVE whatever the counts
};

/// The first round's answers by question, the last attempt of each. A question put again in another boot is no
/// further question: more rounds would only make every interval look narrower than it is.
using ByQuestion = std::map<std::int64_t, const QuestionResult*>;
ByQuestion first_round(const LegEvidence& leg);

/// The finest thing that both answers have ("token ids", "output hash", "end of the text" or nothing), and
/// whether it is the same.
std::pair<std::string, bool> identity(const QuestionResult& a, const QuestionResult& b);

/// Pairs the questions of every leg that has answers in both folders.
std::vector<LegAccuracy> compare_accuracy(const Sweep& sweep, const EvidenceFolder& baseline,
                                          const EvidenceFolder& candidate);

/// With p-values, intervals and what so many questions could have shown.
///   Units: `margin` as a share.
Json to_json(const std::vector<LegAccuracy>& legs, double margin);

}  // namespace nvllm::bench
