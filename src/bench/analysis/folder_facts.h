#pragma once

#include "bench/analysis/aggregate.h"
#include "bench/records/evidence.h"
#include "bench/rules/facts.h"
#include "bench/rules/hypothesis.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What a hypothesis may ask of the candidate folder. With one round the noise is the sweep's
/// borrowed one, and whatever follows is PROVISIONAL.
class FolderFacts : public Facts {
 public:
  FolderFacts(const Sweep& sweep, const EvidenceFolder& folder, const std::vector<LegAggregate>& legs)
      : sweep_(sweep), folder_(folder), legs_(legs) {}

  std::optional<Fact> find(const std::string& name, const std::vector<std::string>& arguments) const override;
  std::string vocabulary() const override;

 private:
  Fact from_rounds(const std::string& leg, std::vector<double> values, const char* symbol,
                   const std::string& missing) const;
  /// Mean time of a kernel's calls in one boot; nothing where it has none.
  using CallTime = std::optional<double> (*)(const KernelTable& table, const std::string& pattern);
  Fact call_time(const std::string& leg, const std::string& kernel, const char* symbol, CallTime time_us) const;
  Fact token_time(const std::string& leg, const std::string& metric) const;
  Fact count_answers(const std::string& leg, const std::string& what) const;
  Fact count_other_tokens(const std::string& leg, const std::string& other) const;

  const Sweep& sweep_;
  const EvidenceFolder& folder_;
  const std::vector<LegAggregate>& legs_;
};

/// The hypotheses of a sweep, decided as one family.
struct TestedFamily {
  std::vector<HypothesisResult> hypotheses;   ///< in the sweep's order
  std::vector<std::optional<double>> p_holm;  ///< adjusted for the family, likewise
};

/// Decides a sweep's hypotheses by what a folder holds.
///   Shapes: `legs` as `aggregate` gives them, the folder being the candidate.
TestedFamily test_hypotheses(const Sweep& sweep, const EvidenceFolder& folder, const std::vector<LegAggregate>& legs);

/// Refuses hypotheses that ask for what no folder can answer, before any is read.
///   Errors: Error(kUsage) "FILE:LINE:COLUMN: ..." for unknown functions and legs, and unlike units.
void check_hypotheses(const Sweep& sweep);

}  // namespace nvllm::bench
