#pragma once

// Inside net only: the life of one accepted connection.

#include <atomic>
#include <memory>
#include <mutex>
#include <set>

#include "net/exchange.h"
#include "net/host_rules.h"
#include "net/http_server.h"

namespace boost::asio {
class io_context;
}

namespace nvllm::net {

class Connection;

/// What all connections of a server share.
struct ConnectionShared {
  /// Owned here so that an exchange that outlives the server never posts into a dead context.
  std::shared_ptr<boost::asio::io_context> io;
  HttpLimits limits;
  Handler handler;
  ErrorPage error_page;
  HostRules host_rules;
  std::atomic<std::int64_t> connection_count{0};
  std::atomic<std::int64_t> exchange_count{0};
  std::atomic<bool> stopped{false};

  std::mutex mutex;
  std::set<Connection*> open;  ///< guarded by mutex
};

/// Serves an accepted, connected socket until it ends. Takes ownership of the descriptor.
void serve_connection(int descriptor, std::shared_ptr<ConnectionShared> shared);

/// Asks every open connection to close.
void close_connections(ConnectionShared& shared);

}  // namespace nvllm::net
