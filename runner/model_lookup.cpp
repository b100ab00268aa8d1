#include "runner/model_lookup.hpp"

#include "core/error.hpp"

#include <cstdlib>
#include <vector>

namespace triseg {

namespace fs = std::filesystem;

fs::path find_model(const std::string& explicit_path, const std::string& model, const std::string& data,
                    const std::string& backend) {
  if (!explicit_path.empty()) {
    if (!fs::is_regular_file(explicit_path)) fail("--teacher: {}: no such file", explicit_path);
    return explicit_path;
  }
  const std::string name = fmt::format("{}-{}{}{}.h5", model, data_set_name(data), backend == "fbgemm" ? "" : "-",
                                       backend == "fbgemm" ? "" : backend);
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  std::vector<fs::path> folders;
  if (const char* folder = std::getenv("TRISEG_MODELS")) folders.emplace_back(folder);
  folders.push_back((program / "../../../models").lexically_normal());
  folders.push_back((program / "../share/triseg/models").lexically_normal());
  std::string looked;
  for (const fs::path& folder : folders) {
    if (fs::is_regular_file(folder / name)) return folder / name;
    looked += (looked.empty() ? "" : ", ") + folder.string();
  }
  fail("no model {} in {}: train one (triseg train --model {} --data {} --backend {}) and name it with --teacher", name, looked,
       model, data, backend);
}

ModelFile load_teacher(const std::string& explicit_path, const std::string& model, const std::string& data_name,
                       const std::string& backend, const DataSet& data) {
  parse_scheme(backend);
  const fs::path path = find_model(explicit_path, model, data_name, backend);
  ModelFile file = load_model_file(path);
  const QuantizedNetwork& network = file.network;
  if (network.network.name != model) fail("{} is a {}, not the model {} asked for", path.string(), network.network.name, model);
  if (scheme_name(network.scheme) != backend)
    fail("{} is quantized for {}, not for the backend {} asked for", path.string(), scheme_name(network.scheme), backend);
  check_fit(network.network, data);
  if (network.data != data.name) fail("{} was trained on {}, not on the data set {} asked for", path.string(), network.data, data.name);
  return file;
}

}  // namespace triseg
