#pragma once

// Figures as inline SVG. Colours differ in lightness too, and every mark has a title, so that a
// figure reads in grey and to those who do not see it.

#include <string>

#include "base/json.h"

namespace nvllm::bench {

/// Change of every material kernel with its interval, over the band of the margin.
std::string forest_figure(const Json& analysis);

/// Time per token of each leg: named kernels, other kernels, the rest of the wall time.
std::string token_figure(const Json& analysis);

/// Every question of every leg, before and now.
std::string question_figure(const Json& analysis);

/// What a number of questions, and a number of boots, can show.
std::string power_figure(const Json& analysis);

}  // namespace nvllm::bench
