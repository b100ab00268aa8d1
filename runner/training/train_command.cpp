#include "runner/training/train_command.hpp"

#include "core/atomic_file.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/same_work.hpp"
#include "learner/files/model_file.hpp"
#include "network/recipe_file.hpp"
#include "runner/options/command_line.hpp"
#include "runner/options/shipped_files.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/training/training_files.hpp"
#include "runner/display/progress.hpp"
#include "runner/ranks/signals.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

namespace triseg {
namespace {

constexpr std::uint32_t test_batch = 250;
constexpr int largest_shift = 4095;  // of the largest input that a network can have; check() knows the network's own

/// True for a recipe file, false for the name of a shipped recipe.
bool is_file(const std::string& model) { return model.ends_with(".toml"); }

/// The recipe that --model means.
Recipe recipe_of(const std::string& model, int classes = 10) {
  if (is_file(model)) return read_recipe("--model", or_shipped(model), classes);
  if (!is_recipe(model))
    fail("--model: unknown model '{}': expected one of {}, or a recipe file whose name ends in .toml", model,
         fmt::join(recipe_names(), ", "));
  return make_recipe(model, classes);
}

/// What made a model, or nothing if this version cannot parse its command line.
std::optional<Work> work_of(const ModelFile& file) {
  std::vector<std::string> words = words_of(file.provenance.command_line);
  if (words.size() < 2 || words[1] != "train") return std::nullopt;
  words.erase(words.begin(), words.begin() + 2);
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  CLI::App app;
  TrainOptions options;
  declare_train_options(app, options);
  try {
    app.parse(words);
    resolve_train_options(options);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  Work work;
  try {
    const Recipe recipe = recipe_of(options.model, file.network.network.classes);
    work = parse_work(configuration(recipe, file.network.data_sha256, options.training));
    if (is_file(options.model) && recipe.network.nodes != file.network.network.nodes) work["recipe_sha256"] = "another";
  } catch (const Error&) {
    return std::nullopt;
  }
  if (file.network.data_sha256.empty()) work.erase("data_sha256");
  return work;
}

/// True if `out` is the finished model of this configuration. Throws Error if it is anything else.
bool is_done(const std::string& out, const std::string& wanted) {
  if (!std::filesystem::exists(out)) return false;
  if (!std::filesystem::is_regular_file(out)) fail("--out: {} exists and is not a file", out);
  const ModelFile file = load_model_file(out);
  const auto stored = work_of(file);
  if (!stored)
    fail(
        "--out: {} holds a model of another configuration, made by a command that this version cannot read: {}; remove "
        "it or choose "
        "another --out",
        out, file.provenance.command_line);
  const std::string differs = difference(*stored, parse_work(wanted));
  if (!differs.empty())
    fail("--out: {} holds a model of another configuration: {}; remove it or choose another --out", out, differs);
  return true;
}

double int8_test_accuracy(const QuantizedNetwork& network, const DataSet& data, const TrainOptions& options) {
  const int threads = options.training.threads > 0 ? options.training.threads : available_cores();
  const Problem problem = make_problem(network);
  Scorer scorer(problem, data, engine_factory(options.engine, problem), threads, 1.0);
  ScoreRequest request = image_range(Split::test, test_batch, 0, data.split_size(Split::test), {});
  request.candidates.resize(1);  // the teacher
  spdlog::info("Measuring INT8 test accuracy with engine {}", scorer.engine_description());
  Score sum;
  for (const Score& score : scorer.score(request, 0, request.items())) sum += score;
  return sum.teacher_accuracy();
}

/// Engines that accumulate in float32 need every accumulator below 2^24.
void report_bounds(const QuantizedNetwork& network) {
  constexpr double exact = 1 << 24;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    if (network.network.nodes[i].operation != Operation::convolution) continue;
    const double share = double(accumulator_bound(network, i)) / exact;
    const std::string& name = network.network.nodes[i].name;
    if (share < 1) spdlog::info("Accumulators of {} reach at most {:.3f} of 2^24", name, share);
    else spdlog::warn("Accumulators of {} can reach {:.3f} of 2^24, beyond what float32 sums exactly", name, share);
  }
}

void say_how_to_search(const TrainOptions& o, const Network& network) {
  spdlog::info("Search it with: triseg search --model {} --data {}{} --teacher {}", shell_word(network.name),
               shell_word(o.data), o.training.scheme == Scheme::qnnpack ? " --backend qnnpack" : "", shell_word(o.out));
}

/// The listener that keeps the terminal or the log informed. One progress display an epoch, over all images of the run.
class Report {
 public:
  Report(double interval_seconds, std::string checkpoint)
      : interval_seconds_(interval_seconds), checkpoint_(std::move(checkpoint)) {}

  TrainingListener listener() {
    return {[this](const TrainingProgress& p) { progress(p); }, [this](const EpochRecord& r) { epoch(r); },
            [this](int done, int epochs) { resumed(done, epochs); }, stop_signal_received};
  }

  /// Ends the line of a terminal's display.
  void end() { display_.reset(); }

 private:
  void progress(const TrainingProgress& p) {
    const std::uint64_t done = std::uint64_t(p.epoch - 1) * p.images_total + p.images;
    if (!display_)
      display_ = std::make_unique<Progress>("images", done - p.images, std::uint64_t(p.epochs) * p.images_total,
                                            interval_seconds_);
    display_->update(done, {fmt::format("epoch {}/{}{}", p.epoch, p.epochs, p.quantized ? " (INT8)" : ""),
                            fmt::format("loss {:.4f}", p.loss)});
  }

  void epoch(const EpochRecord& r) {
    display_.reset();
    spdlog::info("Epoch {} ({}): loss {:.4f}, validation accuracy {:.2f} %, {:.1f} s", r.epoch,
                 r.quantized ? "quantization-aware" : "float", r.loss, r.validation_accuracy, r.seconds);
  }

  void resumed(int done, int epochs) {
    if (done < epochs) spdlog::info("Continuing {} at epoch {} of {}", checkpoint_, done + 1, epochs);
    else spdlog::info("Continuing {}: all {} epochs are done", checkpoint_, epochs);
  }

  double interval_seconds_;
  std::string checkpoint_;
  std::unique_ptr<Progress> display_;
};

}  // namespace

void declare_train_options(CLI::App& app, TrainOptions& o) {
  const CLI::Validator positive = within(1e-12, 1e12);
  const auto results = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_results, name, value, description);
  };
  const auto speed = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_speed, name, value, description);
  };
  TrainingOptions& t = o.training;
  results("--model", o.model, fmt::format("Network: {}, or a recipe file *.toml", fmt::join(recipe_names(), ", ")))
      ->check(offers(recipe_names()))
      ->check(path_text("a network or a file"));
  results("--data", o.data,
          "Data set: fashion-mnist, shapes, an HDF5 file, or a folder of IDX files or of CIFAR's binary files")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"));
  results("--backend", o.backend, "Quantization scheme: fbgemm (weights per channel, 7-bit activations) or qnnpack")
      ->check(offers(scheme_names));
  results("--epochs", t.epochs, "Epochs in float")->check(whole(1, 1'000'000));
  results("--qat-epochs", t.qat_epochs, "Quantization-aware epochs after that; 0: only calibrate the ranges")
      ->check(whole(0, 1'000'000));
  results("--batch-size", t.batch_size, "Images a step")->check(whole(2, 1'000'000));
  results("--lr", t.learning_rate, "Peak learning rate of the float epochs: warm-up, then half a cosine to 0")
      ->check(positive);
  results("--qat-lr", t.qat_learning_rate, "First learning rate of the quantization-aware epochs: half a cosine to 0")
      ->check(positive);
  results("--momentum", t.momentum, "Nesterov momentum")->check(within(0, 0.999999));
  results("--weight-decay", t.weight_decay, "Decay of weights")->check(within(0, 1e12));
  results("--shift", t.augmentation.shift, "Training images move by up to this many pixels; 0: none do")
      ->check(whole(0, largest_shift));
  add_flags(app, changes_results, "--flip", "--no-flip", t.augmentation.flip,
            "Mirror half of the training images (default)");
  results("--seed", t.seed, "Seed of initial weights, image order, augmentation and dropout")
      ->check(whole(0, std::numeric_limits<std::uint64_t>::max()));

  app.add_option("--out", o.out, "Model file (default: models/MODEL-DATA.h5, with qnnpack MODEL-DATA-qnnpack.h5)")
      ->group(changes_speed)
      ->check(path_text("a file"));
  app.add_option("--checkpoint", o.checkpoint,
                 "State between epochs, removed once the model is written (default: OUT.checkpoint)")
      ->group(changes_speed)
      ->check(path_text("a file"));
  speed("--device", t.device, "What trains: auto, cpu or cuda")->check(offers({"auto", "cpu", "cuda"}));
  speed("--threads", t.threads, "Threads; 0: one per core. Another number changes the last bits of sums")
      ->check(whole(0, 1024));
  add_engine(app, o.engine, "What measures the INT8 test accuracy");
  speed("--progress-every", o.progress_every, "Seconds between progress lines where there is no terminal")
      ->check(positive);
}

void resolve_train_options(TrainOptions& o) {
  const Network network = recipe_of(o.model).network;
  o.training.scheme = parse_scheme(o.backend);
  check(o.training);
  if (o.out.empty())
    o.out = fmt::format("models/{}-{}{}.h5", network.name, data_set_name(o.data),
                        o.training.scheme == Scheme::qnnpack ? "-qnnpack" : "");
  check_name_length("--out", o.out);
  check_name_length("--checkpoint", o.checkpoint);
  if (o.checkpoint.empty()) o.checkpoint = o.out + ".checkpoint";
  if (same_file(o.checkpoint, o.out)) fail("--checkpoint and --out name the same file");
}

void ensure_training_threads(int threads) {
  constexpr int pools = 4;  // of pthreadpool, BLAS, and OpenMP for the forward and for the backward pass
  ensure_threads(pools * (threads > 0 ? threads : available_cores()));
}

int run_train(const TrainOptions& given) {
  catch_stop_signals("step");
  TrainOptions options = given;
  resolve_train_options(options);
  const DataSet data = load_data_set(options.data);
  const Recipe recipe = recipe_of(options.model, std::max(10, data.classes));
  const Network& network = recipe.network;
  check(options.training, network, data);
  std::optional<TrainingFiles> held;
  if (!std::filesystem::exists(options.out)) held.emplace(options.out, options.checkpoint);
  if (is_done(options.out, configuration(recipe, data.sha256, options.training))) {
    spdlog::info("{} is there already, made by these options: nothing to do", options.out);
    say_how_to_search(options, network);
    return 0;
  }
  for (const std::string& text : warnings(data)) spdlog::warn("warning: {}", text);
  const int cores = available_cores();
  if (options.training.threads > cores)
    spdlog::warn("--threads {} on {} cores: LibTorch's threads will wait for one another", options.training.threads,
                 cores);
  ensure_training_threads(options.training.threads);
  Report report(options.progress_every, options.checkpoint);
  auto trained = train(recipe, data, options.training, options.checkpoint, report.listener());
  report.end();
  if (!trained || stop_signal_received())
    return stopped_training(options.checkpoint, options.training.epochs + options.training.qat_epochs);
  TrainingResult& result = *trained;
  result.network.data_sha256 = data.sha256;
  report_bounds(result.network);
  Provenance provenance;
  provenance.command_line = command_line();
  provenance.seed = options.training.seed;
  provenance.epochs = options.training.epochs + options.training.qat_epochs;
  provenance.float_accuracy = result.checkpoint.float_test_accuracy;
  provenance.int8_test_accuracy = int8_test_accuracy(result.network, data, options);
  save_model(options.out, result.network, provenance);
  std::filesystem::remove(options.checkpoint);
  spdlog::info("{}: test accuracy {:.2f} % in float, {:.2f} % in INT8", options.out, provenance.float_accuracy,
               provenance.int8_test_accuracy);
  say_how_to_search(options, network);
  return 0;
}

void setup_train(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* app = program.add_subcommand("train", "Train a network and convert it to INT8");
  declare_train_options(*app, *options);
  arrange_help(*app, {{"Problem", {"--model", "--data", "--backend"}},
                      {"Training in float", {"--epochs", "--lr", "--batch-size", "--momentum", "--weight-decay"}},
                      {"Quantization-aware training", {"--qat-epochs", "--qat-lr"}},
                      {"Images", {"--shift", "--flip", "--no-flip", "--seed"}},
                      {"Running", {"--out", "--checkpoint", "--device", "--threads", "--engine", "--progress-every"}}});
  app->callback([options, &exit_code] { exit_code = run_train(*options); });
}

}  // namespace triseg
