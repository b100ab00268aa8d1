#include "trainer/repair_training.hpp"

#include "core/error.hpp"
#include "trainer/checkpoint.hpp"
#include "trainer/learning_rate.hpp"
#include "trainer/repair_network.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace triseg {
namespace {

constexpr std::size_t observed_batches = 32;

/// Some images of an epoch, in its order and augmented.
struct Batch {
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint16_t> labels;

  void fill(const PixelSet& set, std::span<const std::uint32_t> indices, const RepairOptions& o, int epoch) {
    pixels.resize(indices.size() * set.image_size());
    labels.resize(indices.size());
    training_batch(set, indices, o.augmentation, o.seed, epoch, pixels, labels);
  }
};

/// What the student lets pass before any step, over the first batches of the first epoch.
void observe(const PixelSet& set, const RepairOptions& o, RepairNetwork& network) {
  const auto order = epoch_order(o.seed, 1, set.size());
  const std::size_t size = o.batch_size, batches = std::min<std::size_t>(observed_batches, set.size() / size);
  Batch batch;
  for (std::size_t i = 0; i < batches; ++i) {
    batch.fill(set, std::span(order).subspan(i * size, size), o, 1);
    network.observe(batch.pixels);
  }
}

bool stopped(const RepairListener& listener) { return listener.stop && listener.stop(); }

/// One epoch from 1 on; its mean KD, or nothing if it was stopped before its end.
std::optional<double> run_epoch(int number, const PixelSet& set, const RepairOptions& o, RepairNetwork& network,
                                const RepairListener& listener) {
  const std::size_t n = set.size(), batch = o.batch_size, steps = (n + batch - 1) / batch;
  const auto order = epoch_order(o.seed, number, n);
  Batch images;
  double sum = 0;
  for (std::size_t step = 0, done = 0; step < steps; ++step) {
    const std::size_t size = std::min(batch, n - done);
    images.fill(set, std::span(order).subspan(done, size), o, number);
    const double share = (number - 1 + double(step) / double(steps)) / o.epochs;
    const double decay = half_cosine(share);
    const RepairStep rates{.multiplier_rate = decay * o.learning_rate,
                           .bias_rate = decay * o.bias_learning_rate,
                           .temperature = o.temperature};
    const double kd = network.step(images.pixels, rates);
    if (!std::isfinite(kd))
      fail("the repair diverged in epoch {}: KD is not finite; choose a smaller --lr or --bias-lr", number);
    sum += kd * double(size);
    done += size;
    if (listener.progress) listener.progress(number, done, sum / double(done));
    if (done < n && stopped(listener)) return std::nullopt;
  }
  return sum / double(n);
}

}  // namespace

std::string configuration(const RepairOptions& o) {
  return fmt::format(
      "repair = {}\nepochs = {}\nbatch_size = {}\nlr = {}\nbias_lr = {}\nsmoothing = {}\nkd_T = {}\nshift = {}\n"
      "flip = {}\nseed = {}\n",
      o.shared_slope ? "layer" : "channel", o.epochs, o.batch_size, o.learning_rate, o.bias_learning_rate, o.smoothing,
      o.temperature, o.augmentation.shift, o.augmentation.flip, o.seed);
}

void check(const RepairOptions& o, const Network& network, const DataSet& data) {
  const auto positive = [](const char* name, double value) {
    if (!(value > 0 && std::isfinite(value))) fail("{} must be positive, found {}", name, value);
  };
  positive("--epochs", o.epochs);
  positive("--batch-size", o.batch_size);
  positive("--lr", o.learning_rate);
  positive("--bias-lr", o.bias_learning_rate);
  positive("--kd-T", o.temperature);
  if (!(o.smoothing >= 0 && std::isfinite(o.smoothing)))
    fail("--smoothing must not be negative, found {}", o.smoothing);
  const int side = std::min(network.input.height, network.input.width);
  if (o.augmentation.shift < 0 || o.augmentation.shift >= side)
    fail("--shift: expected a whole number from 0 to {}, found '{}'", side - 1, o.augmentation.shift);
  if (std::size_t(o.batch_size) > data.split_size(Split::search))
    fail("--batch-size {} is more than the {} images of {}'s search split", o.batch_size,
         data.split_size(Split::search), data.name);
  check_device(o.device);
}

std::optional<Repair> train_repair(const RepairedStudent& student, const DataSet& data, const RepairOptions& options,
                                   const std::string& description, const std::filesystem::path& checkpoint_path,
                                   const RepairListener& listener) {
  check(options, student.problem.network(), data);
  set_training_threads(options.threads);
  const PixelSet set = lay_out(student.problem.network(), data, Split::search);
  RepairNetwork network(student.problem, student.codes, student.start, options.shared_slope, options.smoothing,
                        options.device);
  TrainingCheckpoint state;
  if (auto found = load_checkpoint_of(description, checkpoint_path)) {
    state = std::move(*found);
    network.set_tensors(state.tensors);
    if (listener.resumed) listener.resumed(int(state.history.size()));
  } else {
    observe(set, options, network);
  }
  state.configuration = description;
  for (int number = int(state.history.size()) + 1; number <= options.epochs; ++number) {
    const auto start = std::chrono::steady_clock::now();
    const auto kd = or_forget(checkpoint_path, [&] { return run_epoch(number, set, options, network, listener); });
    if (!kd) return std::nullopt;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.tensors = network.tensors();
    state.history.push_back({.epoch = number, .loss = *kd, .seconds = seconds});
    save_checkpoint(checkpoint_path, state);
    if (listener.epoch) listener.epoch(number, *kd, seconds);
    if (number < options.epochs && stopped(listener)) return std::nullopt;
  }
  return or_forget(checkpoint_path, [&] { return network.repair(); });
}

}  // namespace triseg
