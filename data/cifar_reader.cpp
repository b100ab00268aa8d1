#include "core/error.hpp"
#include "data/dataset_readers.hpp"
#include "data/input_file.hpp"

namespace triseg {
namespace {

namespace fs = std::filesystem;

/// One label byte of a record.
struct LabelByte {
  std::string_view name;
  int classes;
};

/// Appends the records of a file: label bytes, of which the last is the label that counts, and 3 x 32 x 32 pixel bytes.
void append_records(const fs::path& path, std::span<const LabelByte> label_bytes, Images& images) {
  constexpr std::size_t pixels = 3 * 32 * 32;
  const std::size_t record_size = label_bytes.size() + pixels;
  InputFile file(path);
  std::vector<std::uint8_t> record(pixels);
  std::uint8_t label = 0;
  std::size_t count = 0;
  for (; file.next(label, "the end of the file or another record"); ++count) {
    for (std::size_t i = 0; i < label_bytes.size(); ++i) {
      const auto& [name, classes] = label_bytes[i];
      if (i > 0) file.read(std::span(&label, 1), fmt::format("the {} of record {}", name, count));
      if (label >= classes)
        fail("{}: offset {}: {} {}, expected 0 to {}", file.path(), count * record_size + i, name, label, classes - 1);
    }
    file.read(record, fmt::format("the {} pixels of record {}", pixels, count));
    images.labels.push_back(label);
    images.pixels.insert(images.pixels.end(), record.begin(), record.end());
  }
  if (count == 0) fail("{}: offset 0: the file is empty, expected records of {} bytes", file.path(), record_size);
}

}  // namespace

bool is_cifar10_folder(const fs::path& folder) { return fs::exists(folder / "data_batch_1.bin"); }

bool is_cifar100_folder(const fs::path& folder) { return fs::exists(folder / "train.bin"); }

DataSet read_cifar10_folder(const fs::path& folder) {
  constexpr LabelByte label[] = {{"label", 10}};
  DataSet data;
  for (Images* images : {&data.train, &data.test}) *images = Images{3, 32, 32, {}, {}};
  for (int batch = 1; batch <= 5; ++batch)
    append_records(folder / fmt::format("data_batch_{}.bin", batch), label, data.train);
  append_records(folder / "test_batch.bin", label, data.test);
  return data;
}

DataSet read_cifar100_folder(const fs::path& folder) {
  constexpr LabelByte labels[] = {{"coarse label", 20}, {"fine label", 100}};
  DataSet data;
  data.classes = 100;
  for (Images* images : {&data.train, &data.test}) *images = Images{3, 32, 32, {}, {}};
  append_records(folder / "train.bin", labels, data.train);
  append_records(folder / "test.bin", labels, data.test);
  return data;
}

}  // namespace triseg
