#include "runner/sweep/sweep_halving.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <system_error>
#include <tuple>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The KD that the run has at a rung, if it got there.
std::optional<double> kd_at(const RungProgress& progress, std::uint64_t rung) {
  for (const Measurement& m : progress.measured)
    if (m.rung == rung || (m.rung < rung && m.episodes < m.rung)) return m.kd;
  return std::nullopt;
}

std::size_t kept_of(std::size_t runs, std::uint64_t eta) { return (runs + eta - 1) / eta; }

/// Episodes that the run has scored where it is measured: whole iterations.
std::uint64_t episodes_at(const SweepRun& run, std::uint64_t rung) {
  const std::uint64_t each = run.search.iteration.episodes_per_update;
  return std::min((rung + each - 1) / each * each, run.search.episodes);
}

std::map<std::size_t, std::vector<std::size_t>> brackets_of(const SweepTable& table) {
  std::map<std::size_t, std::vector<std::size_t>> brackets;
  for (std::size_t i = 0; i < table.runs.size(); ++i) brackets[table.runs[i].bracket].push_back(i);
  return brackets;
}

/// Takes the runs that got to a rung to the next one: false if it is not decided yet. `alive` becomes those that go on.
bool decide(const SweepTable& table, std::span<const RungProgress> progress, std::uint64_t rung,
            std::vector<std::size_t>& alive, std::vector<Standing>& all) {
  bool decided = true;
  std::vector<std::pair<double, std::size_t>> ranked;
  for (const std::size_t i : alive) {
    const auto kd = kd_at(progress[i], rung);
    if (kd) ranked.emplace_back(*kd, i);
    if (kd) all[i].state = Standing::State::waits;
    decided = decided && (kd || progress[i].failed);
  }
  if (!decided) return false;
  std::sort(ranked.begin(), ranked.end(), [&](const auto& a, const auto& b) {
    return std::tie(a.first, table.runs[a.second].id) < std::tie(b.first, table.runs[b.second].id);
  });
  const std::size_t of = alive.size(), kept = kept_of(of, table.halving.eta);
  alive.clear();
  for (std::size_t place = 0; place < ranked.size(); ++place) {
    Standing& standing = all[ranked[place].second];
    if (place < kept) {
      standing.state = Standing::State::searches;
      ++standing.rungs;
      alive.push_back(ranked[place].second);
    } else {
      standing = {Standing::State::stopped, standing.rungs, place + 1, of, kept};
    }
  }
  return true;
}

}  // namespace

std::vector<Standing> standings(const SweepTable& table, std::span<const RungProgress> progress) {
  std::vector<Standing> all(table.runs.size());
  for (auto& [bracket, alive] : brackets_of(table))
    for (const std::uint64_t rung : table.halving.rungs)
      if (!decide(table, progress, rung, alive, all)) break;
  return all;
}

std::vector<Measurement> read_measurements(const SweepFolder& folder, const std::string& id) {
  std::vector<Measurement> measured;
  const fs::path path = folder.rungs(id);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return measured;
  const std::string text = read_text(path);
  try {
    for (const Json& m : Json::parse(text))
      measured.push_back({m.at("rung").get<std::uint64_t>(), m.at("episodes").get<std::uint64_t>(),
                          m.at("images").get<std::uint64_t>(), m.at("validation_kd").get<double>()});
  } catch (const Json::exception&) {
    fail("{}: expected what the rungs of [halving] have measured: remove the run's folder to do the run again",
         path.string());
  }
  return measured;
}

void add_measurement(const SweepFolder& folder, const std::string& id, const Measurement& measurement) {
  if (!std::isfinite(measurement.kd))
    fail("at episode {}: the KD on validation is not finite: choose smaller rates", measurement.episodes);
  std::vector<Measurement> measured = read_measurements(folder, id);
  measured.push_back(measurement);
  Json json = Json::array();
  for (const Measurement& m : measured)
    json.push_back({{"rung", m.rung}, {"episodes", m.episodes}, {"images", m.images}, {"validation_kd", m.kd}});
  commit_file(folder.rungs(id), json.dump(1) + "\n");
}

std::vector<Standing> settle(const SweepFolder& folder, const SweepTable& table) {
  if (table.halving.rungs.empty()) return std::vector<Standing>(table.runs.size());
  std::error_code ignored;
  std::vector<RungProgress> progress;
  for (const SweepRun& run : table.runs)
    progress.push_back({read_measurements(folder, run.id), fs::exists(folder.failure(run.id), ignored)});
  std::vector<Standing> all = standings(table, progress);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string& id = table.runs[i].id;
    const Standing& s = all[i];
    if (s.state != Standing::State::stopped || is_finished(folder, id)) continue;
    const std::uint64_t rung = table.halving.rungs[s.rungs];
    write_stopped(folder, id,
                  fmt::format("at {} episodes: its KD, {:.5f}, is in place {} of {}; {} went on", rung,
                              *kd_at(progress[i], rung), s.place, s.of, s.kept));
  }
  return all;
}

SweepCost cost_of(const SweepTable& table) {
  SweepCost cost;
  const std::vector<std::uint64_t>& rungs = table.halving.rungs;
  for (const std::uint64_t rung : rungs) {
    cost.rungs.push_back({0, std::numeric_limits<std::uint64_t>::max(), 0});
    for (const SweepRun& run : table.runs) {
      cost.rungs.back().least = std::min(cost.rungs.back().least, episodes_at(run, rung));
      cost.rungs.back().most = std::max(cost.rungs.back().most, episodes_at(run, rung));
    }
  }
  const auto dearest = [](std::vector<std::uint64_t> images, std::size_t count) {
    std::sort(images.rbegin(), images.rend());
    return std::accumulate(images.begin(), images.begin() + count, std::uint64_t{0});
  };
  for (const auto& [bracket, runs] : brackets_of(table)) {
    std::size_t alive = runs.size();
    for (std::size_t r = 0; r <= rungs.size(); ++r) {
      std::vector<std::uint64_t> images, final_images;  // to the next rung, or to the end; behind it
      for (const std::size_t i : runs) {
        const SweepRun& run = table.runs[i];
        const std::uint64_t from = r == 0 ? 0 : episodes_at(run, rungs[r - 1]);
        const std::uint64_t to = r < rungs.size() ? episodes_at(run, rungs[r]) : run.search.episodes;
        images.push_back((to - from) * run.search.iteration.batch_size);
        final_images.push_back(run.most_final_images);
      }
      cost.student_images += dearest(std::move(images), alive);
      if (r == rungs.size()) {
        cost.most_final_images += dearest(std::move(final_images), alive);
        break;
      }
      cost.measurements += alive;
      alive = kept_of(alive, table.halving.eta);
      cost.rungs[r].going_on += alive;
    }
  }
  return cost;
}

}  // namespace triseg
