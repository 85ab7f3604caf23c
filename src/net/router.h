#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/exchange.h"

namespace nvllm::net {

/// One method on one exact path.
struct Route {
  std::string method;
  std::string path;
  Handler handler;
};

/// A table of routes. Paths are compared as they come, byte for byte, without decoding.
class Router {
 public:
  void add(std::string method, std::string path, Handler handler);

  const std::vector<Route>& routes() const { return routes_; }
  /// The route for a request, or nullptr. HEAD is served by the route of GET.
  const Route* find(std::string_view method, std::string_view path) const;
  /// "GET, POST": what a path answers to; "" for an unknown path.
  std::string methods_of(std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace nvllm::net
