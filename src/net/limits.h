#pragma once

#include <chrono>
#include <cstdint>

namespace nvllm::net {

/// Every bound of the HTTP room in one place. A stranger may choose sizes, counts and speeds; these
/// are what each may cost.
struct HttpLimits {
  std::int64_t head_bytes_max = 32 * 1024;  ///< request line and fields, with the empty line
  std::int64_t field_count_max = 100;
  std::int64_t body_bytes_max = 8 * 1024 * 1024;  ///< after removing chunk framing
  std::int64_t chunk_head_bytes_max = 4 * 1024;   ///< one chunk-size line or the trailer
  std::int64_t connection_count_max = 1024;
  /// Bytes of an answer that wait for a slow reader; a stream is paused above it.
  std::int64_t stream_buffer_bytes_max = 256 * 1024;
  /// Bytes a client may send ahead while its request is being answered.
  std::int64_t pipelined_bytes_max = 64 * 1024;
  /// The slowest body that is tolerated once `body_grace` has passed.
  std::int64_t body_bytes_per_second_min = 1024;

  std::chrono::milliseconds head_time{10'000};         ///< first byte of a head to its last
  std::chrono::milliseconds body_grace{10'000};        ///< before the minimum rate counts
  std::chrono::milliseconds idle_time{60'000};         ///< between requests of one connection
  std::chrono::milliseconds write_stall_time{30'000};  ///< without the client taking one byte
  std::chrono::milliseconds linger_time{2'000};        ///< for a refused client to read why
};

}  // namespace nvllm::net
