// The profile phase: warm up, time bursts that nobody listens to, profile a long and a short burst,
// time again. The two lengths prove the call law; the bursts around the profile tell what listening
// costs.

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "bench/records/call_law.h"
#include "bench/run/burst.h"
#include "bench/run/server_profile.h"
#include "bench/run/unit.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr const char* kIncoming = "incoming";

/// Both bursts of one look, long and short.
struct BurstPair {
  BurstTimes longer, shorter;
};

struct Measured {
  BurstPair before, profiled, after;  ///< `before` and `after` without a listener
  ServerProfile longer, shorter;
};

/// POSTs without a body; the answer's JSON, null where it has none.
Json command(net::HttpClient& client, const char* path) {
  const net::HttpResponse response = client.post(path, "");
  if (response.status != 200) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{} was answered {} instead of 200: {}", path, response.status,
                            response.body.substr(0, 300)));
  }
  return response.body.empty() ? Json() : parse_json(response.body, path);
}

class ProfileRun {
 public:
  explicit ProfileRun(UnitRun& unit)
      : unit_(unit), incoming_(fs::absolute(unit.folder / kIncoming)) {}

  Measured measure() {
    const auto server = start_server(unit_, {"--profile-dir", incoming_.string()});
    net::HttpClient client(server->url());
    const RunSettings& settings = unit_.run.settings;
    const auto breathe = [this] { unit_.breathe(); };
    unit_.tell("WARMING", 0.1);
    warm_up(client, settings.prompt, settings.warmup_tokens, settings.long_burst.max_tokens,
            breathe);
    Measured measured;
    unit_.tell("MEASURING", 0.2);
    if (settings.overhead_probe) measured.before = time_bursts(client);
    unit_.tell("MEASURING", 0.4);
    measured.longer = profile(client, settings.long_burst, "long", measured.profiled.longer);
    measured.shorter = profile(client, settings.short_burst, "short", measured.profiled.shorter);
    unit_.tell("MEASURING", 0.7);
    if (settings.overhead_probe) measured.after = time_bursts(client);
    stop_server(unit_, *server);
    return measured;
  }

 private:
  BurstPair time_bursts(net::HttpClient& client) {
    const RunSettings& settings = unit_.run.settings;
    const auto breathe = [this] { unit_.breathe(); };
    BurstPair pair;
    pair.longer = run_burst(client, settings.prompt, settings.long_burst, breathe, repeats());
    pair.shorter = run_burst(client, settings.prompt, settings.short_burst, breathe, repeats());
    return pair;
  }

  ServerProfile profile(net::HttpClient& client, const BurstSettings& burst,
                        const std::string& name, BurstTimes& times) {
    command(client, "/start_profile");
    times = run_burst(
        client, unit_.run.settings.prompt, burst, [this] { unit_.breathe(); }, repeats());
    const Json answer = command(client, "/stop_profile");
    const fs::path folder = incoming_ / fs::path(answer.value("folder", "")).filename();
    ServerProfile profile = read_server_profile(folder, unit_.unit.leg);
    check_workload(profile.kernels, burst);
    if (fs::exists(folder / "trace.json.gz")) {
      fs::rename(folder / "trace.json.gz", unit_.folder / fmt::format("{}.pt.trace.json.gz", name));
    }
    return profile;
  }

  Repeats repeats() const {
    return unit_.leg.repeats_may_differ ? Repeats::kMayDiffer : Repeats::kMustAgree;
  }

  /// A profile that counted other work than was sent holds somebody else's, or lost some.
  static void check_workload(const KernelTable& table, const BurstSettings& burst) {
    const std::int64_t steps = burst.requests * (burst.max_tokens - 1);
    if (table.requests == burst.requests && table.prefills == burst.requests &&
        table.decode_steps == steps)
      return;
    throw Error(
        ErrorKind::kUnavailable,
        fmt::format(
            "the profile counts {} requests, {} prefills and {} decode steps, wanted {}, {} and {}",
            table.requests, table.prefills, table.decode_steps, burst.requests, burst.requests,
            steps));
  }

  UnitRun& unit_;
  fs::path incoming_;
};

/// Calls per decode step of one kernel in rows of the phase "decode", by the law of every row.
std::int64_t calls_per_step(const LawReport& laws, const KernelTable& table,
                            const std::string& kernel) {
  std::int64_t calls = 0;
  for (const KernelRow* row : find_kernels(table, kernel)) {
    const std::string key = kernel_key(*row);
    for (const LawRow& law : laws.rows) {
      if (law.key == key) calls += law.law.a;
    }
  }
  return calls;
}

/// Every row must obey the law, and every expected kernel be called as often as foretold.
void check_laws(const LawReport& laws, const KernelTable& table, const SweepLeg& leg) {
  for (const LawRow& row : laws.rows) {
    if (row.proof != LawProof::kResidual) continue;
    throw Error(ErrorKind::kUnavailable, fmt::format("the calls of {} obey no law a x steps + b: "
                                                     "{} are left over; the profile lost some, or "
                                                     "requests differed",
                                                     row.short_name, row.remainder));
  }
  for (const auto& [kernel, wanted] : leg.expect_kernels) {
    const std::int64_t seen = calls_per_step(laws, table, kernel);
    if (seen == wanted) continue;
    throw Error(ErrorKind::kUnavailable, fmt::format("{} ran {} times per decode step, wanted {} "
                                                     "from the leg's plan and the model's geometry",
                                                     kernel, seen, wanted));
  }
}

double wall_of(const BurstPair& pair, const RunSettings& settings) {
  return wall_ms_per_token(pair.longer, settings.long_burst.max_tokens, pair.shorter,
                           settings.short_burst.max_tokens);
}

/// What the kernels and named host work of a decode step are of the time a token takes when nobody
/// listens.
Json budget(const Measured& measured, const RunSettings& settings) {
  const Json& decode = measured.longer.metadata.at("phases").at("decode");
  const double steps = decode.at("steps").get<double>();
  Json json;
  json["kernels_ms_per_step"] = decode.at("kernel_s").get<double>() * 1e3 / steps;
  json["host_ms_per_step"] = decode.at("host_s").get<double>() * 1e3 / steps;
  json["profiled_wall_ms_per_token"] = wall_of(measured.profiled, settings);
  if (!settings.overhead_probe) return json;
  BurstPair both = measured.before;
  for (const auto& [all, more] : {std::pair(&both.longer, &measured.after.longer),
                                  std::pair(&both.shorter, &measured.after.shorter)}) {
    all->wall_s.insert(all->wall_s.end(), more->wall_s.begin(), more->wall_s.end());
  }
  const double wall = wall_of(both, settings);
  json["wall_ms_per_token"] = wall;
  json["wall_ms_per_token_before"] = wall_of(measured.before, settings);
  json["wall_ms_per_token_after"] = wall_of(measured.after, settings);
  if (wall <= 0) return json;  // a machine so busy that longer requests took less time
  json["kernels_share"] = json["kernels_ms_per_step"].get<double>() / wall;
  json["overhead_pct"] = 100 * (json["profiled_wall_ms_per_token"].get<double>() / wall - 1);
  return json;
}

Json metadata_of(const UnitRun& unit, const Measured& measured, const LawReport& laws) {
  const RunSettings& settings = unit.run.settings;
  const auto workload = [&](const BurstSettings& burst) {
    return Json{{"requests", burst.requests},
                {"prompt_tokens", measured.profiled.longer.prompt_tokens},
                {"max_tokens", burst.max_tokens},
                {"ignore_eos", settings.ignore_eos},
                {"warmup_tokens", settings.warmup_tokens}};
  };
  Json json = unit_metadata(unit, "nvllm.profile_metadata/v1");
  json["device"] = measured.longer.metadata.at("device");
  json["workload"] = workload(settings.long_burst);
  json["second_workload"] = workload(settings.short_burst);
  json["token_ids_sha256"] = measured.profiled.longer.token_ids_sha256;
  json["profiler"] = measured.longer.metadata.at("profiler");
  json["law"] = Json{{"decode_steps", measured.longer.kernels.decode_steps},
                     {"prefills", measured.longer.kernels.prefills},
                     {"rows", laws.rows.size()},
                     {"residual_rows", laws.residual_rows}};
  json["calls_per_decode_step"] = Json::object();
  for (const auto& [kernel, wanted] : unit.leg.expect_kernels) {
    json["calls_per_decode_step"][kernel] = calls_per_step(laws, measured.longer.kernels, kernel);
  }
  json["budget"] = budget(measured, settings);
  return json;
}

}  // namespace

std::vector<std::string> run_profile_unit(UnitRun& unit) {
  const Measured measured = ProfileRun(unit).measure();
  unit.tell("EXTRACTING", 0.97);
  std::error_code ignored;
  fs::remove_all(unit.folder / kIncoming, ignored);
  const LawReport laws = solve_call_laws(measured.longer.kernels, measured.shorter.kernels);
  const auto write = [&](const char* name, const std::string& text) {
    write_file_atomically(unit.folder / name, text);
  };
  write("kernels.csv", format_kernels(measured.longer.kernels, &laws));
  write("kernels_short.csv", format_kernels(measured.shorter.kernels, &laws));
  write("profile_kernels.csv", format_profile_kernels(measured.longer.symbols));
  write("profile_metadata.json", readable_json(metadata_of(unit, measured, laws)));
  // Checked last, so that a unit that fails here leaves its tables for whoever looks into it.
  check_laws(laws, measured.longer.kernels, unit.leg);
  std::vector<std::string> names = {"kernels.csv", "kernels_short.csv", "profile_kernels.csv",
                                    "profile_metadata.json", "serve.log"};
  for (const char* trace : {"long.pt.trace.json.gz", "short.pt.trace.json.gz"}) {
    if (fs::exists(unit.folder / trace)) names.emplace_back(trace);
  }
  return names;
}

}  // namespace nvllm::bench
