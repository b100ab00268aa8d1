#include "learner/judging/shares.hpp"
#include "learner/judging/repair.hpp"
#include "learner/files/run_file.hpp"
#include "learner/files/run_layout.hpp"
#include "learner/judging/selection.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace triseg {
namespace {

/// Collects violations; of one kind at one place only the first few, so that a broken column does not fill the screen.
class Report {
 public:
  void add(const std::string& path, const std::string& what) {
    if (++count_[path] <= most_per_path) lines_.push_back(path + ": " + what);
    if (count_[path] == most_per_path + 1) lines_.push_back(path + ": more of these are not listed");
  }
  bool empty() const { return lines_.empty(); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  static constexpr int most_per_path = 3;
  std::map<std::string, int> count_;
  std::vector<std::string> lines_;
};

void check_labels(const hdf5::File& file, const Field& field, Report& report) {
  if (field.is_attribute()) return;
  const bool current = run_version(file) == run_schema_version;  // older files say the same in other words
  std::vector<std::string> found = file.attributes(field.path);
  for (const auto& [name, value] : label_attributes(field)) {
    std::erase(found, name);
    if (!current && name == "long_name") continue;
    if (!file.has_attribute(field.path, name) || !(file.read_attribute(field.path, name) == value))
      report.add(field.path, fmt::format("expected the attribute {} = {}", name,
                                         value.type == Type::string ? '"' + value.string() + '"' : "1 (u8)"));
  }
  for (const std::string& name : found) report.add(field.path, fmt::format("unexpected attribute {}", name));
}

void check_nothing_else(const hdf5::File& file, bool finished, Report& report) {
  const int version = run_version(file);
  std::set<std::string> known, known_attributes;
  for (const Group& group : run_groups(version))
    if (finished || group.path != selected_group) known.insert(group.path);
  for (const Field& field : run_fields(version)) {
    if (field.is_attribute()) known_attributes.insert(field.attribute_name());
    else if (finished || !field.finished_only) known.insert(field.path);
  }
  for (const Group& group : run_groups(version)) {
    const bool there = group.path == "/" || file.objects().contains(group.path);
    if (known.contains(group.path) && !there) report.add(group.path, "missing: expected a group");
    if (group.path == "/" || !there) continue;
    for (const std::string& name : file.attributes(group.path)) report.add(group.path, "unexpected attribute " + name);
  }
  for (const auto& [path, kind] : file.objects()) {
    const bool tensor = path.starts_with(std::string(tensor_group) + "/") && kind != hdf5::File::Kind::other;
    if (!tensor && !known.contains(path)) report.add(path, "unexpected: the schema has nothing of this name here");
  }
  for (const std::string& name : file.attributes("/"))
    if (!known_attributes.contains(name)) report.add("/@" + name, "unexpected: the schema has no such attribute");
}

template <class T>
void check_finite(const std::string& path, std::span<const T> values, Report& report) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      report.add(path, fmt::format("element {} is {}: expected finite values", i, values[i]));
}

void check_values(const std::string& path, const Values& values, Report& report) {
  if (values.type == Type::f64) check_finite(path, values.as<double>(), report);
  if (values.type == Type::f32) check_finite(path, values.as<float>(), report);
}

void check_codes(const std::string& path, const std::vector<Codes>& codes, std::size_t row, const RunData& run,
                 Report& report) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const SiteData& site = run.sites[i];
    if (!is_legal(codes[i]))
      report.add(path, fmt::format("row {}, site {}: illegal codes {}", row, site.name, to_string(codes[i])));
    if (codes[i].tmax != site.tmax && !site.tmax_searched)
      report.add(path, fmt::format("row {}, site {}: {}, but tmax is {} and not searched", row, site.name,
                                   to_string(codes[i]), site.tmax));
  }
}

void check_score(const std::string& path, const Score& s, std::size_t row, Report& report) {
  if (s.both_right + s.teacher_only + s.student_only > s.images)
    report.add(path, fmt::format("row {}: {} + {} + {} images classified right of {}", row, s.both_right,
                                 s.teacher_only, s.student_only, s.images));
  if (s.images == 0) report.add(path, fmt::format("row {}: scored on no image", row));
}

/// The sums of rewards over records: as many as the images make, and their sum that of the score.
void check_records(const std::string& path, const std::vector<double>& sums, const Score& s, std::size_t row,
                   const RunData& run, Report& report) {
  const std::uint64_t records = (s.images + split_batch - 1) / split_batch;
  if (sums.size() != records)
    return report.add(path,
                      fmt::format("row {}: {} records of {} images: expected {}", row, sums.size(), s.images, records));
  const double found = std::accumulate(sums.begin(), sums.end(), 0.0),
               expected = -(s.kd + run.attention_weight * s.attention);
  if (!(std::abs(found - expected) <= 1e-9 * (1 + std::abs(expected))))
    report.add(path, fmt::format("row {}: their sum is {}, that of the score {}", row, found, expected));
}

void check_sites(const RunData& run, Report& report) {
  if (run.sites.empty()) return report.add("/sites", "expected at least one site");
  const Network& network = run.network;
  std::size_t next = 0;
  for (const SiteData& site : run.sites) {
    const auto layer = std::find_if(network.layers.begin() + next, network.layers.end(),
                                    [&](const Layer& l) { return l.relu && l.name == site.name; });
    if (layer == network.layers.end()) {
      report.add("/sites/name", fmt::format("'{}' is no site of {}, or not in network order", site.name, network.name));
      continue;
    }
    next = layer - network.layers.begin() + 1;
    if (record_key(*layer) != site.record_key)
      report.add("/sites/record_key", fmt::format("expected '{}', found '{}'", record_key(*layer), site.record_key));
    if (layer->kind != site.kind)
      report.add("/sites/kind", fmt::format("expected {} for {}", kind_name(layer->kind), site.name));
    if (!(site.scale.scale > 0)) report.add("/sites/scale", fmt::format("{}: expected a positive scale", site.name));
    if (site.scale.zero_point != 0)
      report.add("/sites/zero_point", fmt::format("{}: expected 0 behind a ReLU", site.name));
    if (site.tmax < smallest_tmax || site.tmax > 255)
      report.add("/sites/tmax", fmt::format("{}: expected {}..255, found {}", site.name, smallest_tmax, site.tmax));
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

void check_episodes(const RunData& run, Report& report) {
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

void check_evaluations(const RunData& run, Report& report) {
  for (std::size_t i = 0; i < run.evaluations.size(); ++i) {
    check_codes("/evaluations/codes", run.evaluations[i].codes, i, run, report);
    check_score("/evaluations", run.evaluations[i].validation, i, report);
    if (i > 0 && run.evaluations[i].iteration <= run.evaluations[i - 1].iteration)
      report.add("/evaluations/iteration", fmt::format("row {}: expected ascending iterations", i));
  }
}

void check_finalists(const RunData& run, Report& report) {
  if (run.finished && !run.finalists.empty())
    report.add("/finalists", fmt::format("{} rows in a finished run", run.finalists.size()));
  for (std::size_t i = 0; i < run.finalists.size(); ++i) {
    const Score& score = run.finalists[i].score;
    check_score("/finalists", score, i, report);
    check_records("/finalists/record_rewards", run.finalists[i].record_rewards, score, i, run, report);
    if (i > 0 && score.images != run.finalists[i - 1].score.images)
      report.add("/finalists/images", fmt::format("row {}: {} after {}: expected as many for each", i, score.images,
                                                  run.finalists[i - 1].score.images));
  }
}

void check_top(const RunData& run, Report& report) {
  for (std::size_t i = 0; i < run.top.size(); ++i) {
    const Candidate& c = run.top[i];
    check_codes("/top/codes", c.codes, i, run, report);
    check_score("/top", c.validation, i, report);
    check_records("/top/validation_record_rewards", c.record_rewards, c.validation, i, run, report);
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
}

void check_repair(const RunData& run, Report& report) {
  try {
    parse_repair_mode(run.repair);
  } catch (const Error& error) {
    return report.add("/@repair", error.what());
  }
  if (!run.finished) return;
  const bool repaired = run.repair != repair_mode_name(RepairMode::none);
  if (repaired) check_score("/selected/test_mse_repaired_images", run.selected.test_mse_repaired, 0, report);
  if (!repaired && run.selected.test_mse_repaired != Score{})
    report.add("/selected/test_mse_repaired_images", "scored in a run without repair");
  const Network& network = run.network;
  std::vector<std::string> expected, found;
  try {
    if (repaired)
      for (std::size_t l : repaired_layers(network, layer_index(network, run.sites.at(0).name, "/sites/name")))
        expected.push_back(network.layers[l].name);
    for (const LayerRepair& layer : run.selected.repair) found.push_back(layer.layer);
    if (found != expected)
      report.add("/selected/repair_layer", fmt::format("expected the layers behind the first site ({}), found ({})",
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

/// Derived values are computed again; the last bits may differ, as other compilers contract other operations.
void check_derived(const hdf5::File& file, const RunData& run, Report& report) {
  const int version = run_version(file);
  for (const Field& field : run_fields(version)) {
    if (field.role != Field::Role::derived || version < field.derived_since || (field.finished_only && !run.finished))
      continue;
    const Values expected = field.get(run), found = read_field(file, field);
    const auto bad = [&](std::size_t i) {
      report.add(field.path, fmt::format("element {} is not what the stored fields make it", i));
    };
    if (field.type == Type::f64) {
      const std::span<const double> x = found.as<double>(), y = expected.as<double>();
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!(std::abs(x[i] - y[i]) <= 1e-9 * (1 + std::abs(y[i])))) bad(i);
    } else {
      for (std::size_t i = 0; i < found.bytes.size(); ++i)
        if (found.bytes[i] != expected.bytes[i]) bad(i / found.element_size);
    }
  }
}

}  // namespace

std::vector<std::string> validate_run(const std::filesystem::path& path) {
  Report report;
  const hdf5::File file = open_run(path);
  std::vector<std::string> layout = layout_violations(file);
  if (!layout.empty()) return layout;

  const bool finished = is_finished(file);
  check_nothing_else(file, finished, report);
  const auto check_readable = [&](const std::string& where, auto read) {
    try {
      check_values(where, read(), report);
    } catch (const Error& error) {
      report.add(where, error.what());
    }
  };
  for (const Field& field : run_fields(run_version(file))) {
    if (field.finished_only && !finished) continue;
    check_labels(file, field, report);
    check_readable(field.path, [&] { return read_field(file, field); });
  }
  for (const std::string& tensor : tensor_paths(file))
    check_readable(tensor, [&] { return file.read_dataset(tensor); });
  try {
    const RunData run = read_run(file, path.string());
    check_sites(run, report);
    check_episodes(run, report);
    check_evaluations(run, report);
    check_finalists(run, report);
    check_top(run, report);
    if (!run.sites.empty()) check_repair(run, report);
    if (report.empty()) check_derived(file, run, report);
  } catch (const Error& error) {
    report.add("/", error.what());
  }
  return report.take();
}

}  // namespace triseg
