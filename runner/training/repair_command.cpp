// triseg repair: trains the repair of a result file's student and writes a result file with it.
#include "core/atomic_file.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/same_work.hpp"
#include "core/sha256.hpp"
#include "learner/judging/selection.hpp"
#include "runner/options/command_line.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/display/progress.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/commands/results_table.hpp"
#include "runner/training/train_command.hpp"
#include "runner/training/training_files.hpp"
#include "trainer/checkpoint.hpp"
#include "trainer/repair_training.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct RepairCommandOptions {
  StudentOptions student;
  RepairMode repair = RepairMode::channel;
  RepairOptions training;  ///< its mode and temperature are set by run_repair
  std::string out;         ///< empty: NAME.repaired.json beside the result
  std::string checkpoint;  ///< empty: OUT.checkpoint
  EngineKind engine = EngineKind::automatic;
  double progress_every = 30;
};

void declare_options(CLI::App& app, RepairCommandOptions& o) {
  declare_student_options(app, o.student);
  const CLI::Validator positive = within(1e-12, 1e12);
  const auto results = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_results, name, value, description);
  };
  const auto speed = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_speed, name, value, description);
  };
  RepairOptions& t = o.training;
  add_choice(app, changes_results, "--repair", o.repair, std::span(repair_modes).subspan(1),
             "channel: a factor for the multiplier of every channel; layer: one for all of a layer. Each channel's "
             "bias is trained in "
             "any case");
  results("--epochs", t.epochs, "Passes over the search split")->check(whole(1, 1'000'000));
  results("--batch-size", t.batch_size, "Images a step")->check(whole(1, 1'000'000));
  results("--lr", t.learning_rate, "First learning rate of multipliers, as logarithms: half a cosine to 0")
      ->check(positive);
  results("--bias-lr", t.bias_learning_rate, "First learning rate of biases, in codes of the layer's output")
      ->check(positive);
  results("--smoothing", t.smoothing,
          "Width of a jump of a staircase for gradients, in heights of the jump, at least half a code")
      ->check(within(0, 1e3));
  results("--shift", t.augmentation.shift, "Images move by up to this many pixels; 0: none do")
      ->check(whole(0, 1'000'000));
  add_flags(app, changes_results, "--flip", "--no-flip", t.augmentation.flip, "Mirror half of the images (default)");
  results("--seed", t.seed, "Seed of image order and augmentation")
      ->check(whole(0, std::numeric_limits<std::uint64_t>::max()));

  app.add_option(
         "--out", o.out,
         "Result file with the repair, if it lowers KD on validation (default: NAME.repaired.json beside NAME.json)")
      ->group(changes_speed)
      ->check(path_text("a file"));
  app.add_option("--checkpoint", o.checkpoint,
                 "State between epochs, removed once the result is written (default: OUT.checkpoint)")
      ->group(changes_speed)
      ->check(path_text("a file"));
  speed("--device", t.device, "What trains: auto, cpu or cuda")->check(offers({"auto", "cpu", "cuda"}));
  speed("--threads", t.threads, "Threads; 0: one per core. Another number changes the last bits of sums")
      ->check(whole(0, 1024));
  add_engine(app, o.engine, "What scores before and after");
  speed("--progress-every", o.progress_every, "Seconds between progress lines where there is no terminal")
      ->check(positive);
}

/// Fills in what was left empty and checks what can be checked without the data.
void resolve(RepairCommandOptions& o) {
  o.training.shared_slope = o.repair == RepairMode::layer;
  if (o.out.empty()) o.out = fs::path(o.student.result).replace_extension(".repaired.json").string();
  check_name_length("--out", o.out);
  if (o.checkpoint.empty()) o.checkpoint = o.out + ".checkpoint";
  if (same_file(o.out, o.student.result)) fail("--out: {} is the result itself; name another file", o.out);
  if (same_file(o.checkpoint, o.out) || same_file(o.checkpoint, o.student.result))
    fail("--checkpoint: {} is a result file; name another one", o.checkpoint);
}

/// What makes the result: the result it was given, its teacher and images, the options.
std::string describe(const RepairCommandOptions& o, const ResultStudent& student) {
  return configuration(o.training) +
         fmt::format("attention_layers = {}\nresult_sha256 = {}\nmodel_sha256 = {}\ndata_sha256 = {}\n",
                     o.student.attention_layers, sha256_hex(student.file.text()), student.model_sha256,
                     student.data.sha256);
}

/// True if `out` is the finished result of this very training. Throws Error if it is anything else.
bool is_done(const std::string& out, const std::string& description) {
  if (!fs::exists(out)) return false;
  if (!fs::is_regular_file(out)) fail("--out: {} exists and is not a file", out);
  const std::string stored = ResultFile(out).repair_description();
  if (stored.empty()) fail("--out: {} is there already and no repair made it; remove it or choose another --out", out);
  const std::string differs = difference(parse_work(stored), parse_work(description));
  if (!differs.empty())
    fail(
        "--out: {} is there already, made by other options or for another student: {}; remove it or choose another "
        "--out",
        out, differs);
  return true;
}

RepairListener listener_of(const RepairCommandOptions& o, std::uint64_t images, std::unique_ptr<Progress>& display) {
  const int epochs = o.training.epochs;
  RepairListener listener;
  listener.resumed = [&o, epochs](int done) {
    spdlog::info("Continuing {}: {} of {} epochs are done", o.checkpoint, done, epochs);
  };
  listener.progress = [=, &o, &display](int epoch, std::size_t done, double kd) {
    const std::uint64_t before = std::uint64_t(epoch - 1) * images;
    if (!display)
      display = std::make_unique<Progress>("images", before, std::uint64_t(epochs) * images, o.progress_every);
    display->update(before + done, {fmt::format("epoch {}/{}", epoch, epochs), fmt::format("KD {:.4f}", kd)});
  };
  listener.epoch = [&display](int epoch, double kd, double seconds) {
    display.reset();
    spdlog::info("Epoch {}: KD {:.4f} on the images trained on, {:.1f} s", epoch, kd, seconds);
  };
  listener.stop = stop_signal_received;
  return listener;
}

/// What the result says of its student.
void describe_student(TrainedRepair& trained, const RepairCommandOptions& o, const ResultStudent& student) {
  const Network& network = student.problem.network();
  std::vector<std::string> attention;
  for (std::size_t l : student.problem.attention) attention.push_back(network.nodes[l].name);
  trained.model = o.student.model;
  trained.backend = scheme_name(student.problem.model.scheme);
  trained.data = student.data.source;
  trained.data_sha256 = student.data.sha256;
  trained.model_sha256 = student.model_sha256;
  trained.attention_layers = attention.empty() ? "none" : fmt::format("{}", fmt::join(attention, ","));
  trained.temperature = o.student.temperature;
  // A factor for all does not undo channels' own.
  trained.mode = student.repair.mode == "channel" ? student.repair.mode : std::string(name_of(repair_modes, o.repair));
}

int run_repair(RepairCommandOptions o) {
  catch_stop_signals("step");
  check_name_length("--out", o.out);
  check_name_length("--checkpoint", o.checkpoint);
  const ResultStudent student = load_student(o.student);
  resolve(o);
  o.training.temperature = o.student.temperature;
  const Problem& problem = student.problem;
  check(o.training, problem.network(), student.data);
  const std::string description = describe(o, student);
  std::optional<TrainingFiles> held;
  if (!fs::exists(o.out)) held.emplace(o.out, o.checkpoint);
  if (is_done(o.out, description)) {
    spdlog::info("{} is there already, made by these options: nothing to do", o.out);
    return 0;
  }
  load_checkpoint_of(description, o.checkpoint);  // a foreign one is found before any image is scored
  const int cores = available_cores();
  ensure_training_threads(o.training.threads);
  const int threads = o.training.threads > 0 ? o.training.threads : cores;
  Scorer scorer(problem, student.data, engine_factory(o.engine, problem), threads, o.student.temperature);
  TrainedRepair trained;
  const auto before = whole_split(student, Split::validation, student.repair.repair);
  trained.before = total_score(scorer, before);
  trained.passed_before = passed_in(scorer, before);
  if (stop_signal_received()) return stopped_training(o.checkpoint, o.training.epochs);
  spdlog::info("Repairing {}: KD {:.4f} on validation; {} epochs of {} images, --device {}, {} threads, scored by {}",
               o.student.result, trained.before.mean_kd(), o.training.epochs, student.data.split_size(Split::search),
               o.training.device, threads, scorer.engine_description());
  std::unique_ptr<Progress> display;
  const RepairListener listener = listener_of(o, student.data.split_size(Split::search), display);
  const auto repair = train_repair({problem, student.codes, student.repair.repair}, student.data, o.training,
                                   description, o.checkpoint, listener);
  display.reset();
  if (!repair || stop_signal_received()) return stopped_training(o.checkpoint, o.training.epochs);
  trained.repair = *repair;
  const auto after = whole_split(student, Split::validation, trained.repair);
  trained.validation = total_score(scorer, after);
  trained.passed = passed_in(scorer, after);
  spdlog::info(
      "Validation: KD {:.4f} before, {:.4f} with the repair; accuracy drop {:.2f} and {:.2f} points; passed through "
      "{:.2f} % and {:.2f} % of activations",
      trained.before.mean_kd(), trained.validation.mean_kd(), accuracy_drop(trained.before),
      accuracy_drop(trained.validation), 100 * trained.passed_before, 100 * trained.passed);
  if (!(trained.validation.mean_kd() < trained.before.mean_kd())) {
    fs::remove(o.checkpoint);
    fail(
        "the repair is no gain on validation (KD {:.4f}, {:.4f} before): {} is not written; try another --lr, "
        "--bias-lr or "
        "--epochs",
        trained.validation.mean_kd(), trained.before.mean_kd(), o.out);
  }
  trained.test = total_score(scorer, whole_split(student, Split::test, trained.repair));
  describe_student(trained, o, student);
  trained.description = description;
  trained.command_line = command_line();
  trained.student_images = std::uint64_t(o.training.epochs) * student.data.split_size(Split::search);
  write_repaired(o.out, student.file.text(), problem.network(), trained);
  fs::remove(o.checkpoint);
  fmt::print("{}KD {:.6f}, attention {:.6f}, repair {}\nWritten: {}\n", accuracy_lines(trained.test, "test"),
             trained.test.mean_kd(), trained.test.mean_attention(), trained.mode, o.out);
  return 0;
}

}  // namespace

void setup_repair(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<RepairCommandOptions>();
  CLI::App* app =
      program.add_subcommand("repair", "Train the multipliers and biases of a result's student, its codes as they are");
  declare_options(*app, *options);
  arrange_help(*app, {{"Problem", {"--model", "--backend", "--data", "--teacher", "--kd-T", "--attention-layers"}},
                      {"What is trained", {"--repair", "--lr", "--bias-lr", "--smoothing"}},
                      {"Passes and images", {"--epochs", "--batch-size", "--shift", "--flip", "--no-flip", "--seed"}},
                      {"Running", {"--out", "--checkpoint", "--device", "--threads", "--engine", "--progress-every"}}});
  app->callback([options, &exit_code] { exit_code = run_repair(*options); });
}

}  // namespace triseg
