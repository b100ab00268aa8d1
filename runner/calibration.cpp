#include "runner/calibration.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace triseg {

std::vector<SiteData> calibrate(Rollout& rollout, const Problem& problem, const IterationOptions& o) {
  ScoreRequest request =
      image_range(Split::search, o.batch_size, 0, std::size_t{o.calib_batches} * o.batch_size, "calibration");
  request.candidates.resize(1);  // the teacher
  const auto histograms = rollout.histograms(request);

  std::vector<std::string> dead;
  for (std::size_t i = 0; i < problem.sites.size(); ++i)
    if (histograms[i].total() == histograms[i].counts[0]) dead.push_back(problem.site(i).name);
  if (!dead.empty())
    fail(
        "calibration: over {} images no code but 0 comes out of {}: leave {} out by --sites all,-{}, or "
        "choose more --calib-batches",
        request.images.size(), fmt::join(dead, ", "), dead.size() == 1 ? "it" : "them", fmt::join(dead, ",-"));

  std::vector<SiteData> sites;
  for (std::size_t i = 0; i < problem.sites.size(); ++i) {
    const Node& node = problem.site(i);
    SiteData site;
    site.name = node.name;
    site.record_key = record_key(problem.network(), node);
    site.kind = kind_name(problem.network(), node);
    site.scale = problem.model.nodes[problem.sites[i]].output;
    site.histogram = histograms[i];
    if (!(site.scale.scale > 0)) fail("calibration: site {} has no scale in the model file", site.name);
    const int highest = problem.model.nodes[problem.sites[i]].highest;
    if (highest < smallest_tmax)
      fail("calibration: site {} has codes up to {} alone: expected at least {}", site.name, highest, smallest_tmax);
    site.tmax = std::min(o.tmax.tmax(site.histogram), highest);
    site.tmax_searched = o.tmax.mode == TmaxMode::search;
    site.init = initial_codes(site.tmax);
    site.mse = mse_optimum(site.histogram, site.tmax);
    site.state = site_state(site.histogram, i, problem.sites.size());
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace triseg
