#include "support/safetensors_builder.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <span>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "tensor/dtype.h"

namespace nvllm::testing {

std::string safetensors_container(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  file += header;
  file += data;
  return file;
}

SafetensorsBuilder SafetensorsBuilder::from_file(const std::filesystem::path& path) {
  const std::string file = read_text(path);
  SafetensorsBuilder builder;
  for (const checkpoint::TensorInfo& tensor :
       checkpoint::parse_safetensors(std::as_bytes(std::span(file)), path.string())) {
    builder.set(tensor.name, {std::string(to_string(tensor.dtype)), tensor.shape,
                              file.substr(static_cast<std::size_t>(tensor.begin),
                                          static_cast<std::size_t>(tensor.bytes()))});
  }
  return builder;
}

void SafetensorsBuilder::rename(const std::string& from, const std::string& to) {
  auto node = tensors_.extract(from);
  node.key() = to;
  tensors_.insert(std::move(node));
}

std::string SafetensorsBuilder::file() const {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors_) {
    Json& entry = header[name];
    entry["dtype"] = tensor.dtype;
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {data.size(), data.size() + tensor.bytes.size()};
    data += tensor.bytes;
  }
  return safetensors_container(dump_json(header), data);
}

void SafetensorsBuilder::write(const std::filesystem::path& path) const {
  write_text(path, file());
}

std::string f32_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string bf16_bytes(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    const Bf16 rounded = to_bf16(value);
    bytes.append(reinterpret_cast<const char*>(&rounded.bits), 2);
  }
  return bytes;
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace nvllm::testing
