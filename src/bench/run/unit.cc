#include "bench/run/unit.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {

void UnitRun::breathe() const {
  run.control->check();
  if (run.watch != nullptr) run.watch->heartbeat();
}

void UnitRun::tell(const std::string& state, double share) const {
  if (run.watch != nullptr) run.watch->set_phase(fmt::format("{} {}", unit_name(unit), state));
  if (run.progress) run.progress(state, share);
}

std::unique_ptr<ServerProcess> start_server(UnitRun& unit,
                                            const std::vector<std::string>& further_arguments) {
  unit.tell("STARTING", 0);
  ServerOptions options;
  options.program = unit.run.program;
  options.arguments = {"--model", unit.run.settings.model.string(), "--log-level", "warning"};
  options.arguments.insert(options.arguments.end(), unit.leg.arguments.begin(),
                           unit.leg.arguments.end());
  options.arguments.insert(options.arguments.end(), further_arguments.begin(),
                           further_arguments.end());
  options.env = unit.leg.env;
  options.log_file = unit.folder / "serve.log";
  options.group = ServerGroup::kOwn;
  options.ready_time =
      std::chrono::milliseconds(static_cast<std::int64_t>(unit.run.settings.ready_timeout_s * 1e3));
  options.while_waiting = [&unit] { unit.breathe(); };
  auto server = std::make_unique<ServerProcess>(std::move(options));
  unit.run.control->set_server(server->process_id());
  if (unit.run.watch != nullptr) unit.run.watch->set_pid(server->process_id());
  unit.boot_id =
      sha256_hex(std::string_view(fmt::format("{} {} {} {}", unit_name(unit.unit), unit.attempt,
                                              server->process_id(), utc_now())))
          .substr(0, 16);
  unit.tell("READY", 0.05);
  return server;
}

void stop_server(const UnitRun& unit, ServerProcess& server) {
  unit.tell("STOPPING", 0.95);
  const int status = server.stop();
  unit.run.control->set_server(0);
  if (unit.run.watch != nullptr) {
    unit.run.watch->set_pid(std::nullopt);
    unit.run.watch->expect_silence();
  }
  unit.run.control->check();
  if (status == 0) return;
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the server ended with status {}, wanted 0; its log says why", status));
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
