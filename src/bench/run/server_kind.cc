#include "bench/run/server_kind.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/hashing.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

const std::array<ServerKind, 5>& kinds() {
  static const std::array<ServerKind, 5> kKinds = {{
      {.name = "nvllm",
       .address = AddressFrom::kPrinted,
       // What a question costs must not depend on which one was asked before it.
       .command = {"nvllm", "serve", "--port", "${port}", "--model", "${model.path}", "--log-level",
                   "warning", "--no-enable-prefix-caching"},
       .ready_page = "/health",
       .kernels = KernelMethod::kInProcess,
       .identity_pages = {"/version", "/v1/models"},
       .ours = true},
      {.name = "vllm",
       .command = {},
       .ready_page = "/health",
       .kernels = KernelMethod::kTorch,
       .identity_pages = {"/version", "/v1/models"}},
      {.name = "sglang",
       .command = {},
       .ready_page = "/health",
       .kernels = KernelMethod::kTorch,
       .identity_pages = {"/get_model_info", "/v1/models"}},
      {.name = "llama.cpp",
       .command = {},
       .ready_page = "/health",
       .identity_pages = {"/props", "/v1/models"}},
      {.name = "external",
       .address = AddressFrom::kRunsAlready,
       .command = {},
       .ready_page = "/v1/models",
       .identity_pages = {"/version", "/v1/models"}},
  }};
  return kKinds;
}

/// The names in {"data": [{"id": ...}]}. The rest of that page holds times of creation.
Json model_names(const Json& page) {
  Json names = Json::array();
  if (!page.contains("data") || !page.at("data").is_array()) return names;
  for (const Json& one : page.at("data")) {
    if (one.is_object() && one.contains("id")) names.push_back(one.at("id"));
  }
  return names;
}

Json fact_of(std::string_view page, const std::string& body) {
  try {
    const Json json = parse_json(body, std::string(page));
    if (page == "/v1/models") return model_names(json);
    if (page == "/version" && json.contains("version")) return json.at("version");
  } catch (const Error&) {  // a page of words is as good as one of JSON
  }
  return sha256_hex(std::string_view(body));
}

}  // namespace

std::string_view to_string(KernelMethod method) {
  constexpr std::array<std::string_view, 4> kNames = {"in-process", "torch", "inject", "none"};
  return kNames[static_cast<std::size_t>(method)];
}

const ServerKind& server_kind(std::string_view name) {
  std::string known;
  for (const ServerKind& kind : kinds()) {
    if (kind.name == name) return kind;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", kind.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("no kind of server '{}', wanted one of: {}", name, known));
}

Json observed_identity(const ServerKind& kind, const PostTarget& target) {
  net::HttpClientOptions options;
  options.connect_time = options.silence_time = std::chrono::seconds(10);
  net::HttpClient client(target.url, options);
  Json observed = Json::object();
  for (const std::string_view page : kind.identity_pages) {
    const net::HttpResponse answer = client.get(page);
    observed[std::string(page)] = answer.status == 200 ? fact_of(page, answer.body) : Json(nullptr);
  }
  return observed;
}

}  // namespace nvllm::bench
