#include "runner/inputs.hpp"

#include "core/error.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks/ranks.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

namespace triseg {

Inputs load_inputs(const ProblemOptions& o, const IterationOptions& iteration, const MomentRepairOptions& repair,
                   const EngineOptions& engine, const Transport& transport) {
  Inputs inputs;
  inputs.data = std::make_unique<DataSet>(load_data_set(o.data));
  ModelFile teacher = load_teacher(o.teacher, o.model, o.backend, *inputs.data);
  if (transport.rank() == 0)
    for (const std::string& text : warnings(*inputs.data)) spdlog::warn("warning: {}", text);
  inputs.model_sha256 = teacher.sha256;
  inputs.problem = std::make_unique<Problem>(make_problem(std::move(teacher.network), o.sites, o.attention_layers));
  const std::size_t images = inputs.data->split_size(Split::search);
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
  inputs.threads = scoring_threads(engine.threads, transport);
  inputs.scorer = std::make_unique<Scorer>(
      *inputs.problem, *inputs.data, engine_factory(engine.engine, *inputs.problem, device_of(transport.local_rank())),
      inputs.threads, o.temperature);
  return inputs;
}

}  // namespace triseg
