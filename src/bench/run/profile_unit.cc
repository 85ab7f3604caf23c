// The profile phase: warm up, time bursts that nobody listens to, profile a long and a short burst,
// time again. The two lengths prove the call law; the bursts around the profile tell what listening
// costs.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "bench/load/profile_run.h"
#include "bench/records/call_law.h"
#include "bench/run/burst.h"
#include "bench/run/injected_processes.h"
#include "bench/run/server_profile.h"
#include "bench/run/unit.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

/// Both bursts of one look, long and short.
struct BurstPair {
  BurstTimes longer, shorter;
};

/// Both profiles, in one form whatever they came from.
struct ProfilePair {
  BurstPair bursts;
  ServerProfile longer, shorter;
  double kernels_ms_per_step = 0;
};

struct Measured {
  BurstPair before, after;  ///< without a listener
  std::optional<ProfilePair> profiled;
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

/// Our own server repeats a greedy answer exactly, or something is wrong with it.
void check_repeats(UnitRun& unit, const BurstTimes& times) {
  if (times.other_answers == 0) return;
  const std::string seen = fmt::format(
      "{} of {} requests of a burst brought other tokens than the first, greedily from "
      "the same prompt",
      times.other_answers, times.wall_s.size());
  const bool must_agree = unit.run.settings.server.kind->ours && !unit.leg.repeats_may_differ;
  if (must_agree) throw Error(ErrorKind::kUnavailable, seen);
  unit.deviate("answers may differ from request to request here", seen);
}

class UnitProfile {
 public:
  explicit UnitProfile(UnitRun& unit) : unit_(unit), settings_(unit.run.settings) {}

  Measured measure() {
    server_ = start_server(unit_, additions());
    unit_.tell("WARMING", 0.1);
    warm_up(server_.target, settings_.prompt, settings_.warmup_tokens,
            settings_.long_burst.max_tokens, [this] { unit_.breathe(); });
    Measured measured;
    unit_.tell("MEASURING", 0.2);
    const bool alone = settings_.overhead_probe || settings_.kernels == KernelMethod::kNone;
    if (alone) measured.before = time_bursts();
    unit_.tell("MEASURING", 0.4);
    measured.profiled = profile();
    unit_.tell("MEASURING", 0.7);
    if (alone || !measured.profiled) measured.after = time_bursts();
    stop_server(unit_, server_);
    return measured;
  }

 private:
  /// What the server needs in order to be profiled.
  ServerAdditions additions() {
    if (settings_.kernels == KernelMethod::kInject) {
      sockets_.emplace();
      unit_.deviate("times of bursts are those of a server with the profile library in it",
                    "it is loaded when the server starts and stays; even while it waits, launches "
                    "take longer");
      return {.preload = profile_library(settings_.profile_library, unit_.run.program),
              .profiles = sockets_->path()};
    }
    const bool in_process = settings_.kernels == KernelMethod::kInProcess;
    if (in_process && settings_.server.kind->ours)
      return {.arguments = {"--profile-dir", incoming_folder(unit_).string()}};
    return {};
  }

  BurstTimes time_burst(const BurstSettings& burst) {
    BurstTimes times =
        run_burst(server_.target, settings_.prompt, burst, [this] { unit_.breathe(); });
    check_repeats(unit_, times);
    return times;
  }

  BurstPair time_bursts() {
    BurstPair pair;
    pair.longer = time_burst(settings_.long_burst);
    pair.shorter = time_burst(settings_.short_burst);
    return pair;
  }

  /// Nothing, and a deviation, where kernels cannot be had and the file does not demand them.
  std::optional<ProfilePair> profile() {
    const auto without = [&](const std::string& why) {
      unit_.deviate("kernels are not profiled: gates and hypotheses about them stay open", why);
      return std::nullopt;
    };
    if (settings_.kernels == KernelMethod::kNone) {
      return without(fmt::format("this version has no profiler for servers of kind \"{}\"",
                                 settings_.server.kind->name));
    }
    try {
      ProfilePair pair;
      pair.longer = profile(settings_.long_burst, "long", pair.bursts.longer);
      pair.shorter = profile(settings_.short_burst, "short", pair.bursts.shorter);
      check_lengths(pair);
      pair.kernels_ms_per_step = kernels_ms_per_step(pair);
      return pair;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported || settings_.kernels_demanded) throw;
      return without(error.what());
    }
  }

  ServerProfile profile(const BurstSettings& burst, const std::string& name, BurstTimes& times) {
    if (settings_.kernels == KernelMethod::kTorch) return profile_by_torch(burst, name, times);
    if (settings_.kernels == KernelMethod::kInject) return profile_by_injection(burst, times);
    return profile_in_process(burst, name, times);
  }

  /// If the burst fails nobody stops the profile: the unit is over, and its server with it.
  ServerProfile profile_by_injection(const BurstSettings& burst, BurstTimes& times) {
    InjectedProcesses processes(sockets_->path(), {.while_waiting = [this] { unit_.breathe(); }});
    processes.start();
    times = time_burst(burst);
    ServerProfile profile = injected_profile(processes.stop(), times, unit_.unit.leg);
    deviate_if_incomplete(profile.metadata.at("profiler").at("findings"));
    if (const auto count = profile.metadata.at("profiler").at("processes").get<std::int64_t>();
        count > 1) {
      unit_.deviate("kernels of several processes are added up",
                    fmt::format("{} processes ran kernels, side by side: their time may be more "
                                "than the time that went by",
                                count));
    }
    return profile;
  }

  void deviate_if_incomplete(const std::vector<std::string>& findings) {
    for (const std::string& finding : findings) {
      unit_.deviate(
          "the trace may lack records: its kernels are barred where the law does not hold",
          finding);
    }
  }

  ServerProfile profile_in_process(const BurstSettings& burst, const std::string& name,
                                   BurstTimes& times) {
    net::HttpClient client(server_.target.target.url);
    command(client, "/start_profile");
    times = time_burst(burst);
    const Json answer = command(client, "/stop_profile");
    const fs::path named = answer.value("folder", "");
    // Of an external server the folder is where that put it, and stays there.
    const fs::path folder = server_.process ? incoming_folder(unit_) / named.filename() : named;
    ServerProfile profile = read_server_profile(folder, unit_.unit.leg);
    check_workload(profile.kernels, burst);
    if (server_.process && fs::exists(folder / "trace.json.gz")) {
      fs::rename(folder / "trace.json.gz", unit_.folder / fmt::format("{}.pt.trace.json.gz", name));
    }
    return profile;
  }

  ServerProfile profile_by_torch(const BurstSettings& burst, const std::string& name,
                                 BurstTimes& times) {
    ProfileOptions options;
    options.target = server_.target.target;
    options.traces =
        settings_.server.traces.empty() ? incoming_folder(unit_) : settings_.server.traces;
    const BurstProfile found = profile_while(options, [&] { times = time_burst(burst); });
    ServerProfile profile = torch_profile(found, times, unit_.unit.leg);
    deviate_if_incomplete(found.findings);
    if (server_.process && settings_.server.traces.empty()) {
      const std::string ending =
          found.source.extension() == ".gz" ? "torch.pt.trace.json.gz" : "torch.trace.raw";
      fs::rename(found.source, unit_.folder / fmt::format("{}.{}", name, ending));
    }
    return profile;
  }

  /// Two lengths prove a law, if each burst has one.
  static void check_lengths(const ProfilePair& pair) {
    const auto& [longer, shorter] = pair.bursts;
    const auto one_length = [](const BurstTimes& times) {
      return std::count(times.tokens.begin(), times.tokens.end(), times.tokens.front()) ==
             static_cast<std::int64_t>(times.tokens.size());
    };
    if (one_length(longer) && one_length(shorter) &&
        longer.tokens.front() != shorter.tokens.front())
      return;
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format(
            "the bursts have no two lengths (answers of {} and {} tokens): no law can be solved",
            fmt::join(longer.tokens, ", "), fmt::join(shorter.tokens, ", ")));
  }

  static double kernels_ms_per_step(const ProfilePair& pair) {
    if (pair.longer.metadata.contains("phases")) {
      const Json& decode = pair.longer.metadata.at("phases").at("decode");
      return decode.at("kernel_s").get<double>() * 1e3 / decode.at("steps").get<double>();
    }
    // Where the source does not tell decode steps from prefills, the two lengths do.
    const std::int64_t steps = pair.longer.kernels.decode_steps - pair.shorter.kernels.decode_steps;
    if (steps <= 0) return 0;
    return (total_ms(pair.longer.kernels) - total_ms(pair.shorter.kernels)) /
           static_cast<double>(steps);
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
  const RunSettings& settings_;
  std::optional<SocketFolder> sockets_;  ///< outlives the server, which writes there
  UnitServer server_;
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

/// Every row of a profile of ours must obey the law; and every expected kernel be called as often
/// as foretold. A torch trace may begin within a step, and what an injected library sees need not be
/// the steps' alone: there only the expected ones are held to it.
void check_laws(const LawReport& laws, const KernelTable& table, const UnitRun& unit) {
  for (const LawRow& row : laws.rows) {
    if (row.proof != LawProof::kResidual || unit.run.settings.kernels != KernelMethod::kInProcess)
      continue;
    throw Error(ErrorKind::kUnavailable, fmt::format("the calls of {} obey no law a x steps + b: "
                                                     "{} are left over; the profile lost some, or "
                                                     "requests differed",
                                                     row.short_name, row.remainder));
  }
  for (const auto& [kernel, wanted] : unit.leg.expect_kernels) {
    const std::int64_t seen = calls_per_step(laws, table, kernel);
    if (seen == wanted) continue;
    throw Error(ErrorKind::kUnavailable, fmt::format("{} ran {} times per decode step, wanted {} "
                                                     "from the leg's plan and the model's geometry",
                                                     kernel, seen, wanted));
  }
}

void append(BurstTimes& all, const BurstTimes& more) {
  all.wall_s.insert(all.wall_s.end(), more.wall_s.begin(), more.wall_s.end());
  all.tokens.insert(all.tokens.end(), more.tokens.begin(), more.tokens.end());
}

/// What the kernels and named host work of a decode step are of the time a token takes when nobody
/// listens.
Json budget(const Measured& measured) {
  Json json = Json::object();
  const auto set = [&](const char* key, const BurstPair& pair) {
    if (pair.longer.wall_s.empty()) return;
    if (const auto wall = wall_ms_per_token(pair.longer, pair.shorter)) json[key] = *wall;
  };
  if (measured.profiled) {
    json["kernels_ms_per_step"] = measured.profiled->kernels_ms_per_step;
    if (const Json& metadata = measured.profiled->longer.metadata; metadata.contains("phases")) {
      const Json& decode = metadata.at("phases").at("decode");
      json["host_ms_per_step"] =
          decode.at("host_s").get<double>() * 1e3 / decode.at("steps").get<double>();
    }
    set("profiled_wall_ms_per_token", measured.profiled->bursts);
  }
  if (measured.before.longer.wall_s.empty() && measured.after.longer.wall_s.empty()) return json;
  BurstPair both = measured.before;
  append(both.longer, measured.after.longer);
  append(both.shorter, measured.after.shorter);
  set("wall_ms_per_token", both);
  set("wall_ms_per_token_before", measured.before);
  set("wall_ms_per_token_after", measured.after);
  // A machine so busy that longer requests took less time tells nothing of shares.
  const double wall = json.value("wall_ms_per_token", 0.0);
  if (wall <= 0 || !measured.profiled) return json;
  json["kernels_share"] = json["kernels_ms_per_step"].get<double>() / wall;
  if (json.contains("profiled_wall_ms_per_token")) {
    json["overhead_pct"] = 100 * (json["profiled_wall_ms_per_token"].get<double>() / wall - 1);
  }
  return json;
}

/// What was sent. Where the model ended its answers itself, all requests but have the same length.
Json workload_of(const UnitRun& unit, const BurstSettings& burst, const BurstTimes& times) {
  const std::int64_t tokens = *std::max_element(times.tokens.begin(), times.tokens.end());
  Json json{{"requests", burst.requests},
            {"prompt_tokens", times.prompt_tokens},
            {"max_tokens", std::min(burst.max_tokens, tokens)},
            {"ignore_eos", unit.engine.at("requested").at("ignore_eos")},
            {"warmup_tokens", unit.run.settings.warmup_tokens}};
  if (tokens != burst.max_tokens) json["max_tokens_requested"] = burst.max_tokens;
  return json;
}

Json metadata_of(UnitRun& unit, const Measured& measured, const LawReport& laws) {
  const RunSettings& settings = unit.run.settings;
  const BurstPair& alone = measured.before.longer.wall_s.empty() ? measured.after : measured.before;
  const BurstPair& bursts = measured.profiled ? measured.profiled->bursts : alone;
  Json figures = budget(measured);
  if (!figures.contains("wall_ms_per_token") && settings.overhead_probe) {
    unit.deviate("no wall time per token",
                 "answers to the longer burst are no longer than those to the shorter one");
  }
  Json json = unit_metadata(unit, "nvllm.profile_metadata/v1");
  json["device"] =
      measured.profiled ? measured.profiled->longer.metadata.at("device") : Json(nullptr);
  json["workload"] = workload_of(unit, settings.long_burst, bursts.longer);
  json["second_workload"] = workload_of(unit, settings.short_burst, bursts.shorter);
  json["token_ids_sha256"] = bursts.longer.token_ids_sha256;
  json["profiler"] = measured.profiled ? measured.profiled->longer.metadata.at("profiler")
                                       : Json{{"method", to_string(KernelMethod::kNone)}};
  json["calls_per_decode_step"] = Json::object();
  if (measured.profiled) {
    const KernelTable& kernels = measured.profiled->longer.kernels;
    json["law"] = Json{{"decode_steps", kernels.decode_steps},
                       {"prefills", kernels.prefills},
                       {"rows", laws.rows.size()},
                       {"residual_rows", laws.residual_rows}};
    for (const auto& [kernel, wanted] : unit.leg.expect_kernels) {
      json["calls_per_decode_step"][kernel] = calls_per_step(laws, kernels, kernel);
    }
  }
  json["budget"] = std::move(figures);
  return json;
}

}  // namespace

std::vector<std::string> run_profile_unit(UnitRun& unit) {
  const Measured measured = UnitProfile(unit).measure();
  unit.tell("EXTRACTING", 0.97);
  std::error_code ignored;
  fs::remove_all(incoming_folder(unit), ignored);
  std::vector<std::string> names = common_files(unit);
  const auto write = [&](const char* name, const std::string& text) {
    write_file_atomically(unit.folder / name, text);
    names.emplace_back(name);
  };
  LawReport laws;
  if (measured.profiled) {
    const ProfilePair& profiled = *measured.profiled;
    laws = solve_call_laws(profiled.longer.kernels, profiled.shorter.kernels);
    write("kernels.csv", format_kernels(profiled.longer.kernels, &laws));
    write("kernels_short.csv", format_kernels(profiled.shorter.kernels, &laws));
    write("profile_kernels.csv", format_profile_kernels(profiled.longer.symbols));
  }
  write("profile_metadata.json", readable_json(metadata_of(unit, measured, laws)));
  // Checked last, so that a unit that fails here leaves its tables for whoever looks into it.
  if (measured.profiled) check_laws(laws, measured.profiled->longer.kernels, unit);
  for (const char* burst : {"long", "short"}) {
    for (const char* ending : {"pt.trace.json.gz", "torch.pt.trace.json.gz", "torch.trace.raw"}) {
      const std::string trace = fmt::format("{}.{}", burst, ending);
      if (fs::exists(unit.folder / trace)) names.push_back(trace);
    }
  }
  return names;
}

}  // namespace nvllm::bench
