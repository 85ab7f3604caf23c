#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "net/message.h"

namespace nvllm::server {

/// The keys that open the API. Only digests are kept, and comparing takes the same time whatever is
/// wrong.
class ApiKeys {
 public:
  /// No key is wanted.
  ApiKeys() = default;
  /// Reads one key per line; empty lines and lines that begin with '#' are skipped.
  ///   Errors: Error(kNotFound) or Error(kBadFile) naming the file, also if it holds no key.
  static ApiKeys load(const std::filesystem::path& path);

  void add(std::string_view key);
  bool required() const { return !digests_.empty(); }
  /// Whether the request carries "Authorization: Bearer KEY" with a known key, or none is wanted.
  bool allow(const net::HttpRequest& request) const;

 private:
  std::vector<std::string> digests_;
};

/// What cached beginnings of prompts are shared by: the key a request came with, kept as its digest, and the client's own salt,
/// which can only divide further.
std::string cache_salt_of(const net::HttpRequest& request, std::string_view clients_salt);

}  // namespace nvllm::server
