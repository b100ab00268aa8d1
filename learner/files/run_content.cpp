#include "learner/files/run_content.hpp"

#include "learner/files/run_schema.hpp"
#include "learner/judging/repair.hpp"
#include "learner/judging/selection.hpp"
#include "learner/judging/shares.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

/// Counts above this are no counts: sums of them would overflow.
constexpr std::uint64_t most_counted = std::uint64_t{1} << 48;

void check_codes(const std::string& path, const std::vector<Codes>& codes, std::size_t row, const RunData& run,
                 Violations& report) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const SiteData& site = run.sites[i];
    if (!is_legal(codes[i]))
      report.add(path, fmt::format("row {}, site {}: illegal codes {}", row, site.name, to_string(codes[i])));
    if (codes[i].tmax != site.tmax && !site.tmax_searched)
      report.add(path, fmt::format("row {}, site {}: {}, but tmax is {} and not searched", row, site.name,
                                   to_string(codes[i]), site.tmax));
  }
}

void check_score(const std::string& path, const Score& s, std::size_t row, Violations& report) {
  if (s.both_right + s.teacher_only + s.student_only > s.images)
    report.add(path, fmt::format("row {}: {} + {} + {} images classified right of {}", row, s.both_right,
                                 s.teacher_only, s.student_only, s.images));
  if (s.images == 0) report.add(path, fmt::format("row {}: scored on no image", row));
}

/// The sums of rewards over records: as many as the images make, and their sum that of the score.
void check_records(const std::string& path, const std::vector<double>& sums, const Score& s, std::size_t row,
                   const RunData& run, Violations& report) {
  const std::uint64_t records = (s.images + split_batch - 1) / split_batch;
  if (sums.size() != records)
    return report.add(path,
                      fmt::format("row {}: {} records of {} images: expected {}", row, sums.size(), s.images, records));
  const double found = std::accumulate(sums.begin(), sums.end(), 0.0),
               expected = -(s.kd + run.attention_weight * s.attention);
  if (!(std::abs(found - expected) <= 1e-9 * (1 + std::abs(expected))))
    report.add(path, fmt::format("row {}: their sum is {}, that of the score {}", row, found, expected));
}

void check_sites(const RunData& run, Violations& report) {
  if (run.sites.empty()) return report.add("/sites", "expected at least one site");
  const Network& network = run.network;
  std::size_t next = 0;
  for (const SiteData& site : run.sites) {
    const auto node = std::find_if(network.nodes.begin() + next, network.nodes.end(),
                                   [&](const Node& x) { return x.relu && x.name == site.name; });
    if (node == network.nodes.end()) {
      report.add("/sites/name", fmt::format("'{}' is no site of {}, or not in network order", site.name, network.name));
      continue;
    }
    next = node - network.nodes.begin() + 1;
    if (record_key(network, *node) != site.record_key)
      report.add("/sites/record_key",
                 fmt::format("expected '{}', found '{}'", record_key(network, *node), site.record_key));
    if (kind_name(network, *node) != site.kind)
      report.add("/sites/kind", fmt::format("expected {} for {}", kind_name(network, *node), site.name));
    if (!(site.scale.scale > 0)) report.add("/sites/scale", fmt::format("{}: expected a positive scale", site.name));
    if (site.scale.zero_point != 0)
      report.add("/sites/zero_point", fmt::format("{}: expected 0 behind a ReLU", site.name));
    if (site.tmax < smallest_tmax || site.tmax > 255)
      report.add("/sites/tmax", fmt::format("{}: expected {}..255, found {}", site.name, smallest_tmax, site.tmax));
  }
  for (const SiteData& site : run.sites) {
    std::uint64_t largest = 0, total = 0;
    for (const std::uint64_t count : site.histogram.counts) {
      largest = std::max(largest, count);
      total += count;
    }
    if (total == 0 || largest > most_counted)
      report.add("/sites/histogram", fmt::format("{}: expected counts of codes", site.name));
  }
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    if (!is_legal(run.sites[i].init))
      report.add("/sites/init_codes", fmt::format("row {}: illegal codes {}", i, to_string(run.sites[i].init)));
    if (!is_legal(run.sites[i].start))
      report.add("/sites/start_codes", fmt::format("row {}: illegal codes {}", i, to_string(run.sites[i].start)));
    if (!is_legal(run.sites[i].mse))
      report.add("/sites/mse_codes", fmt::format("row {}: illegal codes {}", i, to_string(run.sites[i].mse)));
  }
}

void check_episodes(const RunData& run, Violations& report) {
  if (run.episodes.size() > run.episodes_total)
    report.add("/episodes", fmt::format("{} episodes in a run of {}", run.episodes.size(), run.episodes_total));
  for (std::size_t i = 0; i < run.episodes.size(); ++i) {
    const Episode& e = run.episodes[i];
    if (i > 0 && e.iteration < run.episodes[i - 1].iteration)
      report.add("/episodes/iteration", fmt::format("row {}: {} after {}: expected ascending iterations", i,
                                                    e.iteration, run.episodes[i - 1].iteration));
    const double expected = reward(e.score, run.attention_weight);
    if (std::abs(e.reward - expected) > 1e-9 * (1 + std::abs(expected)))
      report.add("/episodes/reward",
                 fmt::format("row {}: {} is not -(kd + attention_weight attention) = {}", i, e.reward, expected));
    check_score("/episodes", e.score, i, report);
    check_codes("/episodes/codes", e.codes, i, run, report);
    if (!tmax_searched(run.sites) || e.iteration >= run.updates.size()) continue;
    if (const double passed = passed_share(run.sites, e.codes), most = run.updates[e.iteration].pass_share;
        passed > most * (1 + 1e-9))
      report.add("/episodes/tmax",
                 fmt::format("row {}: {} of the sites' activations pass, at most {} may", i, passed, most));
  }
  for (const Update& u : run.updates)
    if (!(u.pass_share >= 0 && u.pass_share <= 1))
      report.add("/updates/pass_share", fmt::format("{}: expected a share in 0..1", u.pass_share));
  for (std::size_t i = 1; i < run.updates.size(); ++i)
    if (run.updates[i].iteration <= run.updates[i - 1].iteration)
      report.add("/updates/iteration", fmt::format("row {}: {} after {}: expected ascending iterations", i,
                                                   run.updates[i].iteration, run.updates[i - 1].iteration));
  if (!run.episodes.empty() && run.checkpoint.next_iteration <= run.episodes.back().iteration)
    report.add("/checkpoint/next_iteration", fmt::format("{} although iteration {} is done",
                                                         run.checkpoint.next_iteration, run.episodes.back().iteration));
}

void check_evaluations(const RunData& run, Violations& report) {
  for (std::size_t i = 0; i < run.evaluations.size(); ++i) {
    check_codes("/evaluations/codes", run.evaluations[i].codes, i, run, report);
    check_score("/evaluations", run.evaluations[i].validation, i, report);
    if (i > 0 && run.evaluations[i].iteration <= run.evaluations[i - 1].iteration)
      report.add("/evaluations/iteration", fmt::format("row {}: expected ascending iterations", i));
  }
}

void check_finalists(const RunData& run, Violations& report) {
  if (run.finished && !run.finalists.empty())
    report.add("/finalists", fmt::format("{} rows in a finished run", run.finalists.size()));
  for (std::size_t i = 0; i < run.finalists.size(); ++i) {
    const Score& score = run.finalists[i].score;
    check_score("/finalists", score, i, report);
    check_records("/finalists/record_rewards", run.finalists[i].record_rewards, score, i, run, report);
  }
}

void check_top(const RunData& run, Violations& report) {
  for (std::size_t i = 0; i < run.top.size(); ++i) {
    const Candidate& c = run.top[i];
    check_codes("/top/codes", c.codes, i, run, report);
    check_score("/top", c.validation, i, report);
    check_records("/top/validation_record_rewards", c.record_rewards, c.validation, i, run, report);
    if (i > 0 && c.validation.images > run.top[i - 1].validation.images)
      report.add("/top/validation_images", fmt::format("row {}: {} after {}: expected those of most images first", i,
                                                       c.validation.images, run.top[i - 1].validation.images));
    if (c.origin != "episode") {
      if (c.origin != "policy" && c.origin != "start" && c.origin != "mse" && c.origin != "init" &&
          !c.origin.starts_with("balanced-"))
        report.add(
            "/top/origin",
            fmt::format("row {}: expected episode, policy, start, init, mse or balanced-K, found '{}'", i, c.origin));
    } else if (c.episode >= run.episodes.size()) {
      report.add("/top/episode", fmt::format("row {}: episode {} of {}", i, c.episode, run.episodes.size()));
    } else if (const Episode& e = run.episodes[c.episode]; e.codes != c.codes || e.reward != c.reward) {
      report.add("/top", fmt::format("row {}: codes or reward are not those of episode {}", i, c.episode));
    }
  }
  if (!run.finished) return;
  check_score("/selected", run.selected.test, 0, report);
  check_score("/selected", run.selected.test_mse, 0, report);
  if (run.selected.top_index >= run.top.size())
    report.add("/selected/top_index", fmt::format("row {} of {} in /top", run.selected.top_index, run.top.size()));
  else if (const std::size_t on_all = count_scored_on_all(run.top); run.selected.top_index >= on_all)
    report.add("/selected/top_index",
               fmt::format("row {} of /top, which has {} scored on all images", run.selected.top_index, on_all));
}

void check_repair(const RunData& run, Violations& report) {
  try {
    parse_repair_mode(run.repair);
  } catch (const Error& error) {
    return report.add("/@repair", error.what());
  }
  if (!run.finished) return;
  const bool repaired = run.repair != name_of(repair_modes, RepairMode::none);
  if (repaired) check_score("/selected/test_mse_repaired_images", run.selected.test_mse_repaired, 0, report);
  if (!repaired && run.selected.test_mse_repaired != Score{})
    report.add("/selected/test_mse_repaired_images", "scored in a run without repair");
  const Network& network = run.network;
  std::vector<std::string> expected, found;
  try {
    if (repaired)
      for (const std::size_t i : repaired_nodes(network, site_nodes(network, run.sites)))
        expected.push_back(network.nodes[i].name);
    for (const LayerRepair& layer : run.selected.repair) found.push_back(layer.layer);
    if (found != expected)
      report.add("/selected/repair_layer", fmt::format("expected the convolutions behind the sites ({}), found ({})",
                                                       fmt::join(expected, ","), fmt::join(found, ",")));
    repair_of(network, run.selected.repair);
  } catch (const Error& error) {
    return report.add("/selected/repair_layer", error.what());
  }
  for (const LayerRepair& layer : run.selected.repair)
    for (float m : layer.requantization.multiplier)
      if (!(m > 0))
        report.add("/selected/repair_multiplier",
                   fmt::format("{}: expected positive multipliers, found {}", layer.layer, m));
}

void check_checkpoint(const RunData& run, Violations& report) {
  const Checkpoint& c = run.checkpoint;
  for (const auto& [name, steps] :
       {std::pair("next_iteration", c.next_iteration), {"optimizer_steps", c.optimizer_steps}})
    if (steps > most_counted) report.add(fmt::format("/checkpoint/{}", name), fmt::format("{} is no count", steps));
  for (const auto& [name, tensor] : c.tensors)
    check_finite<float>(fmt::format("{}/{}", tensor_group, name), tensor.values, report);
}

}  // namespace

void check_content(const RunData& run, Violations& report) {
  check_sites(run, report);
  check_episodes(run, report);
  check_evaluations(run, report);
  check_finalists(run, report);
  check_top(run, report);
  check_checkpoint(run, report);
  if (!run.sites.empty()) check_repair(run, report);
}

}  // namespace triseg
