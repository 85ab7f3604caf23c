#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/error.h"
#include "bench/rules/facts.h"

namespace nvllm::bench {

/// Facts by the text of their call: "mean_us(all-beta,Beta*)".
class TableFacts : public Facts {
 public:
  std::map<std::string, Fact> table;

  std::optional<Fact> find(const std::string& name,
                           const std::vector<std::string>& arguments) const override {
    std::string call = name + "(";
    for (std::size_t i = 0; i < arguments.size(); ++i) call += (i > 0 ? "," : "") + arguments[i];
    const auto found = table.find(call + ")");
    if (found == table.end()) return std::nullopt;
    return found->second;
  }

  std::string vocabulary() const override { return "mean_us(leg,kernel)"; }
};

/// A fact with a standard error that is taken as known.
inline Fact measured(double value, const char* symbol, double standard_error) {
  Fact fact;
  fact.estimate = {.value = value, .unit = unit(symbol)};
  fact.standard_error = standard_error;
  return fact;
}

/// A fact of one boot without any noise floor.
inline Fact bare(double value, const char* symbol) {
  Fact fact;
  fact.estimate = {.value = value, .unit = unit(symbol)};
  return fact;
}

/// The message of the Error(kUsage) that `act` throws; empty, and a failure, where it throws none.
template <class Act>
std::string usage_error(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace nvllm::bench
