// triseg search --strategy ste, in the program that has LibTorch.
#include "core/cores.hpp"
#include "core/philox.hpp"
#include "learner/image_order.hpp"
#include "runner/commands/commands.hpp"
#include "runner/commands/search_command.hpp"
#include "runner/training/train_command.hpp"
#include "trainer/codes_network.hpp"
#include "trainer/trainable_network.hpp"

#include <memory>
#include <vector>

namespace triseg {
namespace {

/// What computes the gradients of a search, and the images of its steps.
struct Gradients {
  const DataSet& data;
  const Network& network;
  CodesNetwork codes_network;
  ImageOrder order;
  std::vector<std::uint8_t> pixels;

  CodesGradient at(std::uint64_t step, std::span<const Codes> codes) {
    const Images& images = data.split_images(Split::search);
    const auto chosen = order.images(step);  // the search split begins at image 0
    pixels.resize(chosen.size() * network.input.size());
    fit_images(network, images, chosen, pixels);
    const CodesStep found = codes_network.gradient(pixels, codes);
    CodesGradient result{found.loss, {}};
    for (const SiteGradient& site : found.sites) {
      auto& by_code = result.by_code.emplace_back();
      for (const auto& [head, value] : {std::pair(Head::t1, site.t1),
                                        {Head::v1, site.v1},
                                        {Head::t2, site.t2},
                                        {Head::v2, site.v2},
                                        {Head::tmax, site.tmax}})
        by_code[static_cast<std::size_t>(head)] = value;
    }
    return result;
  }
};

GradientSource make_gradients(const Problem& problem, const DataSet& data, const SearchOptions& o,
                              const Repair& repair) {
  const int threads = o.engine.threads > 0 ? o.engine.threads : available_cores();
  ensure_training_threads(threads);
  set_training_threads(threads);
  const bool on_gpu = o.engine.engine == EngineKind::automatic || o.engine.engine == EngineKind::cuda;
  const CodesLoss loss{.smoothing = o.strategy.ste.smoothing,
                       .temperature = o.problem.temperature,
                       .attention_weight = o.problem.attention_weight};
  const std::uint32_t batch = o.iteration.batch_size;
  auto made = std::make_shared<Gradients>(
      Gradients{data,
                problem.network(),
                CodesNetwork(problem, repair, loss, on_gpu ? "auto" : "cpu"),
                ImageOrder(data.split_size(Split::search), batch, o.iteration.seed, Stream::gradient_order),
                {}});
  return {[made](std::uint64_t step, std::span<const Codes> codes) { return made->at(step, codes); }, batch};
}

}  // namespace

void setup_gradient_search(CLI::App& program, int& exit_code) { setup_search(program, exit_code, make_gradients); }

}  // namespace triseg
