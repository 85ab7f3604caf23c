#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/rules/quantity.h"
#include "bench/rules/truth.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

/// A measured number with its doubt, or the reason why there is none.
struct Fact {
  Quantity estimate;
  /// Of the estimate, in its unit. Absent: nothing is known of the noise, and what is concluded
  /// from the estimate alone is PROVISIONAL. Zero: an exact count.
  std::optional<double> standard_error;
  double df = kInfiniteDf;
  /// One value per round where there are any, in the unit of the estimate. Facts of one comparison
  /// that all have them, equally many, are compared round by round: what the rounds share cancels.
  std::vector<double> rounds;
  Grade grade = Grade::kConfirmed;
  std::string unknown_because;  ///< not empty: there is no value
};

/// A fact known by an interval: standard error from its half width, normal quantile.
Fact fact_from_interval(const Quantity& estimate, Interval interval, double level, Grade grade);

/// A fact that could not be established.
Fact unknown_fact(const QuantityUnit& unit, std::string reason);

/// A fact from one value per round (two or more): mean and standard error.
Fact fact_from_rounds(std::vector<double> rounds, const QuantityUnit& unit, Grade grade);

/// Where function calls get their values. What a function means is not the language's business.
class Facts {
 public:
  virtual ~Facts() = default;

  /// The value of name(arguments), or nothing where there is no such function or it takes other
  /// arguments. A measurement that is missing is an unknown_fact, not nothing.
  virtual std::optional<Fact> find(const std::string& name,
                                   const std::vector<std::string>& arguments) const = 0;

  /// The functions there are, for messages: "mean_us(leg,kernel), ms_per_token(leg)".
  virtual std::string vocabulary() const = 0;
};

}  // namespace nvllm::bench
