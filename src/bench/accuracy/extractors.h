#pragma once

// What number an answer gives. Four readings of one text: where they differ, the text is not clear,
// and a score that hangs on the reading is no property of the model.

#include <optional>
#include <string>
#include <string_view>

#include "bench/records/question.h"

namespace nvllm::bench {

/// The readings.
enum class Extractor {
  kStrict,       ///< the number after the last "####"
  kFirstMarker,  ///< the number after the first "####": the answer of a text that runs on
  kFlexible,     ///< the last number of the text
  kLegacy,       ///< the published script's rule, with its faults
};

/// "strict", "first_marker", "flexible", "legacy".
std::string_view to_string(Extractor extractor);

/// The extractor of that name, or nothing.
std::optional<Extractor> parse_extractor(std::string_view text);

/// The number that the reading finds, in normal form; empty: none. Normal form has no thousands
/// separators, no currency sign, no leading zeros, and no zeros at the end of a fraction.
/// kLegacy is the published rule as it is: the first marker or else the last number with at most one
/// separator, its fraction cut off, so that "1,450,000" reads as "0".
std::string extract_answer(Extractor extractor, std::string_view text);

/// All four readings.
ExtractedAnswers extract_answers(std::string_view text);

/// One of them.
const std::string& answer_of(const ExtractedAnswers& answers, Extractor extractor);

/// The right answer as that reading compares it: of the worked solution's "#### N" line, or else its
/// last number.
std::string gold_answer(std::string_view solution, Extractor extractor);

/// Whether two readings found different numbers. One that found none disagrees with nobody.
bool disagree(const ExtractedAnswers& answers);

}  // namespace nvllm::bench
