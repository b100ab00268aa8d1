#include "worker/scorer.hpp"

#include "core/error.hpp"
#include "worker/distillation.hpp"

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>
#include <system_error>
#include <thread>

namespace triseg {
namespace {

/// Bounds the memory of their results, whatever the number of candidates.
constexpr std::size_t students_at_once = 128;

/// Part `index` of `parts` contiguous parts of 0..count-1, as equal as can be: [begin, end).
std::pair<std::size_t, std::size_t> share(std::size_t count, std::size_t index, std::size_t parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

/// Calls work(index) for every index below `count` at once; the calling thread takes 0. Rethrows the first exception.
template <class Work>
void run_threads(std::size_t count, const Work& work) {
  std::vector<std::exception_ptr> errors(count);
  const auto guarded = [&](std::size_t index) {
    try {
      work(index);
    } catch (...) {
      errors[index] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (std::size_t i = 1; i < count; ++i) threads.emplace_back(guarded, i);
    } catch (const std::system_error& error) {
      fail("cannot start {} scoring threads: thread {}: {}; choose a smaller --threads", count, threads.size() + 2,
           error.code().message());
    }
    if (count > 0) guarded(0);
  }
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

/// One batch of images as an engine takes it.
struct ImageBatch {
  const Images* source = nullptr;
  std::vector<std::uint32_t> indices;  // (images): within the source
  std::vector<std::uint8_t> codes;     // (images, channels, height, width)
  std::vector<std::uint16_t> labels;   // (images)

  bool holds(const ImageBatch& other) const { return source == other.source && indices == other.indices; }
};

/// Some images of a split, without codes and labels yet.
ImageBatch image_batch(const DataSet& data, Split split, std::span<const std::uint32_t> images) {
  ImageBatch batch{&data.split_images(split), {images.begin(), images.end()}, {}, {}};
  for (auto& index : batch.indices) index += static_cast<std::uint32_t>(data.split_offset(split));
  return batch;
}

/// Batch `index` of a request.
ImageBatch image_batch(const DataSet& data, const ScoreRequest& request, std::size_t index) {
  const std::size_t begin = index * request.batch_size;
  const std::size_t count = std::min<std::size_t>(request.batch_size, request.images.size() - begin);
  return image_batch(data, request.split, std::span(request.images).subspan(begin, count));
}

}  // namespace

const Repair& ScoreRequest::repair(std::size_t candidate) const {
  static const Repair none;
  return repair_of.empty() || repair_of[candidate] == no_repair ? none : repairs[repair_of[candidate]];
}

ScoreRequest image_range(Split split, std::uint32_t batch_size, std::size_t begin, std::size_t end, std::string phase) {
  ScoreRequest request{split, batch_size, std::vector<std::uint32_t>(end - begin), {}, {}, {}, std::move(phase)};
  std::iota(request.images.begin(), request.images.end(), static_cast<std::uint32_t>(begin));
  return request;
}

/// An engine and the batch it holds.
struct Scorer::Lane {
  std::unique_ptr<Engine> engine;
  ImageBatch loaded, prepared;
  std::vector<ForwardResult> results;
  std::optional<TeacherTarget> target;  // of the loaded batch

  /// Makes the codes of a batch, so that its load() is short.
  void prepare(const QuantizedNetwork& network, ImageBatch batch) {
    if (prepared.holds(batch)) return;
    prepared.source = nullptr;  // it holds nothing until all of the new one is there
    batch.codes = std::move(prepared.codes);
    batch.codes.resize(batch.indices.size() * network.network.input.size());
    quantize_images(network, *batch.source, batch.indices, batch.codes);
    for (const std::uint32_t index : batch.indices) batch.labels.push_back(batch.source->labels[index]);
    prepared = std::move(batch);
  }

  void load_prepared() {
    engine->load_images(prepared.codes, static_cast<int>(prepared.indices.size()));
    std::swap(loaded, prepared);
    prepared.source = nullptr;
    target.reset();
  }

  void load(const QuantizedNetwork& network, ImageBatch batch) {
    if (loaded.holds(batch)) return;
    prepare(network, std::move(batch));
    load_prepared();
  }

  /// meanwhile: as DeviceScoring::score has it; not called for an engine that does not score by itself.
  void score(const Problem& problem, std::span<const Student> students, double temperature, std::span<Score> scores,
             const std::function<void()>& meanwhile) {
    if (DeviceScoring* device = engine->device_scoring())
      return device->score(students, loaded.labels, temperature, scores, meanwhile);
    results.resize(students_at_once);
    if (!target) {
      const Student exact = teacher(problem);
      engine->forward(std::span(&exact, 1), std::span(results).first(1));
      target.emplace(problem.model, results.front(), loaded.labels, temperature);
    }
    for (; !students.empty();) {
      const std::size_t count = std::min(students.size(), students_at_once);
      engine->forward(students.first(count), std::span(results).first(count));
      for (std::size_t i = 0; i < count; ++i) scores[i] = target->score(results[i]);
      students = students.subspan(count);
      scores = scores.subspan(count);
    }
  }
};

Scorer::Scorer(const Problem& problem, const DataSet& data, const EngineFactory& make_engine, int threads,
               double temperature)
    : problem_(problem), data_(data), temperature_(temperature) {
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.front()->engine = make_engine();
  if (lanes_.front()->engine->device_scoring()) return;
  for (int i = 1; i < threads; ++i) lanes_.push_back(std::make_unique<Lane>());
  run_threads(lanes_.size() - 1, [&](std::size_t i) { lanes_[i + 1]->engine = make_engine(); });
}

Scorer::~Scorer() = default;

std::string_view Scorer::engine_name() const { return lanes_.front()->engine->name(); }
std::string Scorer::engine_description() const { return lanes_.front()->engine->description(); }

Student Scorer::candidate(const ScoreRequest& request, std::size_t index) const {
  const auto& codes = request.candidates[index];
  return codes.empty() ? teacher(problem_) : student(problem_, codes, request.repair(index));
}

std::vector<Score> Scorer::score(const ScoreRequest& request, std::size_t first, std::size_t count) {
  std::vector<Student> students;
  for (std::size_t c = 0; c < request.candidates.size(); ++c) students.push_back(candidate(request, c));

  std::vector<Score> scores(count);
  run_threads(lanes_.size(), [&](std::size_t index) {
    Lane& lane = *lanes_[index];
    const auto [begin, end] = share(count, index, lanes_.size());
    for (std::size_t item = begin; item < end;) {
      const std::size_t at = (first + item) / students.size(), candidate = (first + item) % students.size();
      const std::size_t run = std::min(end - item, students.size() - candidate);
      lane.load(problem_.model, image_batch(data_, request, at));
      bool last = false;
      lane.score(problem_, std::span(students).subspan(candidate, run), temperature_,
                 std::span(scores).subspan(item, run), [&] {
                   if (item + run < end) return lane.prepare(problem_.model, image_batch(data_, request, at + 1));
                   if (request.next_images.empty()) return;
                   lane.prepare(problem_.model, image_batch(data_, request.split, request.next_images));
                   last = true;
                 });
      if (last) lane.load_prepared();  // the device works on while the learner learns
      item += run;
    }
  });
  return scores;
}

std::vector<Moments> Scorer::moments(const ScoreRequest& request, std::size_t first, std::size_t count) {
  const std::size_t channels = problem_.network().channels(), candidates = request.candidates.size();
  std::vector<Student> students;
  for (std::size_t c = 0; c < candidates; ++c) students.push_back(candidate(request, c));
  std::vector<std::vector<Moments>> parts(lanes_.size(), std::vector<Moments>(candidates * channels));
  run_threads(lanes_.size(), [&](std::size_t index) {
    Lane& lane = *lanes_[index];
    const auto [begin, end] = share(count, index, lanes_.size());
    for (std::size_t item = first + begin; item < first + end; ++item) {
      const std::size_t c = item % candidates;
      lane.load(problem_.model, image_batch(data_, request, item / candidates));
      lane.engine->add_moments(students[c], std::span(parts[index]).subspan(c * channels, channels));
    }
  });
  for (std::size_t i = 1; i < parts.size(); ++i)
    for (std::size_t m = 0; m < parts[0].size(); ++m) parts[0][m] += parts[i][m];
  return parts[0];
}

std::vector<Histogram> Scorer::histograms(const ScoreRequest& request, std::size_t first, std::size_t count) {
  const Student traced = candidate(request, 0);
  std::vector<std::vector<Histogram>> parts(lanes_.size(), std::vector<Histogram>(problem_.sites.size()));
  run_threads(lanes_.size(), [&](std::size_t index) {
    Lane& lane = *lanes_[index];
    const auto [begin, end] = share(count, index, lanes_.size());
    for (std::size_t at = first + begin; at < first + end; ++at) {
      lane.load(problem_.model, image_batch(data_, request, at));
      lane.engine->trace(traced, [&](const NodeTrace& node) {
        if (const int site = problem_.site_of(node.node); site >= 0) parts[index][site].add(node.codes);
      });
    }
  });
  for (std::size_t i = 1; i < parts.size(); ++i)
    for (std::size_t s = 0; s < problem_.sites.size(); ++s) parts[0][s] += parts[i][s];
  return parts[0];
}

}  // namespace triseg
