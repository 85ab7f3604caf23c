// GET /v1/models.
#include "server/endpoints.h"

namespace nvllm::server {

void serve_models(ServerContext& context, const ExchangePtr& exchange) {
  const ServedModel& model = context.require_model();
  Json list;
  list["object"] = "list";
  list["data"] = Json::array();
  for (const std::string& name : context.identity().model_names) {
    Json entry;
    entry["id"] = name;
    entry["object"] = "model";
    entry["created"] = context.identity().created;
    entry["owned_by"] = "nvllm";
    entry["root"] = context.identity().model_names.front();
    entry["parent"] = nullptr;
    entry["max_model_len"] = model.generator->limits().max_model_len;
    list["data"].push_back(std::move(entry));
  }
  exchange->respond({.body = dump_json(list)});
}

}  // namespace nvllm::server
