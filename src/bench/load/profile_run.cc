#include "bench/load/profile_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "bench/import/torch_trace.h"
#include "bench/load/client_options.h"
#include "bench/store/json_field.h"
#include "bench/store/kernel_csv.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

using std::chrono::steady_clock;

constexpr std::int64_t kFileBytesMax = 256ll << 20;
constexpr std::chrono::seconds kPoll{1};

net::HttpClient client_for(const PostTarget& target) { return net::HttpClient(target.url, client_options(target)); }

/// The body of a profile endpoint's answer.
std::string post_profile(const ProfileOptions& options, const char* path) {
  const net::HttpResponse answer = client_for(options.target).post(path, "");
  if (answer.status == 200) return answer.body;
  const std::string said =
      fmt::format("POST {}{} answers HTTP {}: {}", options.target.url, path, answer.status, answer.body.substr(0, 300));
  if (answer.status == 404 || answer.status == 405 || answer.status == 501) {
    throw Error(ErrorKind::kUnsupported,
                said +
                    "; the server has no profiler: start nvllm serve with --profile-dir DIR, or vLLM with its torch "
                    "profiler switched on");
  }
  throw Error(ErrorKind::kUnavailable, said);
}

void run_burst(const ProfileOptions& options, std::int64_t requests, std::int64_t tokens) {
  for (std::int64_t i = 0; i < requests; ++i) {
    GenerationRequest request{.model = options.model, .max_tokens = tokens, .until_length = true};
    request.fields["prompt"] =
        "Question: A farmer has 12 hens and buys 5 more. How many hens has the farmer?\nAnswer: ";
    const Generation answer = generate(options.target, request, options.features, options.deadline_s);
    if (answer.end != GenerationEnd::kComplete) {
      throw Error(ErrorKind::kUnavailable, fmt::format("request {} of the burst failed: {}", i + 1, answer.error));
    }
    if (answer.completion_tokens != tokens) {
      throw Error(ErrorKind::kUnavailable,
                  fmt::format("request {} of the burst brought {} tokens, wanted {}; the server must honour ignore_eos "
                              "and report token counts, or no law can be solved",
                              i + 1, answer.completion_tokens, tokens));
    }
  }
}

std::set<fs::path> traces_in(const fs::path& folder) {
  std::set<fs::path> found;
  if (folder.empty()) return found;
  if (!fs::is_directory(folder)) throw Error(ErrorKind::kNotFound, fmt::format("{}: no such folder", folder.string()));
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".trace.json") || name.ends_with(".trace.json.gz")) found.insert(entry.path());
  }
  return found;
}

/// Waits for a new trace that is whole: it neither grows nor ends early.
void read_new_trace(const ProfileOptions& options, const std::set<fs::path>& before, BurstProfile& burst) {
  const auto begin = steady_clock::now();
  std::string seen = "no new *.trace.json[.gz]";
  std::uintmax_t last_bytes = 0;
  while (seconds_between(begin, steady_clock::now()) < options.trace_wait_s) {
    std::this_thread::sleep_for(kPoll);
    for (const fs::path& path : traces_in(options.traces)) {
      if (before.contains(path)) continue;
      const std::uintmax_t bytes = fs::file_size(path);
      const bool grows = bytes != last_bytes;
      last_bytes = bytes;
      seen = fmt::format("{} of {} bytes", path.filename().string(), bytes);
      if (grows || bytes == 0) break;
      TraceImport trace = import_torch_trace(path);
      if (trace.end != TraceEnd::kComplete) break;
      if (trace.kernels == 0) continue;  // the trace of a process without a device
      burst.table = std::move(trace.table);
      burst.findings = std::move(trace.findings);
      burst.source = path;
      return;
    }
  }
  throw Error(ErrorKind::kUnavailable, fmt::format("{}: no whole trace within {:.0f} s; last seen: {}",
                                                   options.traces.string(), options.trace_wait_s, seen));
}

/// Reads the folder that nvllm's answer names.
void read_named_folder(const ProfileOptions& options, const std::string& answer, BurstProfile& burst) {
  const std::string what = options.target.url + "/stop_profile";
  const Json json = answer.empty() ? Json() : parse_json(answer, what);
  if (!json.is_object() || !json.contains("folder")) {
    throw Error(ErrorKind::kUnsupported,
                what + " does not say where the profile is; name the folder of its traces with --traces DIR");
  }
  burst.source = text_field(json, "folder", what);
  // The seven columns: the other table of that folder is the engine's own form.
  const fs::path table = burst.source / "profile_kernels.csv";
  if (!fs::exists(table)) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: the server names this folder and it is not on this machine; run "
                                                  "this command where the server runs",
                                                  burst.source.string()));
  }
  burst.table = parse_profile_kernels(read_file(table, kFileBytesMax), table.string(), "");
}

BurstProfile profile_burst(const ProfileOptions& options, std::int64_t tokens) {
  BurstProfile burst = profile_while(options, [&] { run_burst(options, options.requests, tokens); });
  burst.tokens = tokens;
  burst.table.requests = burst.table.prefills = options.requests;
  burst.table.decode_steps = options.requests * (tokens - 1);
  return burst;
}

std::string_view to_string(LawProof proof) {
  constexpr std::array<std::string_view, 3> kNames = {"proven", "not_proven", "residual"};
  return kNames[static_cast<std::size_t>(proof)];
}

/// The row of a law in the longer burst, or null.
const KernelRow* row_of(const KernelTable& table, const LawRow& law) {
  const auto found = std::ranges::find_if(table.rows, [&](const KernelRow& row) { return kernel_key(row) == law.key; });
  return found == table.rows.end() ? nullptr : &*found;
}

}  // namespace

BurstProfile profile_while(const ProfileOptions& options, const std::function<void()>& work) {
  BurstProfile burst;
  const std::set<fs::path> before = traces_in(options.traces);
  post_profile(options, "/start_profile");
  const auto begin = steady_clock::now();
  try {
    work();
  } catch (const Error&) {
    // Leaves the server as it was found; what went wrong first is what is told.
    try {
      static_cast<void>(client_for(options.target).post("/stop_profile", ""));
    } catch (const Error&) {  // it went with what went wrong
    }
    throw;
  }
  burst.wall_s = seconds_between(begin, steady_clock::now());
  const std::string answer = post_profile(options, "/stop_profile");
  if (options.traces.empty()) {
    read_named_folder(options, answer, burst);
  } else {
    read_new_trace(options, before, burst);
  }
  return burst;
}

ProfileRun run_profile(const ProfileOptions& options) {
  const std::int64_t most = std::max(options.tokens, options.tokens_short);
  const std::int64_t least = std::min(options.tokens, options.tokens_short);
  if (options.requests < 1 || least < 2 || least == most) {
    throw Error(ErrorKind::kUsage, fmt::format("{} requests of {} and {} tokens; wanted at least 1 request and two "
                                               "different lengths of at least 2 tokens",
                                               options.requests, most, least));
  }
  run_burst(options, 1, most);
  ProfileRun run{.longer = profile_burst(options, most), .shorter = profile_burst(options, least), .law = {}};
  run.law = solve_call_laws(run.longer.table, run.shorter.table);
  return run;
}

std::string law_table(const ProfileRun& run) {
  std::string text = fmt::format(
      "{} requests of {} and of {} tokens; calls = a x decode steps + b x requests\n{:<44}{:>7}{:>7}{:>10}{:>10}\n",
      run.longer.table.requests, run.longer.tokens, run.shorter.tokens, "kernel", "a", "b", "calls", "time");
  const double total = total_ms(run.longer.table);
  for (const LawRow& law : run.law.rows) {
    const KernelRow* row = row_of(run.longer.table, law);
    const bool solved = law.proof == LawProof::kProven;
    text += fmt::format("{:<44}{:>7}{:>7}{:>10}{:>10}\n", law.short_name.substr(0, 43),
                        solved ? std::to_string(law.law.a) : "?", solved ? std::to_string(law.law.b) : "?",
                        row == nullptr ? 0 : row->n_calls,
                        row == nullptr || total <= 0 ? "" : fmt::format("{:.2f} %", 100 * row->total_ms / total));
  }
  text += fmt::format("{} of {} kernels obey no such law\n", run.law.residual_rows, run.law.rows.size());
  for (const BurstProfile* burst : {&run.longer, &run.shorter}) {
    for (const std::string& finding : burst->findings) text += fmt::format("incomplete: {}\n", finding);
  }
  return text;
}

Json law_json(const ProfileRun& run) {
  Json json;
  json["schema"] = "nvllm.call_law/v1";
  json["requests"] = run.longer.table.requests;
  json["tokens"] = Json::array({run.longer.tokens, run.shorter.tokens});
  json["burst_wall_s"] = Json::array({run.longer.wall_s, run.shorter.wall_s});
  json["residual_rows"] = run.law.residual_rows;
  json["findings"] = Json::array();
  for (const BurstProfile* burst : {&run.longer, &run.shorter}) {
    for (const std::string& finding : burst->findings) json["findings"].push_back(finding);
  }
  json["rows"] = Json::array();
  for (const LawRow& law : run.law.rows) {
    const KernelRow* row = row_of(run.longer.table, law);
    Json one{{"name", law.short_name}, {"proof", to_string(law.proof)}};
    if (law.proof == LawProof::kResidual) {
      one["remainder"] = law.remainder;
    } else {
      one["a"] = law.law.a;
      one["b"] = law.law.b;
    }
    if (row != nullptr) {
      one["n_calls"] = row->n_calls;
      one["total_ms"] = row->total_ms;
    }
    json["rows"].push_back(one);
  }
  return json;
}

}  // namespace nvllm::bench
