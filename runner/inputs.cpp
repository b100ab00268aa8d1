#include "runner/inputs.hpp"

#include "core/error.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks/ranks.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <spdlog/spdlog.h>

#include <future>
#include <string>
#include <utility>

namespace triseg {
namespace {

/// Keeps what was loaded by the same key, or loads it.
template <class Kept, class Load>
void keep_or(Kept& kept, const std::string& key, const Load& load) {
  if (kept.value && kept.key == key) return;
  kept.value = nullptr;  // before the next one takes memory
  kept.value = load();
  kept.key = key;
}

void check_images(const ProblemOptions& o, const IterationOptions& iteration, const MomentRepairOptions& repair,
                  std::size_t images) {
  if (iteration.batch_size > images)
    fail("--batch-size: {} images, but the search split of {} has {}: choose at most so many", iteration.batch_size,
         o.data, images);
  if (std::uint64_t{iteration.batch_size} * iteration.calib_batches > images)
    fail(
        "--calib-batches: {} batches of {} images, but the search split of {} has {} images: choose at most {}, or a "
        "smaller --batch-size",
        iteration.calib_batches, iteration.batch_size, o.data, images, images / iteration.batch_size);
  if (repair.mode != RepairMode::none && repair.images > images)
    fail("--repair-images: {} images, but the search split of {} has {}: choose at most so many", repair.images, o.data,
         images);
}

}  // namespace

Inputs InputsCache::load_problem(const ProblemOptions& o, const IterationOptions& iteration,
                                 const MomentRepairOptions& repair, bool warn) {
  std::string key = o.data;
  keep_or(data_, key, [&] {
    auto data = std::make_shared<const DataSet>(load_data_set(o.data));
    if (warn)
      for (const std::string& text : warnings(*data)) spdlog::warn("warning: {}", text);
    return data;
  });
  key = fmt::format("{}\n{}\n{}\n{}", key, o.teacher, o.model, o.backend ? scheme_name(*o.backend) : "");
  keep_or(teacher_, key,
          [&] { return std::make_shared<const ModelFile>(load_teacher(o.teacher, o.model, o.backend, *data_.value)); });
  key = fmt::format("{}\n{}\n{}", key, o.sites, o.attention_layers);
  keep_or(problem_, key, [&] {
    return std::make_shared<const Problem>(make_problem(teacher_.value->network, o.sites, o.attention_layers));
  });
  check_images(o, iteration, repair, data_.value->split_size(Split::search));
  return {problem_.value, teacher_.value->sha256, data_.value, nullptr, {}};
}

Inputs InputsCache::load(const ProblemOptions& o, const IterationOptions& iteration, const MomentRepairOptions& repair,
                         const EngineOptions& engine, const Transport& transport) {
  // Beside the reading of images; if no thread can be started, behind it.
  std::future<void> device_started;
  if (!scorer_.value)
    device_started = std::async([&] { start_device(engine.engine, device_of(transport.local_rank())); });
  Inputs inputs = load_problem(o, iteration, repair, transport.rank() == 0);
  const int threads = scoring_threads(engine.threads, transport), device = device_of(transport.local_rank());
  inputs.engine = choose_engine(engine.engine, *problem_.value);
  const std::string key = fmt::format("{}\n{}\n{}\n{}\n{}", problem_.key, name_of(engine_names(), inputs.engine.kind),
                                      device, threads, o.temperature);
  keep_or(scorer_, key, [&] {
    auto scorer =
        std::make_unique<Scorer>(*problem_.value, *data_.value,
                                 engine_factory(inputs.engine.kind, *problem_.value, device), threads, o.temperature);
    // It refers to both, also when a later run has put others in their place here.
    return std::shared_ptr<Scorer>(scorer.release(),
                                   [problem = problem_.value, data = data_.value](Scorer* s) { delete s; });
  });
  inputs.scorer = scorer_.value;
  inputs.threads = threads;
  return inputs;
}

}  // namespace triseg
