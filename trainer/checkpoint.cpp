#include "trainer/checkpoint.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/same_work.hpp"
#include "core/sha256.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <string_view>

namespace triseg {
namespace {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

/// The first line of the file; the second is the SHA-256 of all that follows, an archive of LibTorch's.
constexpr std::string_view format = "triseg-training 2\n";
constexpr std::size_t digest_size = 64, header_size = format.size() + digest_size + 1;
constexpr int history_columns = 5;

void write_text(OutputArchive& archive, const std::string& key, const std::string& text) {
  archive.write(key, c10::IValue(text));
}

std::string read_text(InputArchive& archive, const std::string& key) {
  c10::IValue value;
  archive.read(key, value);
  return value.toStringRef();
}

void write_numbers(OutputArchive& archive, const std::string& key, const std::vector<double>& values) {
  archive.write(key, torch::tensor(values, torch::kFloat64));
}

std::vector<double> read_numbers(InputArchive& archive, const std::string& key) {
  torch::Tensor tensor;
  archive.read(key, tensor);
  tensor = tensor.to(torch::kFloat64).contiguous();
  return {tensor.data_ptr<double>(), tensor.data_ptr<double>() + tensor.numel()};
}

/// Names of submodules may not hold dots: tensors are numbered, their names are one text.
void write_tensors(OutputArchive& archive, const std::string& key, const TrainingTensors& tensors) {
  std::string names;
  int index = 0;
  for (const auto& [name, values] : tensors) {
    names += name + "\n";
    archive.write(fmt::format("{}_{}", key, index++), torch::tensor(values, torch::kFloat32));
  }
  write_text(archive, key + "_names", names);
}

TrainingTensors read_tensors(InputArchive& archive, const std::string& key) {
  TrainingTensors result;
  const std::string names = read_text(archive, key + "_names");
  int index = 0;
  for (std::size_t begin = 0, end; (end = names.find('\n', begin)) != std::string::npos; begin = end + 1) {
    torch::Tensor tensor;
    archive.read(fmt::format("{}_{}", key, index++), tensor);
    tensor = tensor.to(torch::kFloat32).contiguous();
    result[names.substr(begin, end - begin)] = {tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel()};
  }
  return result;
}

}  // namespace

std::optional<TrainingCheckpoint> load_checkpoint(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const std::string bytes = read_text(path);
  const std::string_view text = bytes;
  if (!text.starts_with(format))
    fail("{}: no checkpoint of a training by this version of triseg: choose another --checkpoint, or remove it",
         path.string());
  const std::string_view content = text.substr(std::min(header_size, text.size()));
  if (text.substr(format.size(), digest_size) != sha256_hex(content))
    fail("{}: its content does not have the digest of its second line: it was damaged; remove it to start again",
         path.string());
  TrainingCheckpoint result;
  try {
    InputArchive archive;
    archive.load_from(content.data(), content.size());
    result.configuration = read_text(archive, "configuration");
    const auto scalars = read_numbers(archive, "scalars");
    result.folded = scalars.at(0) != 0;
    result.best_epoch = int(scalars.at(1));
    result.float_validation_accuracy = scalars.at(2);
    result.float_test_accuracy = scalars.at(3);
    result.tensors = read_tensors(archive, "tensors");
    result.best = read_tensors(archive, "best");
    const auto history = read_numbers(archive, "history");
    for (std::size_t i = 0; i + history_columns <= history.size(); i += history_columns)
      result.history.push_back({int(history[i]), history[i + 1] != 0, history[i + 2], history[i + 3], history[i + 4]});
  } catch (const std::exception&) {  // LibTorch's messages span many lines
    fail("{}: its content is not that of a checkpoint: remove it to start again", path.string());
  }
  return result;
}

std::optional<TrainingCheckpoint> load_checkpoint_of(const std::string& configuration,
                                                     const std::filesystem::path& path) {
  auto found = load_checkpoint(path);
  const std::string differs = found ? difference(parse_work(found->configuration), parse_work(configuration)) : "";
  if (!differs.empty())
    fail("{}: a checkpoint of another configuration: {}; remove it, or choose another --checkpoint", path.string(),
         differs);
  return found;
}

void save_checkpoint(const std::filesystem::path& path, const TrainingCheckpoint& checkpoint) {
  OutputArchive archive;
  write_text(archive, "configuration", checkpoint.configuration);
  write_numbers(archive, "scalars",
                {double(checkpoint.folded), double(checkpoint.best_epoch), checkpoint.float_validation_accuracy,
                 checkpoint.float_test_accuracy});
  write_tensors(archive, "tensors", checkpoint.tensors);
  write_tensors(archive, "best", checkpoint.best);
  std::vector<double> history;
  for (const EpochRecord& r : checkpoint.history)
    history.insert(history.end(), {double(r.epoch), double(r.quantized), r.loss, r.validation_accuracy, r.seconds});
  write_numbers(archive, "history", history);

  std::string content;  // LibTorch's own writer to a file ends the program when the disk is full
  archive.save_to([&](const void* data, std::size_t size) {
    content.append(static_cast<const char*>(data), size);
    return size;
  });
  commit_file(path, fmt::format("{}{}\n{}", format, sha256_hex(content), content));
}

}  // namespace triseg
