#pragma once

#include <string>
#include <string_view>

namespace nvllm::bench {

/// The text as a gzip file without a time stamp: equal texts are equal files.
///   Errors: Error(kInternal) if zlib does not start.
std::string gzip_text(std::string_view text);

}  // namespace nvllm::bench
