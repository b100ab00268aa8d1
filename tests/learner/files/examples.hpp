// Made-up content with awkward values, and comparisons that know every member.
#pragma once

#include "core/error.hpp"
#include "network/quantized_network.hpp"
#include "learner/run_data.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// A run of AlexNet. The same arguments make the same content.
RunData example_run(bool finished = true, std::size_t episodes = 40);

/// A model whose weights are pseudo-random and whose scales satisfy check().
QuantizedNetwork example_model(std::string_view name = "lenet5", Scheme scheme = Scheme::fbgemm);
/// A graph that has every operation and gives every member of a node another value than its default.
QuantizedNetwork example_graph();

/// The member in which two runs differ, or "". Does not compile any more when a struct gains a member.
std::string difference(const RunData& a, const RunData& b);
std::string difference(const QuantizedNetwork& a, const QuantizedNetwork& b);

/// A folder for one test's files, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What the function's Error says, or "" if it throws none.
template <class Function>
std::string error_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Runs a Python script of this folder (or a path below the repository) with arguments; returns its exit status, and
/// its output, both streams, in `output`.
int run_python(const std::string& script, const std::vector<std::string>& arguments, std::string& output);

}  // namespace triseg
