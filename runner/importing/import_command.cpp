// triseg import: a model file of a quantized network in an ONNX file.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "importer/import_onnx.hpp"
#include "learner/files/model_file.hpp"
#include "network/problem.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/commands.hpp"
#include "runner/options/command_line.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace triseg {
namespace {

struct ImportCommand {
  std::string file, out, name, output, preprocessing, layout = "auto", input, attention_layers = "default";
  bool dry_run = false;
};

/// "3,32,32".
Shape parse_shape(const std::string& text) {
  int sizes[3];
  const char* at = text.c_str();
  for (int i = 0; i < 3; ++i) {
    char* end = nullptr;
    const long size = std::strtol(at, &end, 10);
    if (end == at || *end != (i < 2 ? ',' : 0) || size < 1 || size > 65536)
      fail("--input {}: expected channels, height and width, as 3,32,32", text);
    sizes[i] = static_cast<int>(size);
    at = end + 1;
  }
  return {sizes[0], sizes[1], sizes[2]};
}

ImportOptions options_of(const ImportCommand& command) {
  ImportOptions options;
  options.name = command.name;
  options.output = command.output;
  options.attention_layers = command.attention_layers;
  if (command.layout == "nchw") options.layout = ImageLayout::nchw;
  else if (command.layout == "nhwc") options.layout = ImageLayout::nhwc;
  else if (command.layout != "auto") fail("--layout: expected auto, nchw or nhwc, found '{}'", command.layout);
  if (!command.input.empty()) options.input = parse_shape(command.input);
  if (!command.preprocessing.empty()) set_preprocessing(options, command.preprocessing);
  return options;
}

std::string list_of(const Network& n, const std::vector<std::size_t>& nodes) {
  std::string names;
  for (const std::size_t node : nodes) names += (names.empty() ? "" : ", ") + n.nodes[node].name;
  return names.empty() ? "none" : names;
}

int run_import(const ImportCommand& command) {
  if (command.out.empty() && !command.dry_run) fail("import: expected --out MODEL.h5, or --dry-run");
  if (!command.out.empty() && std::filesystem::exists(command.out))
    fail("--out: {} is there already; remove it or choose another --out", command.out);
  const Imported imported = import_onnx(command.file, options_of(command));
  const QuantizedNetwork& model = imported.network;
  const Network& n = model.network;
  for (const std::string& note : imported.notes) fmt::print("{}\n", printable(note));
  fmt::print("\n{}: {} nodes, {:.4g} million multiply-accumulates, image {} x {} x {}, {} classes, {}\n", n.name,
             n.nodes.size(), n.macs() / 1e6, n.input.channels, n.input.height, n.input.width, n.classes,
             scheme_name(model.scheme));
  const bool any = std::any_of(n.nodes.begin(), n.nodes.end(), [](const Node& node) { return node.relu; });
  fmt::print("Sites: {}\n", list_of(n, any ? select_sites(n, "all") : std::vector<std::size_t>{}));
  fmt::print("Attention layers: {}\n", list_of(n, select_attention_layers(n, "default")));
  if (command.dry_run) return 0;
  const auto folder = std::filesystem::path(command.out).parent_path();
  ensure_writable_folder(folder.empty() ? "." : folder);
  Provenance provenance;
  provenance.command_line = command_line();
  save_model(command.out, model, provenance);
  if (any)
    spdlog::info("{} written. Search it with: triseg search --teacher {} --data FOLDER", command.out,
                 shell_word(command.out));
  else spdlog::warn("{} written. It has no value behind a ReLU, which a search could approximate", command.out);
  return 0;
}

}  // namespace

void setup_import(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<ImportCommand>();
  CLI::App* app = program.add_subcommand("import", "Make a model file of a quantized network in an ONNX file");
  app->add_option("file", command->file, "ONNX file with activations and weights of 8 bits")
      ->required()
      ->check(path_text("an ONNX file"));
  add(*app, "Options", "--out", command->out, "Model file to write")->check(path_text("a file"));
  add(*app, "Options", "--name", command->name, "Name of the network (default: the file's)");
  add(*app, "Options", "--output", command->output,
      "The tensor that is the logits, where the graph has several outputs or goes on behind it");
  add(*app, "Options", "--preprocessing", command->preprocessing,
      "How pixels become the graph's input: imagenet, cifar10, 0..1, 0..255 or MEAN/DEVIATION of pixels from 0 to 1, "
      "numbers of several channels separated by commas; needed unless the graph takes pixels as integers")
      ->check(offers({"imagenet", "cifar10", "0..1", "0..255"}));
  add(*app, "Options", "--layout", command->layout, "Where the image's channels are: auto, nchw or nhwc")
      ->check(offers({"auto", "nchw", "nhwc"}));
  add(*app, "Options", "--input", command->input,
      "Channels, height and width of the image, as 3,32,32, where the file leaves them open");
  add(*app, "Options", "--attention-layers", command->attention_layers,
      "Attention layers by default: names, kinds or patterns separated by commas, none, or default");
  add_flag(*app, "Options", "--dry-run", command->dry_run, "Say what each node becomes and write nothing");
  app->callback([=, &exit_code] { exit_code = run_import(*command); });
}

}  // namespace triseg
