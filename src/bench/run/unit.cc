#include "bench/run/unit.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "bench/load/capabilities.h"
#include "bench/run/injected_processes.h"
#include "bench/store/canonical_json.h"
#include "bench/store/seal.h"
#include "net/http_client.h"

namespace nvllm::bench {

void UnitRun::breathe() const {
  run.control->check();
  if (run.watch != nullptr) run.watch->heartbeat();
}

void UnitRun::tell(const std::string& state, double share) const {
  if (run.watch != nullptr) run.watch->set_phase(fmt::format("{} {}", unit_name(unit), state));
  if (run.progress) run.progress(state, share);
}

void UnitRun::deviate(const std::string& rule, const std::string& reason) {
  Json one{{"rule", rule}, {"reason", reason}};
  if (std::find(deviations.begin(), deviations.end(), one) == deviations.end())
    deviations.push_back(std::move(one));
}

namespace {

std::chrono::milliseconds to_ms(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1e3));
}

std::string port_of(const std::string& url) {
  const std::size_t colon = url.rfind(':');
  const std::string port = url.substr(colon + 1, url.find('/', colon + 1) - colon - 1);
  return colon <= std::string("https:").size() ? "80" : port;
}

ServerOptions options_of(const UnitRun& unit, const ServerAdditions& additions) {
  const RunSettings& settings = unit.run.settings;
  const ServerSettings& server = settings.server;
  ServerOptions options;
  CommandFacts facts{.program = unit.run.program, .port = "0", .traces = incoming_folder(unit)};
  if (!server.traces.empty()) facts.traces = server.traces;
  if (server.kind->address == AddressFrom::kPicked) {
    options.url = address_of(settings, unit.leg);
    facts.port = options.url.empty() ? std::to_string(free_port()) : port_of(options.url);
    if (options.url.empty()) options.url = "http://127.0.0.1:" + facts.port;
  }
  options.command = command_of(settings, unit.leg, facts);
  options.command.insert(options.command.end(), additions.arguments.begin(),
                         additions.arguments.end());
  options.env = environment_of(settings, unit.leg, facts);
  if (!additions.preload.empty())
    preload_library(options.env, additions.preload, additions.profiles);
  options.log_file = unit.folder / "serve.log";
  options.group = ServerGroup::kOwn;
  options.ready_path = server.ready_page;
  options.ready_time = to_ms(server.ready_timeout_s);
  options.poll_time = to_ms(server.poll_s);
  options.stop_signal = server.stop_signal;
  options.grace_time = to_ms(server.grace_s);
  return options;
}

/// Waits for a server that somebody else runs.
void wait_for_external(const UnitRun& unit, const std::string& url) {
  const ServerSettings& server = unit.run.settings.server;
  net::HttpClientOptions options;
  options.connect_time = options.silence_time = std::chrono::seconds(5);
  const auto deadline = std::chrono::steady_clock::now() + to_ms(server.ready_timeout_s);
  std::string seen;
  do {
    unit.breathe();
    try {
      const int status = net::HttpClient(url, options).get(server.ready_page).status;
      if (status == 200) return;
      seen = fmt::format("{} answers HTTP {}", server.ready_page, status);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kUsage) throw;
      seen = error.what();
    }
    std::this_thread::sleep_for(to_ms(server.poll_s));
  } while (std::chrono::steady_clock::now() < deadline);
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the external server was not ready within {:g} s: {}",
                          server.ready_timeout_s, seen));
}

/// Requests name their model to every server but ours; it has to be one that the server lists.
void check_model(const UnitRun& unit, const Capabilities& found) {
  const std::string& wanted = unit.run.settings.model_id;
  if (std::find(found.models.begin(), found.models.end(), wanted) != found.models.end()) return;
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the server lists the models '{}', the sweep names '{}' ('model.id')",
                          fmt::join(found.models, "', '"), wanted));
}

/// Sealed units of the leg have to have met the same server: one that runs already may have been
/// replaced meanwhile. Other pages than these two may hold what changes from request to request.
void check_same_server(const UnitRun& unit) {
  const std::filesystem::path rounds = unit.folder.parent_path().parent_path();
  const Json& now = unit.engine.at("observed");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(rounds)) {
    if (entry.path().filename() != kSealName) continue;
    const std::filesystem::path place = entry.path().parent_path();
    if (!std::filesystem::exists(place / "capabilities.json")) continue;
    const Json before =
        parse_json(read_file(place / "capabilities.json", 1 << 20), "capabilities.json");
    for (const char* page : {"/version", "/v1/models"}) {
      const Json seen = before.at("engine").at("observed").value(page, Json());
      if (seen == now.value(page, Json())) continue;
      throw Error(
          ErrorKind::kUnavailable,
          fmt::format("the server is another one than before: its {} says {}, in {} it said {}",
                      page, dump_json(now.value(page, Json())),
                      std::filesystem::relative(place, rounds).generic_string(), dump_json(seen)));
    }
  }
}

/// Asks what the server can do and says in the unit's record what that changes.
void get_to_know(UnitRun& unit, UnitServer& server) {
  const ServerKind& kind = *unit.run.settings.server.kind;
  Capabilities found =
      probe_capabilities(server.target.target, kind.ours ? "" : unit.run.settings.model_id,
                         unit.run.settings.request_deadline_s);
  if (!kind.ours) check_model(unit, found);
  server.features = features_of(found);
  server.target.features = server.features;
  // A whole answer takes the server least time, and what is measured is the server.
  server.target.features.streaming &= !found.has("usage");
  server.target.model = kind.ours ? "" : unit.run.settings.model_id;
  server.target.deadline_s = unit.run.settings.request_deadline_s;
  unit.engine["kind"] = kind.name;
  unit.engine["requested"] =
      Json{{"model", unit.run.settings.model_id}, {"ignore_eos", server.features.ignore_eos}};
  unit.engine["observed"] = observed_identity(kind, server.target.target);
  unit.engine["restarted"] = kind.address != AddressFrom::kRunsAlready;
  check_same_server(unit);
  for (const CapabilityDeviation& one : deviations_of(found)) unit.deviate(one.rule, one.reason);
  if (kind.address == AddressFrom::kRunsAlready) {
    unit.deviate("server not restarted between rounds",
                 "it runs already: rounds are connections to one boot, and what they say of boots "
                 "is PROVISIONAL");
  }
  found.url.clear();  // which port the server had is of no interest to anyone
  Json json = capabilities_json(found);
  json["engine"] = unit.engine;
  write_file_atomically(unit.folder / "capabilities.json", readable_json(json));
}

}  // namespace

std::filesystem::path incoming_folder(const UnitRun& unit) {
  return std::filesystem::absolute(unit.folder / "incoming");
}

std::vector<std::string> common_files(const UnitRun& unit) {
  std::vector<std::string> names = {"capabilities.json"};
  if (std::filesystem::exists(unit.folder / "serve.log")) names.emplace_back("serve.log");
  return names;
}

UnitServer start_server(UnitRun& unit, const ServerAdditions& additions) {
  unit.tell("STARTING", 0);
  UnitServer server;
  const RunSettings& settings = unit.run.settings;
  if (settings.server.kind->address == AddressFrom::kRunsAlready) {
    server.target.target.url = address_of(settings, unit.leg);
    wait_for_external(unit, server.target.target.url);
  } else {
    std::filesystem::create_directories(incoming_folder(unit));
    ServerOptions options = options_of(unit, additions);
    options.while_waiting = [&unit] { unit.breathe(); };
    server.process = std::make_unique<ServerProcess>(std::move(options));
    server.target.target.url = server.process->url();
    unit.run.control->set_server(server.process->process_id());
    if (unit.run.watch != nullptr) unit.run.watch->set_pid(server.process->process_id());
  }
  const std::int64_t process = server.process ? server.process->process_id() : 0;
  unit.boot_id = sha256_hex(std::string_view(fmt::format("{} {} {} {}", unit_name(unit.unit),
                                                         unit.attempt, process, utc_now())))
                     .substr(0, 16);
  unit.tell("READY", 0.05);
  get_to_know(unit, server);
  return server;
}

void stop_server(UnitRun& unit, UnitServer& server) {
  unit.tell("STOPPING", 0.95);
  const int status = server.process ? server.process->stop() : 0;
  unit.run.control->set_server(0);
  if (unit.run.watch != nullptr) {
    unit.run.watch->set_pid(std::nullopt);
    unit.run.watch->expect_silence();
  }
  unit.run.control->check();
  if (status == 0) return;
  if (unit.run.settings.server.kind->ours) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("the server ended with status {}, wanted 0; its log says why", status));
  }
  unit.deviate("the way a server of this kind ends is recorded and decides nothing",
               server.process->was_killed() ? "it did not end within its grace time and was killed"
                                            : fmt::format("it ended with status {}", status));
}

Json unit_metadata(const UnitRun& unit, const char* schema) {
  Json json;
  json["schema"] = schema;
  json["leg"] = unit.unit.leg;
  json["phase"] = unit.unit.phase;
  json["round"] = unit.unit.round;
  json["attempt"] = unit.attempt;
  json["boot_id"] = unit.boot_id;
  json["timestamp_iso"] = utc_now();
  for (const auto& [key, value] : unit.run.identity.items()) json[key] = value;
  if (const auto own = unit.run.leg_identity.find(unit.unit.leg);
      own != unit.run.leg_identity.end()) {
    for (const auto& [key, value] : own->second.items()) json[key] = value;
  }
  json["engine"] = unit.engine;
  if (!unit.deviations.empty()) json["deviations"] = unit.deviations;
  if (!unit.leg.command.empty()) json["command"] = unit.leg.command;
  json["arguments"] = unit.leg.arguments;
  json["env"] = Json::object();
  for (const auto& [key, value] : unit.leg.env) json["env"][key] = value;
  return json;
}

std::string utc_now() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(now));
}

}  // namespace nvllm::bench
