#pragma once

// What tells one kind of server from another, as a table: the run asks the table and nowhere the
// kind's name.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/load/timed_post.h"

namespace nvllm::bench {

/// Where a server listens.
enum class AddressFrom {
  kPrinted,      ///< it takes port 0 and prints its address
  kPicked,       ///< it is told a free port, or has the fixed one of the file
  kRunsAlready,  ///< it is neither started nor stopped here
};

/// How calls and times of kernels are had.
enum class KernelMethod {
  kInProcess,  ///< POST /start_profile and /stop_profile; the answer names a folder of tables
  kTorch,      ///< the same pages; a torch trace appears in a folder
  kInject,     ///< a library loaded into its processes, which listens at a socket in each
  kNone,       ///< not at all
};

/// "in-process", "torch", "inject", "none".
std::string_view to_string(KernelMethod method);

/// One kind of server.
struct ServerKind {
  std::string_view name;
  AddressFrom address = AddressFrom::kPicked;
  std::vector<std::string> command;  ///< where the file has none; empty: it has to
  std::string_view ready_page;
  KernelMethod kernels = KernelMethod::kNone;
  std::vector<std::string_view> identity_pages;  ///< whose answers say what the server is
  /// Whether the model's geometry and the arguments tell its calls per decode step beforehand, it
  /// ends with status 0 and repeats a greedy answer exactly: what we know of our own server alone.
  bool ours = false;
};

/// The kind of that name.
///   Errors: Error(kUsage) listing the kinds there are.
const ServerKind& server_kind(std::string_view name);

/// What the identity pages answer, by page: the version and the names of models as they are, of
/// anything else the digest. A page that does not answer is null.
Json observed_identity(const ServerKind& kind, const PostTarget& target);

}  // namespace nvllm::bench
