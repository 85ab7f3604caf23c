#include "server/server_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/check.h"
#include "base/hashing.h"
#include "server/api_error.h"

namespace nvllm::server {

std::int64_t LiveCalls::add(std::function<void()> end) {
  const std::lock_guard lock(mutex_);
  ends_.emplace(++next_, std::move(end));
  return next_;
}

void LiveCalls::remove(std::int64_t ticket) {
  const std::lock_guard lock(mutex_);
  ends_.erase(ticket);
}

void LiveCalls::end_all() {
  std::vector<std::function<void()>> ends;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [ticket, end] : ends_) ends.push_back(end);
  }
  for (const auto& end : ends) end();
}

std::int64_t LiveCalls::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::int64_t>(ends_.size());
}

IdSource::IdSource()
    : seed_([] {
        std::random_device device;
        return (static_cast<std::uint64_t>(device()) << 32) | device();
      }()) {}

std::string IdSource::next(const std::string& prefix) {
  const std::uint64_t index = counter_.fetch_add(1);
  return fmt::format("{}{:016x}{:016x}", prefix, random_bits(seed_, 2 * index),
                     random_bits(seed_, 2 * index + 1));
}

const ServedModel& ServerContext::require_model() const {
  const ServedModel* served = model();
  if (served != nullptr) return *served;
  throw ApiError({.status = 503,
                  .message = "the model is still loading",
                  .code = "loading",
                  .retry_after_seconds = 1});
}

void ServerContext::set_model(std::unique_ptr<ServedModel> model) {
  NVLLM_CHECK(model_ == nullptr);
  model_ = std::move(model);
  ready_.store(model_.get(), std::memory_order_release);
  // A drain that began while the model was loading must reach it, too.
  if (draining_) model_->generator->drain();
}

void ServerContext::begin_drain() {
  draining_ = true;
  if (const ServedModel* served = model()) served->generator->drain();
}

void check_model_name(const ServerContext& context, const std::string& name) {
  const auto& names = context.identity().model_names;
  if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
  throw ApiError({.status = 404,
                  .message = fmt::format("the model asked for does not exist here; this server has "
                                         "\"{}\"",
                                         names.front()),
                  .param = "model",
                  .code = "model_not_found"});
}

}  // namespace nvllm::server
