#pragma once

#include "bench/analysis/aggregate.h"
#include "bench/records/evidence.h"
#include "bench/rules/facts.h"
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
  Fact mean_time(const std::string& leg, const std::string& kernel, const char* symbol) const;
  Fact token_time(const std::string& leg, const std::string& metric) const;
  Fact count_answers(const std::string& leg, const std::string& what) const;

  const Sweep& sweep_;
  const EvidenceFolder& folder_;
  const std::vector<LegAggregate>& legs_;
};

/// Refuses hypotheses that ask for what no folder can answer, before any is read.
///   Errors: Error(kUsage) "FILE:LINE:COLUMN: ..." for unknown functions and legs, and unlike units.
void check_hypotheses(const Sweep& sweep);

}  // namespace nvllm::bench
