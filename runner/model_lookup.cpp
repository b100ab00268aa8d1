#include "runner/model_lookup.hpp"

#include "core/error.hpp"
#include "network/recipes.hpp"
#include "runner/options/search_options.hpp"
#include "runner/options/shipped_files.hpp"

#include <spdlog/spdlog.h>

#include <cstdlib>
#include <set>
#include <vector>

namespace triseg {

namespace fs = std::filesystem;

namespace {

/// The model in the file if it is such a one, trained on these very images.
std::optional<ModelFile> model_of(const fs::path& path, const std::string& model, Scheme backend, const DataSet& data) {
  try {
    ModelFile file = load_model_file(path);
    const QuantizedNetwork& network = file.network;
    if (network.network.name == model && network.scheme == backend && network.data_sha256 == data.sha256) return file;
  } catch (const Error&) {  // load_teacher says what is wrong with it, if it is the one
  }
  return std::nullopt;
}

/// The files of a folder that are models of this name, or of any if it is empty, in alphabetical order.
std::set<fs::path> models_in(const fs::path& folder, const std::string& model) {
  std::set<fs::path> paths;
  std::error_code no_folder;
  for (const auto& entry : fs::directory_iterator(folder, no_folder))
    if ((model.empty() || entry.path().filename().string().starts_with(model + "-")) &&
        entry.path().extension() == ".h5")
      paths.insert(entry.path());
  return paths;
}

/// What --data takes, for messages.
std::string described(const DataSet& data) {
  return data.source == data.name ? data.name : fmt::format("the data in {}", data.source);
}

/// The command that makes a teacher for these images, for messages.
std::string how_to_train(const std::string& model, Scheme backend, const DataSet& data) {
  return fmt::format("train one (triseg train --model {} --data {} --backend {})", model, data.source,
                     scheme_name(backend));
}

ModelFile find_model(const std::string& explicit_path, const std::string& model, Scheme backend, const DataSet& data) {
  if (!explicit_path.empty()) {
    if (fs::is_directory(explicit_path)) fail("--teacher: {}: expected a model file, found a folder", explicit_path);
    if (!fs::exists(explicit_path)) fail("--teacher: {}: no such file", explicit_path);
    return load_model_file(explicit_path);
  }
  const std::string name = fmt::format("{}-{}{}.h5", model, data.name, backend == Scheme::fbgemm ? "" : "-qnnpack");
  std::vector<fs::path> folders;
  if (const char* folder = std::getenv("TRISEG_MODELS")) folders.emplace_back(folder);
  folders.push_back(shipped_folder() / "models");
  std::string looked;
  for (const fs::path& folder : folders) looked += (looked.empty() ? "" : ", ") + folder.string();
  fs::path named;
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder)
    if (fs::is_regular_file(*folder / name)) named = *folder / name;
  if (!named.empty())
    if (auto file = model_of(named, model, backend, data)) return std::move(*file);
  for (const fs::path& folder : folders)
    for (const fs::path& path : models_in(folder, model))
      if (auto file = model_of(path, model, backend, data)) return std::move(*file);
  if (!named.empty()) return load_model_file(named);  // load_teacher says what is wrong with it
  std::set<std::string> there;
  for (const fs::path& folder : folders)
    for (const fs::path& path : models_in(folder, "")) there.insert(path.filename().string());
  fail("no model {} in {}, where {}: name its file with --teacher{}", name, looked,
       there.empty() ? "there is none" : fmt::format("there are {}", fmt::join(there, ", ")),
       is_recipe(model) ? ", or " + how_to_train(model, backend, data) : "");
}

}  // namespace

ModelFile load_teacher(const std::string& explicit_path, const std::string& model, std::optional<Scheme> backend,
                       const DataSet& data) {
  ModelFile file =
      find_model(explicit_path, model.empty() ? default_model : model, backend.value_or(Scheme::fbgemm), data);
  const fs::path& path = file.path;
  const QuantizedNetwork& network = file.network;
  if (!model.empty() && network.network.name != model)
    fail("{} holds the model {}, not {} as asked for", path.string(), network.network.name, model);
  if (backend && network.scheme != *backend)
    fail("{} is quantized for {}, not for the backend {} asked for", path.string(), scheme_name(network.scheme),
         scheme_name(*backend));
  check_fit(network.network, data);
  const bool has_digest = !network.data_sha256.empty();
  if (!has_digest && network.data.empty())
    spdlog::warn("warning: {} does not say which images it was trained on: those of {} are taken", path.string(),
                 data.source);
  else if (has_digest ? network.data_sha256 != data.sha256 : network.data != data.name)
    fail("{} was trained on {}{}, not on {} (sha256 {:.12}...): name its images with --data{}", path.string(),
         network.data, has_digest ? fmt::format(" (sha256 {:.12}...)", network.data_sha256) : "", described(data),
         data.sha256,
         is_recipe(network.network.name)
             ? ", or another teacher with --teacher; " + how_to_train(network.network.name, network.scheme, data)
             : ", or another teacher with --teacher");
  return file;
}

}  // namespace triseg
