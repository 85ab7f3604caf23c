#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/message.h"

namespace nvllm::net {

/// Which Host and Origin headers are served. Browsers send both truthfully, so this keeps web pages
/// from reaching a local server through a name they control.
class HostRules {
 public:
  HostRules(std::string_view bound_address, std::vector<std::string> allowed);

  /// "" if the request may be served, otherwise why not.
  std::string fault_of(const HttpRequest& request) const;

 private:
  bool accepts(std::string_view authority) const;

  std::vector<std::string> names_;
  bool any_host_;
};

}  // namespace nvllm::net
