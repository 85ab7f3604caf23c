#include "checkpoint/checkpoint.h"

#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/folder_checkpoint.h"
#include "checkpoint/synthetic.h"

namespace nvllm::checkpoint {

Checkpoint Checkpoint::open(const std::string& model, GdnParameters gdn) {
  constexpr std::string_view kSyntheticPrefix = "synthetic:";
  if (model.starts_with(kSyntheticPrefix)) {
    return Checkpoint(SyntheticCheckpoint::open(model.substr(kSyntheticPrefix.size()), gdn));
  }
  return Checkpoint(std::make_unique<FolderCheckpoint>(model, gdn));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

const ModelConfig& Checkpoint::config() const { return impl_->config(); }
const std::string& Checkpoint::folder() const { return impl_->folder(); }
MatrixSource Checkpoint::matrix(const std::string& module) const { return impl_->matrix(module); }
MatrixFormat Checkpoint::format(const std::string& module) const { return impl_->format(module); }
std::vector<float> Checkpoint::vector(const std::string& tensor) const {
  return impl_->vector(tensor);
}
bool Checkpoint::has(const std::string& name) const { return impl_->has(name); }
std::int64_t Checkpoint::weight_bytes() const { return impl_->weight_bytes(); }

}  // namespace nvllm::checkpoint
