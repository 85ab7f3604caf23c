#include "net/host_rules.h"

#include <algorithm>

namespace nvllm::net {
namespace {

/// "name:80" and "[::1]:80" without the port.
std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool is_loopback(std::string_view address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

}  // namespace

HostRules::HostRules(std::string_view bound_address, std::vector<std::string> allowed)
    : names_(std::move(allowed)), any_host_(!is_loopback(bound_address) && names_.empty()) {
  names_.insert(names_.end(), {"localhost", "127.0.0.1", "::1", std::string(bound_address)});
}

bool HostRules::accepts(std::string_view authority) const {
  const std::string_view name = without_port(authority);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& known) { return equal_ignoring_case(known, name); });
}

std::string HostRules::fault_of(const HttpRequest& request) const {
  const std::string* host = request.header("Host");
  if (host != nullptr && !any_host_ && !accepts(*host)) {
    return "the Host header names a host that is not served here (see --allowed-host)";
  }
  const std::string* origin = request.header("Origin");
  if (origin == nullptr) return "";
  const std::size_t scheme = origin->find("://");
  if (scheme == std::string::npos) return "the Origin header is not that of a page served here";
  const std::string_view authority = std::string_view(*origin).substr(scheme + 3);
  const bool same_host = host != nullptr && without_port(*host) == without_port(authority);
  if (any_host_ ? same_host : accepts(authority)) return "";
  return "requests from pages of other origins are refused";
}

}  // namespace nvllm::net
