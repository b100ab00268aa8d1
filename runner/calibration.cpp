#include "runner/calibration.hpp"

#include "core/error.hpp"

#include <numeric>

namespace triseg {

std::vector<SiteData> calibrate(Rollout& rollout, const QuantizedNetwork& model, std::uint32_t batches,
                                std::uint32_t batch_size, const TmaxRule& rule) {
  ScoreRequest request{Split::search, batch_size, std::vector<std::uint32_t>(std::size_t{batches} * batch_size), {{}}, {}, {}, "calibration"};
  std::iota(request.images.begin(), request.images.end(), 0u);
  const auto histograms = rollout.histograms(request);

  const auto indices = model.network.sites();
  std::vector<SiteData> sites;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const Layer& layer = model.network.layers[indices[i]];
    SiteData site;
    site.name = layer.name;
    site.record_key = record_key(layer);
    site.kind = layer.kind;
    site.scale = model.layers[indices[i]].output;
    site.histogram = histograms[i];
    if (!(site.scale.scale > 0)) fail("calibration: site {} has no scale in the model file", site.name);
    if (site.histogram.total() == site.histogram.counts[0])
      fail("calibration: site {} shows no code but 0 over {} images: its histogram is empty", site.name, request.images.size());
    site.tmax = rule.tmax(site.histogram);
    site.tmax_searched = rule.mode == TmaxMode::search;
    site.init = initial_codes(site.tmax);
    site.mse = mse_optimum(site.histogram, site.tmax);
    site.state = site_state(site.histogram, i, indices.size());
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace triseg
