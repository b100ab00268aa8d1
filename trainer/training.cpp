#include "trainer/training.hpp"

#include "core/error.hpp"
#include "trainer/learning_rate.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace triseg {
namespace {

constexpr int inference_batch = 250;
constexpr int calibration_batches = 20;
constexpr double warm_up = 0.15;  // share of the float phase's steps

double float_rate(double peak, double share) {
  return share < warm_up ? peak * (0.1 + 0.9 * share / warm_up)
                         : peak * half_cosine((share - warm_up) / (1.0 - warm_up));
}

/// The tensors that inference needs.
TrainingTensors without_momentum(TrainingTensors tensors) {
  std::erase_if(tensors, [](const auto& item) { return item.first.ends_with(".momentum"); });
  return tensors;
}

/// True if a batch normalization has one value an image, so that a batch of one image has no variance.
bool normalizes_single_values(const Recipe& recipe) {
  for (std::size_t i = 0; i < recipe.training.size(); ++i)
    if (recipe.training[i].batch_norm && recipe.network.nodes[i].shape.positions() == 1) return true;
  return false;
}

class Run {
 public:
  Run(const Recipe& recipe, const DataSet& data, const TrainingOptions& options, const std::filesystem::path& path,
      const TrainingListener& listener)
      : recipe_(recipe),
        data_(data),
        options_(options),
        path_(path),
        listener_(listener),
        training_(lay_out(recipe.network, data, Split::search)),
        validation_(lay_out(recipe.network, data, Split::validation)),
        network_(make_trainable()) {
    const std::string text = configuration(recipe, data.sha256, options);
    if (auto found = load_checkpoint_of(text, path)) {
      state_ = std::move(*found);
      if (state_.folded) network_.fold();
      network_.set_tensors(state_.tensors);
    }
    state_.configuration = text;
  }

  std::optional<TrainingResult> run() {
    const int total = options_.epochs + options_.qat_epochs;
    if (!state_.history.empty() && listener_.resumed) listener_.resumed(int(state_.history.size()), total);
    for (int number = int(state_.history.size()) + 1; number <= total; ++number) {
      if (number > options_.epochs && !state_.folded) end_float_phase();
      if (!epoch(number, total)) return std::nullopt;
    }
    if (!state_.folded) end_float_phase();
    network_.set_tensors(state_.best);
    return or_forget(path_, [&] {
      return TrainingResult{convert(recipe_.network, options_.scheme, data_.name, network_.trained()), state_};
    });
  }

 private:
  TrainableNetwork make_trainable() {
    set_training_threads(options_.threads);
    PixelStatistics statistics = pixel_statistics(training_);
    return {recipe_,       options_.scheme, std::move(statistics.mean), std::move(statistics.standard_deviation),
            options_.seed, options_.device};
  }

  double rate(int epoch, std::size_t step, std::size_t steps) const {
    const bool quantized = epoch > options_.epochs;
    const int epochs = quantized ? options_.qat_epochs : options_.epochs;
    const double done = (epoch - 1 - (quantized ? options_.epochs : 0)) + double(step) / double(steps);
    return quantized ? options_.qat_learning_rate * half_cosine(done / epochs)
                     : float_rate(options_.learning_rate, done / epochs);
  }

  [[noreturn]] void die(int number, const std::string& how) const {
    const bool quantized = number > options_.epochs;
    fail("training died in epoch {}: {}; choose a smaller {} (found {})", number, how, quantized ? "--qat-lr" : "--lr",
         quantized ? options_.qat_learning_rate : options_.learning_rate);
  }

  /// Accuracy on the validation split. From a layer that gives 0 everywhere no gradient comes back: it stays so.
  double validation_accuracy(int number) {
    std::vector<float> largest;
    const double result = accuracy(network_, validation_, &largest);
    for (std::size_t i = 0; i < largest.size(); ++i) {
      const std::string& layer = recipe_.network.nodes[i].name;
      if (largest[i] == 0) die(number, fmt::format("layer {} gives 0 for every image of the validation split", layer));
      if (!std::isfinite(largest[i])) die(number, fmt::format("layer {} gives values that are not finite", layer));
    }
    return result;
  }

  bool stopped() const { return listener_.stop && listener_.stop(); }

  /// One epoch and its checkpoint; false if the training is to end here.
  bool epoch(int number, int total) {
    const auto start = std::chrono::steady_clock::now();
    auto record = or_forget(path_, [&] { return steps_and_validation(number, total); });
    if (!record) return false;
    state_.tensors = network_.tensors();
    if (record->quantized) keep_if_best(*record);
    record->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state_.history.push_back(*record);
    save_checkpoint(path_, state_);
    if (listener_.epoch) listener_.epoch(*record);
    return number == total || !stopped();
  }

  /// Nothing if it was stopped before its last step. Throws Error if the training dies.
  std::optional<EpochRecord> steps_and_validation(int number, int total) {
    const std::size_t n = training_.size();
    const auto sizes = batch_sizes(n, options_.batch_size, normalizes_single_values(recipe_));
    const std::size_t steps = sizes.size();
    const auto order = epoch_order(options_.seed, number, n);
    std::vector<std::uint8_t> pixels;
    std::vector<std::uint16_t> labels;
    network_.seed_dropout(options_.seed * 1'000'003 + number);
    const bool quantized = number > options_.epochs;
    double sum = 0;
    for (std::size_t step = 0, done = 0; step < steps; ++step) {
      const std::size_t size = sizes[step];
      pixels.resize(size * training_.image_size());
      labels.resize(size);
      training_batch(training_, std::span(order).subspan(done, size), options_.augmentation, options_.seed, number,
                     pixels, labels);
      double loss = 0;
      try {
        loss = network_.step(pixels, labels,
                             {.learning_rate = rate(number, step, steps),
                              .momentum = options_.momentum,
                              .weight_decay = options_.weight_decay,
                              .observe = number < total});
      } catch (const Error& error) {
        die(number, error.what());
      }
      if (!std::isfinite(loss)) die(number, "the loss is not finite");
      sum += loss * double(size);
      done += size;
      if (listener_.progress) listener_.progress({number, total, quantized, done, n, sum / double(done)});
      if (done < n && stopped()) return std::nullopt;
    }
    return EpochRecord{number, quantized, sum / double(n), validation_accuracy(number), 0};
  }

  void end_float_phase() {
    state_.float_validation_accuracy = accuracy(network_, validation_);
    state_.float_test_accuracy = accuracy(network_, lay_out(recipe_.network, data_, Split::test));
    network_.fold();
    const std::size_t size = std::min<std::size_t>(options_.batch_size, training_.size());
    std::vector<std::uint8_t> pixels(size * training_.image_size());
    for (std::size_t i = 0; i < calibration_batches && (i + 1) * size <= training_.size(); ++i) {
      training_.read(i * size, size, pixels);
      network_.calibrate(pixels);
    }
    state_.folded = true;
    state_.tensors = network_.tensors();
    state_.best = without_momentum(state_.tensors);
    save_checkpoint(path_, state_);
  }

  void keep_if_best(const EpochRecord& record) {
    const auto best = std::find_if(state_.history.begin(), state_.history.end(),
                                   [&](const EpochRecord& r) { return r.epoch == state_.best_epoch; });
    if (best != state_.history.end() && record.validation_accuracy < best->validation_accuracy) return;
    state_.best_epoch = record.epoch;
    state_.best = without_momentum(state_.tensors);
  }

  const Recipe& recipe_;
  const DataSet& data_;
  const TrainingOptions& options_;
  std::filesystem::path path_;
  const TrainingListener& listener_;
  PixelSet training_, validation_;
  TrainableNetwork network_;
  TrainingCheckpoint state_;
};

}  // namespace

void check(const TrainingOptions& o) {
  const auto require = [](bool ok, const char* what) {
    if (!ok) throw Error(what);
  };
  require(o.epochs >= 1, "--epochs must be at least 1");
  require(o.qat_epochs >= 0, "--qat-epochs must not be negative");
  require(o.batch_size >= 2, "--batch-size must be at least 2");
  require(std::isfinite(o.learning_rate) && o.learning_rate > 0, "--lr must be positive");
  require(std::isfinite(o.qat_learning_rate) && o.qat_learning_rate > 0, "--qat-lr must be positive");
  require(o.momentum >= 0 && o.momentum < 1, "--momentum must be at least 0 and below 1");
  require(std::isfinite(o.weight_decay) && o.weight_decay >= 0, "--weight-decay must not be negative");
  require(o.augmentation.shift >= 0, "--shift must not be negative");
  require(o.threads >= 0, "--threads must not be negative");
}

void check(const TrainingOptions& options, const Network& network, const DataSet& data) {
  check(options);
  const int side = std::min(network.input.height, network.input.width);
  if (options.augmentation.shift >= side)
    fail("--shift {}: expected at most {}, for {} takes images of {} x {}", options.augmentation.shift, side - 1,
         network.display_name, network.input.height, network.input.width);
  check_fit(network, data);
  if (std::size_t(options.batch_size) > data.split_size(Split::search))
    fail("--batch-size {} is more than the {} training images of {}", options.batch_size,
         data.split_size(Split::search), data.name);
  check_device(options.device);
}

std::string configuration(const Recipe& recipe, const std::string& data_sha256, const TrainingOptions& o) {
  const Network& network = recipe.network;
  const bool shipped = is_recipe(network.name) && digest(make_recipe(network.name, network.classes)) == digest(recipe);
  std::string text = fmt::format(
      "model = {}\ndata_sha256 = {}\nbackend = {}\nepochs = {}\nqat_epochs = {}\nbatch_size = {}\nlr = {}\nqat_lr = "
      "{}\n"
      "momentum = {}\nweight_decay = {}\nshift = {}\nflip = {}\nseed = {}\n",
      network.name, data_sha256, scheme_name(o.scheme), o.epochs, o.qat_epochs, o.batch_size, o.learning_rate,
      o.qat_learning_rate, o.momentum, o.weight_decay, o.augmentation.shift, o.augmentation.flip, o.seed);
  if (!shipped) text += fmt::format("recipe_sha256 = {}\n", digest(recipe));
  return text;
}

double accuracy(TrainableNetwork& network, const PixelSet& set, std::vector<float>* largest) {
  std::size_t right = 0;
  std::vector<std::uint8_t> pixels;
  for (std::size_t first = 0; first < set.size(); first += inference_batch) {
    const std::size_t n = std::min<std::size_t>(inference_batch, set.size() - first);
    pixels.resize(n * set.image_size());
    set.read(first, n, pixels);
    const auto logits = network.logits(pixels, true, largest);
    const std::size_t classes = logits.size() / n;
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = logits.begin() + i * classes;
      right += std::size_t(std::max_element(row, row + classes) - row) == set.labels[first + i];
    }
  }
  return set.size() ? 100.0 * double(right) / double(set.size()) : 0.0;
}

std::optional<TrainingResult> train(const Recipe& recipe, const DataSet& data, const TrainingOptions& options,
                                    const std::filesystem::path& checkpoint_path, const TrainingListener& listener) {
  check(options, recipe.network, data);
  return Run(recipe, data, options, checkpoint_path, listener).run();
}

}  // namespace triseg
