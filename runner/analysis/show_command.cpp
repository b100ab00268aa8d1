// triseg show: a run, result or model file for people.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "core/hdf5/hdf5.hpp"
#include "learner/files/model_file.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/selection.hpp"
#include "runner/analysis/pictures.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/results_table.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace triseg {
namespace {

using Pointer = nlohmann::ordered_json::json_pointer;

constexpr int columns = 64;

void print_codes_header() { fmt::print("{:<10}{:>5}{:>5}{:>5}{:>5}{:>6}\n", "site", "t1", "v1", "t2", "v2", "tmax"); }

void print_codes(const std::string& site, const Codes& c) {
  fmt::print("{:<10}{:>5}{:>5}{:>5}{:>5}{:>6}", site, c.t1, c.v1, c.t2, c.v2, c.tmax);
}

/// How many codes a picture shows: what lies somewhat beyond tmax, so that it can be seen what passes.
int shown_codes(const Codes& c) { return std::clamp((c.tmax * 3 / 2 + 7) / 8 * 8, 16, 256); }

struct Chosen {
  std::string what;
  std::vector<Codes> codes;
};

Chosen chosen_codes(const RunData& run) {
  if (run.finished) return {"the selected student", run.top[run.selected.top_index].codes};
  for (const std::size_t i : best_episodes(run.episodes, run.updates, 1))
    return {fmt::format("the best episode so far, {}", i), run.episodes[i].codes};
  std::vector<Codes> start;
  for (const SiteData& site : run.sites) start.push_back(site.start);
  return {"the start", start};
}

void show_run(const RunData& run) {
  fmt::print("run: {} on {}, {}, seed {}: {}, {} of {} episodes\n", run.network.display_name, printable(run.data),
             run.backend, run.seed, run.finished ? "finished" : "not finished", run.episodes.size(),
             run.episodes_total);
  if (run.sites.empty()) return;
  const Chosen chosen = chosen_codes(run);
  fmt::print(
      "codes of {}; histograms of calibration (logarithmic), and what becomes of each code: 0, v1, v2, / passes\n",
      chosen.what);
  print_codes_header();
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    const Codes& c = chosen.codes[i];
    const Histogram& histogram = run.sites[i].histogram;
    const int codes = shown_codes(c);
    const SiteShares shares = site_shares(histogram, c);
    print_codes(run.sites[i].name, c);
    fmt::print("   {}\n", histogram_picture(histogram, codes, std::min(codes, columns)));
    fmt::print("{:<39}{}  0..{}\n", "", staircase_picture(c, codes, std::min(codes, columns)), codes - 1);
    fmt::print("{:<39}zero {:.1f} %, v1 {:.1f} %, v2 {:.1f} %, passes {:.1f} %\n", "", 100 * shares.zero,
               100 * shares.v1, 100 * shares.v2, 100 * shares.passed);
  }
  if (run.finished) fmt::print("{}", outcome_lines(run));
}

void show_result(const std::string& path) {
  const ResultFile file(path);
  const auto json = nlohmann::ordered_json::parse(file.text());
  const std::string model = file.origin().model.value_or("");
  const auto all_codes = file.named_codes();  // before anything is printed: it may be no result
  fmt::print("result: {}{}{}, repair {}\n", model.empty() ? "a network that it does not name" : printable(model),
             file.origin().data ? " on " + printable(*file.origin().data) : "",
             json.contains("selection") && json["selection"].is_string()
                 ? "; " + printable(json["selection"].get<std::string>())
                 : "",
             printable(json.value(Pointer("/repair/mode"), "none")));
  print_codes_header();
  for (const auto& [site, codes] : all_codes) {
    const int shown = shown_codes(codes);
    print_codes(printable(site), codes);
    fmt::print("   {}  0..{}\n", staircase_picture(codes, shown, std::min(shown, columns)), shown - 1);
  }
  const auto number = [&](const char* name, const Pointer& at, const char* unit, double factor = 1) {
    if (json.contains(at) && json[at].is_number())
      fmt::print("{:<28}{:>12.6g} {}\n", name, factor * json[at].get<double>(), unit);
  };
  number("validation KD", Pointer("/selected/kd"), "nats");
  number("test KD", Pointer("/metrics/kd"), "nats");
  number("test accuracy, teacher", Pointer("/metrics/acc_teacher"), "%");
  number("test accuracy, student", Pointer("/metrics/acc_student"), "%");
  number("accuracy drop", Pointer("/metrics/acc_drop"), "points");
  number("coverage", Pointer("/cost/coverage"), "%", 100);
  number("coded size", Pointer("/cost/coded_bits"), "bits an activation");
}

std::string text_of(const Shape& s) { return fmt::format("{}x{}x{}", s.channels, s.height, s.width); }

void show_model(const std::string& path) {
  const ModelFile file = load_model_file(path);
  const QuantizedNetwork& model = file.network;
  const Network& network = model.network;
  fmt::print("model: {} ({}), {}, trained on {}: {} in, {} classes, {:.3g} million multiplications an image\n",
             network.display_name, network.name, scheme_name(model.scheme), printable(model.data),
             text_of(network.input), network.classes, network.macs() / 1e6);
  if (file.provenance.int8_test_accuracy > 0)
    fmt::print("accuracy on the test split: float {:.2f} %, INT8 {:.2f} %\n", file.provenance.float_accuracy,
               file.provenance.int8_test_accuracy);
  fmt::print("sha256 {}\n", file.sha256);
  std::size_t widest = 9;
  for (const Node& node : network.nodes) widest = std::max(widest, node.name.size());
  const auto row = [&](const auto&... cells) {
    fmt::print("{:<{}}{:>12}{:>14}{:>14}{:>8}{:>8}{:>9}{:>10}{:>7}{:>12}{:>6}\n", cells...);
  };
  row("node", widest + 1, "kind", "in", "out", "window", "stride", "padding", "dilation", "groups", "scale", "site");
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    const Window& w = node.window;
    const bool windowed = node.operation == Operation::convolution || node.operation == Operation::average ||
                          node.operation == Operation::maximum;
    const auto sides = [&](int y, int x) {
      return !windowed ? std::string("-") : y == x ? fmt::format("{}", y) : fmt::format("{}x{}", y, x);
    };
    const bool even = w.pad_top == w.pad_bottom && w.pad_left == w.pad_right;
    row(node.name, widest + 1, kind_name(network, node), node.inputs.empty() ? "-" : text_of(network.input_shape(node)),
        text_of(node.shape), sides(w.height, w.width), sides(w.stride_y, w.stride_x),
        !windowed || even ? sides(w.pad_top, w.pad_left)
                          : fmt::format("{},{},{},{}", w.pad_top, w.pad_left, w.pad_bottom, w.pad_right),
        sides(w.dilation_y, w.dilation_x),
        node.operation == Operation::convolution ? fmt::format("{}", node.groups) : "-",
        fmt::format("{:.5g}", model.nodes[i].output.scale), node.relu ? "yes" : "no");
  }
}

/// The format that an HDF5 file of triseg's says it has.
std::string format_of(const std::string& path) {
  const hdf5::File file = hdf5::File::open(read_file(path), path);
  return file.has_attribute("/", "format") ? file.read_attribute("/", "format").string() : std::string();
}

/// The one run file of a folder that a search was given as --out.
std::string run_in(const std::filesystem::path& folder) {
  std::vector<std::string> runs;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "tri_ppo_int_codes", unreadable))
    if (entry.path().extension() == ".h5" && !entry.path().filename().string().starts_with('.'))
      runs.push_back(entry.path().string());
  std::sort(runs.begin(), runs.end());
  if (runs.empty())
    fail("{} is a folder without a search's files: expected a file, or what a search has as --out", folder.string());
  if (runs.size() > 1) fail("{} has {} runs: expected one of {}", folder.string(), runs.size(), fmt::join(runs, ", "));
  return runs.front();
}

int run_show(const std::string& given) {
  if (given.empty())
    throw CLI::ParseError("show: expected a run file (NAME.h5), a result file (NAME.json) or a model file",
                          CLI::ExitCodes::RequiredError);
  std::error_code ignored;
  const std::string path = std::filesystem::is_directory(given, ignored) ? run_in(given) : given;
  if (std::filesystem::path(path).extension() != ".h5") show_result(path);
  else if (format_of(path) == model_format) show_model(path);
  else show_run(read_run(path));
  return 0;
}

}  // namespace

void setup_show(CLI::App& program, int& exit_code) {
  auto path = std::make_shared<std::string>();
  CLI::App* app = program.add_subcommand("show", "A run, result or model file as a table, with pictures in text");
  app->add_option("file", *path,
                  "Run file (NAME.h5), result file (NAME.json) or model file; or the --out of a search, for its run")
      ->check(path_text("a file"));
  app->callback([=, &exit_code] { exit_code = run_show(*path); });
}

}  // namespace triseg
