#include "worker/scorer.hpp"

#include "worker/distillation.hpp"

#include <algorithm>
#include <exception>
#include <thread>

namespace triseg {
namespace {

/// Part `index` of `parts` contiguous parts of 0..count-1, as equal as can be: [begin, end).
std::pair<std::size_t, std::size_t> share(std::size_t count, std::size_t index, std::size_t parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

/// Calls work(lane) for every lane at once; the calling thread takes lane 0. Rethrows the first exception.
template <class Work>
void run_lanes(std::size_t lanes, const Work& work) {
  std::vector<std::exception_ptr> errors(lanes);
  const auto guarded = [&](std::size_t lane) {
    try {
      work(lane);
    } catch (...) {
      errors[lane] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t lane = 1; lane < lanes; ++lane) threads.emplace_back(guarded, lane);
    guarded(0);
  }
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace

/// One thread's engine and the batch it holds.
struct Scorer::Lane {
  std::unique_ptr<Engine> engine;
  std::vector<std::uint8_t> input, labels;
  std::vector<ForwardResult> results;

  void load(const QuantizedNetwork& network, const DataSet& data, const ScoreRequest& request, std::size_t batch) {
    const Images& images = data.split_images(request.split);
    const std::size_t begin = batch * request.batch_size;
    const std::size_t count = std::min<std::size_t>(request.batch_size, request.images.size() - begin);
    std::vector<std::uint32_t> indices(request.images.begin() + begin, request.images.begin() + begin + count);
    for (auto& index : indices) index += static_cast<std::uint32_t>(data.split_offset(request.split));
    input.resize(count * network.network.input_size());
    quantize_images(network, images, indices, input);
    labels.resize(count);
    for (std::size_t i = 0; i < count; ++i) labels[i] = images.labels[indices[i]];
    engine->load_images(input, static_cast<int>(count));
  }
};

Scorer::Scorer(const QuantizedNetwork& network, const DataSet& data, std::string_view engine, int threads, double temperature)
    : network_(network), data_(data), temperature_(temperature) {
  for (int i = 0; i < threads; ++i) lanes_.push_back(std::make_unique<Lane>());
  run_lanes(lanes_.size(), [&](std::size_t lane) { lanes_[lane]->engine = make_engine(engine, network); });
}

Scorer::~Scorer() = default;

std::string_view Scorer::engine_name() const { return lanes_.front()->engine->name(); }
std::string Scorer::engine_description() const { return lanes_.front()->engine->description(); }

std::vector<Score> Scorer::score(const ScoreRequest& request, std::size_t first, std::size_t count) {
  const Student exact = teacher(network_.network);
  std::vector<Student> students;
  for (const auto& codes : request.candidates)
    students.push_back(codes.empty() ? exact : student(network_.network, codes));

  std::vector<Score> scores(count);
  run_lanes(lanes_.size(), [&](std::size_t index) {
    Lane& lane = *lanes_[index];
    const auto [begin, end] = share(count, index, lanes_.size());
    for (std::size_t item = begin; item < end;) {
      const std::size_t batch = (first + item) / students.size(), candidate = (first + item) % students.size();
      const std::size_t run = std::min(end - item, students.size() - candidate);
      lane.load(network_, data_, request, batch);
      lane.results.resize(std::max<std::size_t>(lane.results.size(), run));
      lane.engine->forward(std::span(&exact, 1), std::span(lane.results).first(1));
      const TeacherTarget target(network_, lane.results.front(), lane.labels, temperature_);
      lane.engine->forward(std::span(students).subspan(candidate, run), std::span(lane.results).first(run));
      for (std::size_t i = 0; i < run; ++i) scores[item + i] = target.score(lane.results[i]);
      item += run;
    }
  });
  return scores;
}

std::vector<Histogram> Scorer::histograms(const ScoreRequest& request, std::size_t first, std::size_t count) {
  const auto& codes = request.candidates.front();
  const Student traced = codes.empty() ? teacher(network_.network) : student(network_.network, codes);
  const auto sites = network_.network.sites();
  std::vector<std::vector<Histogram>> parts(lanes_.size(), std::vector<Histogram>(sites.size()));
  run_lanes(lanes_.size(), [&](std::size_t index) {
    Lane& lane = *lanes_[index];
    const auto [begin, end] = share(count, index, lanes_.size());
    for (std::size_t batch = first + begin; batch < first + end; ++batch) {
      lane.load(network_, data_, request, batch);
      lane.engine->trace(traced, [&](const LayerTrace& layer) {
        const auto site = std::find(sites.begin(), sites.end(), layer.layer);
        if (site != sites.end()) parts[index][site - sites.begin()].add(layer.codes);
      });
    }
  });
  for (std::size_t i = 1; i < parts.size(); ++i)
    for (std::size_t s = 0; s < sites.size(); ++s) parts[0][s] += parts[i][s];
  return parts[0];
}

}  // namespace triseg
