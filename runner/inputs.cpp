#include "runner/inputs.hpp"

#include "core/error.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks/ranks.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

namespace triseg {
Inputs load_inputs(const SearchOptions& o, const Transport& transport) {
  Inputs inputs;
  inputs.data = std::make_unique<DataSet>(load_data_set(o.data));
  inputs.model = std::make_unique<ModelFile>(load_teacher(o.teacher, o.model, o.backend, *inputs.data));
  if (transport.rank() == 0)
    for (const std::string& text : warnings(*inputs.data)) spdlog::warn("warning: {}", text);
  QuantizedNetwork& network = inputs.model->network;
  select_sites(network.network, o.sites);
  select_attention_layers(network.network, o.attention_layers);
  const std::size_t images = inputs.data->split_size(Split::search);
  if (o.batch_size > images) fail("--batch-size: {} images, but the search split of {} has {}", o.batch_size, o.data, images);
  if (std::uint64_t{o.batch_size} * o.calib_batches > images)
    fail("--calib-batches: {} x {} images, but the search split of {} has {}", o.calib_batches, o.batch_size, o.data, images);
  if (o.repair_mode != RepairMode::none && o.repair_images > images)
    fail("--repair-images: {} images, but the search split of {} has {}", o.repair_images, o.data, images);
  inputs.threads = scoring_threads(o.threads, transport);
  inputs.scorer = std::make_unique<Scorer>(
      network, *inputs.data, engine_factory(o.engine, network, device_of(transport.local_rank())), inputs.threads, o.temperature);
  return inputs;
}

}  // namespace triseg
