#pragma once

// The verdict and the gates for programs that run tests.

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// junit.xml: one case for each gate and one for the verdict. A failed required gate is a failure;
/// an undecided one, or a failed one that is not required, is skipped with its reason: nothing that
/// was not shown counts as passed.
std::string junit_xml(const Json& analysis);

/// The same as lines that GitHub's runner shows beside a change: ::error for a failed required
/// gate,
/// ::warning for one that is undecided or not required, ::notice for the rest.
std::string github_annotations(const Json& analysis);

}  // namespace nvllm::bench
