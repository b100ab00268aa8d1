#include "learner/files/run_schema.hpp"

#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/shares.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/files/network_columns.hpp"
#include "learner/files/run_columns.hpp"
#include "learner/judging/selection.hpp"

#include <sstream>

namespace triseg {
namespace {

using Role = Field::Role;

Field with_set(Field f, std::function<void(RunData&, const Values&)> set) {
  f.role = Role::stored;
  f.set = std::move(set);
  return f;
}

Field may_differ(Field f) {
  f.may_differ = true;
  return f;
}

Field since_version_5(Field f) {
  f.since = 5;
  return f;
}

/// The columns (or scalars) of a Score: its sums, which are stored, and the means that readers want.
/// `add(label, access)` appends a field; its access takes the Score.
template <class Add>
void add_score(const std::string& prefix, const std::string& on, Add add,
               const std::string& student_accuracy = "accuracy") {
  add(Label{prefix + "kd", "nats", "T^2 KL(teacher || student), mean over images" + on},
      [](const Score& s) { return s.mean_kd(); });
  add(Label{prefix + "attention", "1", "attention distance, mean over images and attention layers" + on},
      [](const Score& s) { return s.mean_attention(); });
  add(Label{prefix + student_accuracy, "percent", "images that the student classifies right" + on},
      [](const Score& s) { return s.student_accuracy(); });
  add(Label{prefix + "accuracy_teacher", "percent", "images that the teacher classifies right" + on},
      [](const Score& s) { return s.teacher_accuracy(); });
  add(
      Label{prefix + "images", "1", "images scored" + on}, [](auto& s) -> auto& { return s.images; });
  add(
      Label{prefix + "kd_sum", "nats", "sum over images of which kd is the mean" + on},
      [](auto& s) -> auto& { return s.kd; });
  add(
      Label{prefix + "attention_sum", "1", "sum over images of which attention is the mean" + on},
      [](auto& s) -> auto& { return s.attention; });
  add(
      Label{prefix + "both_right", "1", "images that teacher and student classify right" + on},
      [](auto& s) -> auto& { return s.both_right; });
  add(
      Label{prefix + "teacher_only", "1", "images that only the teacher classifies right" + on},
      [](auto& s) -> auto& { return s.teacher_only; });
  add(
      Label{prefix + "student_only", "1", "images that only the student classifies right" + on},
      [](auto& s) -> auto& { return s.student_only; });
}

const Candidate& selected_candidate(const RunData& run) {
  if (run.selected.top_index >= run.top.size())
    fail("the selected row {} of /top does not exist: it has {}", run.selected.top_index, run.top.size());
  return run.top[run.selected.top_index];
}

NetworkCost cost_of(const RunData& run, const Candidate& candidate) {
  return network_cost(run.network, run.sites, candidate.codes, run.energy);
}

void add_root(std::vector<Field>& fields) {
  const auto add = [&](std::string name, std::string units, std::string long_name, auto access) {
    fields.push_back(scalar("/@" + name, units, long_name, access));
  };
  const auto add_file = [&](std::string name, Type type, std::string long_name, bool may_differ = false) {
    fields.push_back({"/@" + name, type, {}, "", long_name, Role::file, may_differ});
  };
  const auto add_placement = [&](std::string name, std::string long_name, auto access) {
    fields.push_back(may_differ(scalar("/@" + name, "", long_name, access)));
  };
  add_file("format", Type::string, "\"triseg-run\"");
  add_file("schema_version", Type::s32, "version of this layout");
  add_file("creator", Type::string, "the program that wrote the file");
  add_file("creator_version", Type::string, "its version");
  add_file("file_time", Type::string, "when the file was written, UTC, ISO 8601", true);
  add_file("may_differ", Type::string, "root attributes that may differ between runs of one config and seed");
  add_file("content_sha256", Type::string, "digest over all stored fields (below)", true);
  fields.push_back(
      with_set(scalar("/@status", "", "\"running\" or \"finished\"",
                      [](const RunData& run) { return std::string(run.finished ? "finished" : "running"); }),
               [](RunData& run, const Values& values) {
                 const std::string status = values.string();
                 if (status != "running" && status != "finished")
                   fail("expected running or finished, found '{}'", status);
                 run.finished = status == "finished";
               }));
  add(
      "model", "", "network, as --model takes it", [](auto& r) -> auto& { return r.network.name; });
  add(
      "model_display_name", "", "network, for people", [](auto& r) -> auto& { return r.network.display_name; });
  add(
      "model_sha256", "", "SHA-256 of the model file", [](auto& r) -> auto& { return r.model_sha256; });
  add(
      "backend", "", "quantization scheme: fbgemm or qnnpack", [](auto& r) -> auto& { return r.backend; });
  add(
      "data_sha256", "", "SHA-256 over the data set's sizes, pixels and labels",
      [](auto& r) -> auto& { return r.data_sha256; });
  add(
      "selection", "", "how the selected codes were chosen", [](auto& r) -> auto& { return r.selection; });
  fields.push_back(
      with_set(scalar("/@attention_layers", "", "names of the attention layers, separated by commas",
                      [](const RunData& run) { return fmt::format("{}", fmt::join(run.attention_layers, ",")); }),
               [](RunData& run, const Values& values) {
                 std::istringstream stream(values.string());
                 for (std::string name; std::getline(stream, name, ',');) run.attention_layers.push_back(name);
               }));
  add(
      "temperature", "1", "temperature T of KD", [](auto& r) -> auto& { return r.temperature; });
  add(
      "attention_weight", "1", "weight w of the attention term in reward = -(kd + w attention)",
      [](auto& r) -> auto& { return r.attention_weight; });
  add(
      "seed", "1", "seed of all random numbers", [](auto& r) -> auto& { return r.seed; });
  add(
      "episodes_total", "1", "episodes the run is to score", [](auto& r) -> auto& { return r.episodes_total; });
  add(
      "repair", "", "how students' requantization is repaired: none, layer or channel",
      [](auto& r) -> auto& { return r.repair; });
  add(
      "student_images", "1",
      "images that students were run on in the search so far, starts, references, evaluations and repairs included",
      [](auto& r) -> auto& { return r.student_images; });
  for (const auto& [name, member] : energy_names)
    add(
        fmt::format("energy_{}", name), "pJ",
        fmt::format("energy of an operation, {} of --energy-table", name), [member](auto& r) -> auto& {
          return r.energy.*member;
        });
  add(
      "config_hash", "", "SHA-256 over the options that change results",
      [](auto& r) -> auto& { return r.config_hash; });
  add_placement(
      "config", "all options, given or by default, as TOML", [](auto& r) -> auto& { return r.config; });
  add_placement(
      "data", "data set, as --data takes it: a name, or the absolute path of a folder",
      [](auto& r) -> auto& { return r.data; });
  add_placement(
      "engine", "what executed the networks", [](auto& r) -> auto& { return r.engine; });
  add_placement(
      "transport", "what carried codes and records between ranks", [](auto& r) -> auto& { return r.transport; });
  add_placement(
      "ranks", "number of ranks", [](auto& r) -> auto& { return r.ranks; });
  add_placement(
      "threads_per_rank", "threads of each rank", [](auto& r) -> auto& { return r.threads_per_rank; });
  add_placement(
      "command_line", "the command that started or last continued the run",
      [](auto& r) -> auto& { return r.command_line; });
}

/// The description of the network.
void add_network(std::vector<Field>& fields) {
  const auto add_scalar = [&](std::string name, std::string long_name, auto access) {
    fields.push_back(since_version_5(scalar("/network/" + name, "1", long_name, access)));
  };
  add_scalar(
      "input_channels", "channels of the input", [](auto& r) -> auto& { return r.network.input_channels; });
  add_scalar(
      "input_side", "height and width of the input [pixels]", [](auto& r) -> auto& { return r.network.input_side; });
  add_scalar(
      "classes", "classes that the network tells apart", [](auto& r) -> auto& { return r.network.classes; });
  const Rows rows{"/network", "Y", [](auto& run) -> auto& {return run.network.layers;
}
};  // namespace
fields.push_back(since_version_5(column(
    rows, {"name", "", "layer name"}, [](auto& l) -> auto& { return l.name; })));
fields.push_back(since_version_5(with_set(column(rows, {"kind", "", "conv or fc"},
                                                 [](const Layer& l) { return std::string(kind_name(l.kind)); }),
                                          [](RunData& run, const Values& values) {
                                            const std::vector<std::string> names = values.strings();
                                            run.network.layers.resize(names.size());
                                            for (std::size_t i = 0; i < names.size(); ++i)
                                              run.network.layers[i].kind = parse_kind(names[i]);
                                          })));
visit_layer_columns([&](const char* name, const char* long_name, auto access) {
  fields.push_back(since_version_5(column(rows, {name, "1", long_name}, access)));
});
}  // namespace triseg

void add_sites(std::vector<Field>& fields) {
  const Rows rows{"/sites", "L", &RunData::sites};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add(
      {"name", "", "layer name"}, [](auto& s) -> auto& { return s.name; });
  add(
      {"record_key", "", "key of the site in result files"}, [](auto& s) -> auto& { return s.record_key; });
  fields.push_back(with_set(
      column(rows, {"kind", "", "conv or fc"}, [](const SiteData& s) { return std::string(kind_name(s.kind)); }),
      [](RunData& run, const Values& values) {
        const std::vector<std::string> names = values.strings();
        run.sites.resize(names.size());
        for (std::size_t i = 0; i < names.size(); ++i) run.sites[i].kind = parse_kind(names[i]);
      }));
  add(
      {"scale", "1", "real value of one code step"}, [](auto& s) -> auto& { return s.scale.scale; });
  add(
      {"zero_point", "1", "code of real zero"}, [](auto& s) -> auto& { return s.scale.zero_point; });
  add(
      {"tmax", "1", "largest code that the staircase replaces, by the rule of calibration"},
      [](auto& s) -> auto& { return s.tmax; });
  add(
      {"tmax_searched", "1", "1 if episodes draw tmax, too, and the one above is only the start's"},
      [](auto& s) -> auto& { return s.tmax_searched; });
  add(
      {"init_codes", "1", "the initial codes, tmax {1,2,3,4} / 5"}, [](auto& s) -> auto& { return s.init; });
  add(
      {"mse_codes", "1", "the codes of least mean square error on the histogram"},
      [](auto& s) -> auto& { return s.mse; });
  add(
      {"start_codes", "1", "where the search started at the tmax above, and what all episodes are compared with"},
      [](auto& s) -> auto& { return s.start; });
  add(
      {"state", "1", "the policy's input: index / (sites - 1), mean / 255, std / 128, p90 / 255"},
      [](auto& s) -> auto& { return s.state; });
  fields.back().columns = "index,mean,std,p90";
  add(
      {"histogram", "1", "counts of the codes 0..255 in calibration"}, [](auto& s) -> auto& { return s.histogram; });
}

void add_episodes(std::vector<Field>& fields) {
  const Rows rows{"/episodes", "N", &RunData::episodes};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add(
      {"iteration", "1", "iteration, from 0"}, [](auto& e) -> auto& { return e.iteration; });
  add(
      {"reward", "1", "-(kd + attention_weight attention)"}, [](auto& e) -> auto& { return e.reward; });
  add_score("", "", [&](Label label, auto access) {
    add(label, [access](auto& e) -> decltype(auto) { return access(e.score); });
  });
  add(
      {"codes", "1", "the drawn codes"}, [](auto& e) -> auto& { return e.codes; });
  fields.push_back(tmax_column(
      rows, [](auto& e) -> auto& { return e.codes; }));
}

void add_updates(std::vector<Field>& fields) {
  const Rows rows{"/updates", "U", &RunData::updates};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add(
      {"iteration", "1", "iteration, from 0"}, [](auto& u) -> auto& { return u.iteration; });
  add(
      {"branch", "1", "which of --pass-shares it searches for, from 0"}, [](auto& u) -> auto& { return u.branch; });
  fields.back().path_in_version_4 = "/updates/part";
  add(
      {"pass_share", "1",
       "the most of the sites' activations that may pass through: of a searched tmax what was asked for, else what the "
       "sites' tmax lets pass"},
      [](auto& u) -> auto& { return u.pass_share; });
  add(
      {"mean_reward", "1", "mean reward of the iteration's episodes"}, [](auto& u) -> auto& { return u.mean_reward; });
  add(
      {"best_reward", "1", "best reward of the iteration's episodes"}, [](auto& u) -> auto& { return u.best_reward; });
  add(
      {"reference_reward", "1", "reward of the start's codes on the same images"},
      [](auto& u) -> auto& { return u.reference_reward; });
  add(
      {"policy_loss", "1", "policy loss, last epoch"}, [](auto& u) -> auto& { return u.policy_loss; });
  add(
      {"value_loss", "1", "value loss, last epoch"}, [](auto& u) -> auto& { return u.value_loss; });
  add(
      {"entropy", "nats", "mean entropy of the policy, last epoch"}, [](auto& u) -> auto& { return u.entropy; });
  add(
      {"approx_kl", "nats", "approximate KL(old policy || new), last epoch"},
      [](auto& u) -> auto& { return u.approx_kl; });
  add(
      {"clip_fraction", "1", "share of clipped ratios, last epoch"}, [](auto& u) -> auto& { return u.clip_fraction; });
  add(
      {"update_seconds", "s", "wall clock of the update"}, [](auto& u) -> auto& { return u.update_seconds; });
  fields.back().may_differ = true;
  add(
      {"iteration_seconds", "s", "wall clock of the iteration"}, [](auto& u) -> auto& { return u.iteration_seconds; });
  fields.back().may_differ = true;
}

void add_evaluations(std::vector<Field>& fields) {
  const Rows rows{"/evaluations", "E", &RunData::evaluations};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add(
      {"iteration", "1", "iteration after whose update"}, [](auto& e) -> auto& { return e.iteration; });
  add_score("validation_", ", first images of the validation split", [&](Label label, auto access) {
    add(label, [access](auto& e) -> decltype(auto) { return access(e.validation); });
  });
  add(
      {"codes", "1", "the policy's most probable codes"}, [](auto& e) -> auto& { return e.codes; });
  fields.push_back(tmax_column(
      rows, [](auto& e) -> auto& { return e.codes; }));
}

void add_finalists(std::vector<Field>& fields) {
  const Rows rows{"/finalists", "F", &RunData::finalists};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add_score("", ", validation images so far", [&](Label label, auto access) {
    add(label, [access](auto& f) -> decltype(auto) { return access(f.score); });
  });
  add(
      {"record_rewards", "1", "sums of the reward over each record of 125 images so far"},
      [](auto& f) -> auto& { return f.record_rewards; });
}

void add_top(std::vector<Field>& fields) {
  const Rows rows{"/top", "K", &RunData::top};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add(
      {"origin", "",
       "episode, policy (its most probable codes), init, mse or balanced-K, or start (of one of --pass-shares) "
       "(docs/search-reference.md)"},
      [](auto& c) -> auto& { return c.origin; });
  add(
      {"episode", "1", "row of /episodes, if origin is episode"}, [](auto& c) -> auto& { return c.episode; });
  add(
      {"reward", "1", "reward in the search; if origin is not episode, of the validation score"},
      [](auto& c) -> auto& { return c.reward; });
  add_score("validation_", ", validation split", [&](Label label, auto access) {
    add(label, [access](auto& c) -> decltype(auto) { return access(c.validation); });
  });
  add(
      {"validation_record_rewards", "1", "sums of the reward over each record of 125 validation images"},
      [](auto& c) -> auto& { return c.record_rewards; });
  const auto difference_to_first = [](const RunData& run, const Candidate& c) {
    return reward_difference(c.record_rewards, run.top.front().record_rewards, c.validation.images);
  };
  fields.push_back(
      derived_column(rows, {"validation_difference", "1", "validation reward less that of the first row"},
                     [=](const RunData& r, const Candidate& c) { return difference_to_first(r, c).mean; }));
  fields.push_back(
      derived_column(rows, {"validation_difference_error", "1", "its standard error, paired by records"},
                     [=](const RunData& r, const Candidate& c) { return difference_to_first(r, c).error; }));
  const auto add_cost = [&](Label label, auto value) {
    fields.push_back(
        derived_column(rows, label, [=](const RunData& r, const Candidate& c) { return value(cost_of(r, c)); }));
  };
  add_cost({"coverage", "1", "share of all activations behind a ReLU that a staircase replaces, not passed through"},
           [](const NetworkCost& c) { return c.coverage; });
  fields.push_back(derived_column(
      rows, {"passed", "1", "share of the sites' activations that passes through, by the histograms of calibration"},
      [](const RunData& r, const Candidate& c) { return passed_share(r.sites, c.codes); }));
  add_cost({"energy", "pJ", "estimated energy of an inference (docs/cost-model.md)"},
           [](const NetworkCost& c) { return c.energy.staircase; });
  add(
      {"codes", "1", "the codes"}, [](auto& c) -> auto& { return c.codes; });
  fields.push_back(tmax_column(
      rows, [](auto& c) -> auto& { return c.codes; }));
}

void add_pareto(std::vector<Field>& fields) {
  const auto add = [&]<class T>(Label label, T (*value)(const Objectives&, std::size_t row)) {
    Field f{"/pareto/" + label.name, type_of<T>(), {"P"}, label.units, label.long_name, Role::derived};
    f.get = [value](const RunData& run) {
      const std::vector<Objectives> objectives = objectives_of(run);
      std::vector<T> values;
      for (const std::size_t row : non_dominated(objectives)) values.push_back(value(objectives[row], row));
      return Values::array<T>(values, {values.size()});
    };
    fields.push_back(f);
  };
  add(
      Label{"top_index", "1", "row of /top"}, +[](const Objectives&, std::size_t row) { return std::uint64_t{row}; });
  add(
      Label{"coverage", "1", "its coverage"}, +[](const Objectives& o, std::size_t) { return o.coverage; });
  add(
      Label{"validation_kd", "nats", "its KD, validation split"},
      +[](const Objectives& o, std::size_t) { return o.kd; });
  add(
      Label{"validation_accuracy", "percent", "its accuracy, validation split"},
      +[](const Objectives& o, std::size_t) { return o.accuracy; });
  add(
      Label{"energy", "pJ", "its estimated energy of an inference"},
      +[](const Objectives& o, std::size_t) { return o.energy; });
}

/// Figures of the cost model, of the selected codes.
void add_selected_cost(std::vector<Field>& fields) {
  const auto add = [&](Label label, auto value) {
    fields.push_back(scalar("/selected/" + label.name, label.units, label.long_name,
                            [=](const RunData& r) -> double { return value(cost_of(r, selected_candidate(r))); }));
  };
  add({"coverage", "1", "share of all activations behind a ReLU that a staircase replaces, not passed through"},
      [](const NetworkCost& c) { return c.coverage; });
  add({"entropy_bits", "bit", "entropy of an activation behind the sites"},
      [](const NetworkCost& c) { return c.entropy_bits; });
  add({"coded_bits", "bit", "an activation behind the sites in a 2-bit code with 8-bit escapes"},
      [](const NetworkCost& c) { return c.coded_bits; });
  add({"multiplications", "1", "multiplications of an inference, all layers"},
      [](const NetworkCost& c) { return c.multiplications; });
  add({"skipped", "1", "share of them with an operand that a staircase makes 0"},
      [](const NetworkCost& c) { return c.skipped; });
  add({"constant", "1", "share of them with an operand that a staircase makes v1 or v2"},
      [](const NetworkCost& c) { return c.constant; });
  add({"energy", "pJ", "estimated energy of an inference (docs/cost-model.md)"},
      [](const NetworkCost& c) { return c.energy.staircase; });
  add({"energy_exact", "pJ", "of the exact network"}, [](const NetworkCost& c) { return c.energy.exact; });
  add({"energy_exact_skipping", "pJ", "of the exact network on hardware that leaves out zeros"},
      [](const NetworkCost& c) { return c.energy.exact_skipping; });
  const auto add_site = [&](Label label, auto value) {
    Field f{"/selected/site_" + label.name, Type::f64, {"L"}, label.units, label.long_name, Role::derived};
    f.get = [=](const RunData& run) {
      std::vector<double> values;
      for (const SiteCost& site : cost_of(run, selected_candidate(run)).sites) values.push_back(value(site));
      return Values::array<double>(values, {values.size()});
    };
    fields.push_back(f);
  };
  const auto add_share = [&](std::string name, std::string what, double SiteShares::*member, std::string units = "1") {
    add_site({name, units, what}, [member](const SiteCost& s) { return s.shares.*member; });
  };
  add_share("zero", "share of the site's activations that become 0", &SiteShares::zero);
  add_share("v1", "share that becomes v1", &SiteShares::v1);
  add_share("v2", "share that becomes v2", &SiteShares::v2);
  add_share("passed", "share that passes through", &SiteShares::passed);
  add_share("exact_zero", "share that is 0 without a staircase", &SiteShares::exact_zero);
  add_share("entropy_bits", "entropy of an activation", &SiteShares::entropy_bits, "bit");
  add_share("coded_bits", "an activation in a 2-bit code with 8-bit escapes", &SiteShares::coded_bits, "bit");
  add_site({"multiplications", "1", "multiplications of an inference in the layer behind"},
           [](const SiteCost& s) { return s.multiplications; });
  add_site({"energy", "pJ", "estimated energy of the layer behind"},
           [](const SiteCost& s) { return s.energy.staircase; });
  add_site({"energy_exact", "pJ", "the same of the exact network"}, [](const SiteCost& s) { return s.energy.exact; });
}

/// The selected student's repair: its layers, and the channels of all of them one after the other.
void add_repair(std::vector<Field>& fields) {
  Field layer{
      "/selected/repair_layer", Type::string, {"M"}, "", "layers with a repaired requantization, in network order"};
  layer.get = [](const RunData& run) {
    std::vector<std::string> names;
    for (const LayerRepair& r : run.selected.repair) names.push_back(r.layer);
    return Values::strings(names);
  };
  fields.push_back(with_set(layer, [](RunData& run, const Values& values) {
    run.selected.repair.clear();
    for (const std::string& name : values.strings()) run.selected.repair.push_back({name, {}});
  }));
  Field channels{"/selected/repair_channels",
                 Type::s32,
                 {"M"},
                 "1",
                 "their output channels, which lie one layer after the other below"};
  channels.get = [](const RunData& run) {
    std::vector<std::int32_t> counts;
    for (const LayerRepair& r : run.selected.repair)
      counts.push_back(static_cast<std::int32_t>(r.requantization.bias.size()));
    return Values::array<std::int32_t>(counts, {counts.size()});
  };
  fields.push_back(with_set(channels, [](RunData& run, const Values& values) {
    const auto counts = values.as<std::int32_t>();
    constexpr std::int64_t most_channels = 1 << 24;  // of all layers of any network
    std::int64_t total = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      total += counts[i];
      if (counts[i] < 1 || total > most_channels) fail("row {}: {} channels", i, counts[i]);
      run.selected.repair[i].requantization = {std::vector<float>(counts[i]), std::vector<std::int32_t>(counts[i])};
    }
  }));
  const auto add = [&]<class T>(std::string name, std::string long_name, std::vector<T> Requantization::*member) {
    Field field{"/selected/" + name, type_of<T>(), {"C"}, "1", long_name};
    field.get = [member](const RunData& run) {
      std::vector<T> all;
      for (const LayerRepair& r : run.selected.repair)
        all.insert(all.end(), (r.requantization.*member).begin(), (r.requantization.*member).end());
      return Values::array<T>(all, {all.size()});
    };
    fields.push_back(with_set(field, [member](RunData& run, const Values& values) {
      std::span<const T> rest = values.as<T>();
      for (LayerRepair& r : run.selected.repair) {
        std::vector<T>& to = r.requantization.*member;
        if (to.size() > rest.size()) fail("fewer channels than /selected/repair_channels makes together");
        std::copy_n(rest.begin(), to.size(), to.begin());
        rest = rest.subspan(to.size());
      }
      if (!rest.empty()) fail("more channels than /selected/repair_channels makes together");
    }));
  };
  add("repair_multiplier", "the selected student's multipliers", &Requantization::multiplier);
  add("repair_bias", "its biases", &Requantization::bias);
}

void add_selected(std::vector<Field>& fields) {
  const std::size_t first = fields.size();
  const auto add = [&](Label label, auto access) {
    fields.push_back(scalar("/selected/" + label.name, label.units, label.long_name, access));
  };
  add(
      {"top_index", "1", "row of /top"}, [](auto& r) -> auto& { return r.selected.top_index; });
  add(
      {"within_max_acc_drop", "1", "1 if its accuracy drop on validation is within the limit"},
      [](auto& r) -> auto& { return r.selected.within_max_acc_drop; });
  add_score(
      "test_", ", test split",
      [&](Label label, auto access) {
        add(label, [access](auto& r) -> decltype(auto) { return access(r.selected.test); });
      },
      "accuracy_student");
  const auto add_bounds = [&](std::string name, std::string of, Interval (*interval)(const Score&)) {
    add({name + "_low", "percent", "lower 95 % confidence bound of " + of},
        [interval](const RunData& r) { return interval(r.selected.test).low; });
    add({name + "_high", "percent", "upper 95 % confidence bound of " + of},
        [interval](const RunData& r) { return interval(r.selected.test).high; });
  };
  add_bounds("test_accuracy_student", "test_accuracy_student (Wilson)",
             [](const Score& s) { return wilson_95(s.both_right + s.student_only, s.images); });
  add_bounds("test_accuracy_teacher", "test_accuracy_teacher (Wilson)",
             [](const Score& s) { return wilson_95(s.both_right + s.teacher_only, s.images); });
  add_bounds("test_accuracy_drop", "the accuracy drop (paired)", drop_95);
  for (Field* bound : {&fields[fields.size() - 2], &fields.back()})
    bound->derived_since = 5;  // before: Wald's interval
  add({"test_mcnemar_p", "1", "two-sided p-value that student and teacher are right equally often (McNemar, exact)"},
      [](const RunData& r) { return mcnemar_p(r.selected.test); });
  add({"within_error_of_best", "1",
       "rows of /top whose validation reward is within 1.96 standard errors of the first one's, the first included"},
      [](const RunData& r) { return count_within_error(r.top); });
  const auto add_gap = [&](std::string name, std::string units, std::string of, double Gap::*member) {
    add({"gap_" + name, units, of + " on the test split less that on validation"}, [member](const RunData& r) {
      return validation_gap(selected_candidate(r).validation, r.selected.test, r.attention_weight).*member;
    });
  };
  add_gap("kd", "nats", "KD", &Gap::kd);
  add_gap("reward", "1", "reward", &Gap::reward);
  add_gap("accuracy_student", "percent", "accuracy of the student", &Gap::student_accuracy);
  add_gap("accuracy_drop", "percent", "accuracy drop", &Gap::accuracy_drop);
  add_score(
      "test_mse_", ", test split, student with /sites/mse_codes",
      [&](Label label, auto access) {
        add(label, [access](auto& r) -> decltype(auto) { return access(r.selected.test_mse); });
      },
      "accuracy_student");
  add_selected_cost(fields);
  add_score(
      "test_mse_repaired_", ", test split, the same student with its own repair; none without --repair",
      [&](Label label, auto access) {
        add(label, [access](auto& r) -> decltype(auto) { return access(r.selected.test_mse_repaired); });
      },
      "accuracy_student");

  Field codes{"/selected/codes", Type::u8, {"L", "4"}, "1", "the selected codes: those of row top_index of /top",
              Role::derived};
  codes.columns = row_columns<Codes>();
  codes.get = [](const RunData& run) {
    std::vector<std::uint8_t> bytes;
    for (const Codes& c : selected_candidate(run).codes) bytes.insert(bytes.end(), {c.t1, c.v1, c.t2, c.v2});
    return Values::array<std::uint8_t>(bytes, {run.sites.size(), 4});
  };
  fields.push_back(codes);
  Field tmax{"/selected/tmax", Type::s32, {"L"}, "1", "their tmax", Role::derived};
  tmax.get = [](const RunData& run) {
    std::vector<std::int32_t> values;
    for (const Codes& c : selected_candidate(run).codes) values.push_back(c.tmax);
    return Values::array<std::int32_t>(values, {run.sites.size()});
  };
  fields.push_back(tmax);
  add_repair(fields);
  for (std::size_t i = first; i < fields.size(); ++i) fields[i].finished_only = true;
}

void add_checkpoint(std::vector<Field>& fields) {
  fields.push_back(scalar(
      "/checkpoint/next_iteration", "1", "iteration that a resumed run does next",
      [](auto& r) -> auto& { return r.checkpoint.next_iteration; }));
  fields.push_back(scalar(
      "/checkpoint/optimizer_steps", "1", "steps the optimizer has made",
      [](auto& r) -> auto& { return r.checkpoint.optimizer_steps; }));
}

}  // namespace

std::vector<Group> run_groups(int version) {
  const std::vector<Group> all = {
      {"/", "Root attributes: what the run is"},
      {"/network", "The description of the network: its Y layers, a chain, and what it takes and makes", 5},
      {"/sites", "The L sites, in network order"},
      {"/episodes", "The N episodes scored so far, in order"},
      {"/updates", "The U policy updates"},
      {"/evaluations",
       "The E evaluations of the policy's most probable codes while the search went on; those of several branches take "
       "turns"},
      {"/finalists",
       "Scores of the F finalists on the validation images so far; F = 0 but while they are being scored"},
      {"/top", "The K best candidates scored on the validation split, the best first; K = 0 until the run is finished"},
      {"/pareto",
       "The P rows of /top that no other beats in coverage, KD, accuracy and energy together, of equal ones the first"},
      {"/selected", "The selected codes and their one report on the test split; only in finished runs"},
      {"/checkpoint", "What a resume needs beside the episodes"},
      {tensor_group, "Tensors of the policy and its optimizer: f32 of any shape, by name"},
  };
  std::vector<Group> groups;
  for (const Group& group : all)
    if (group.since <= version) groups.push_back(group);
  return groups;
}

namespace {

std::vector<Field> make_fields(int version) {
  std::vector<Field> all;
  add_root(all);
  add_network(all);
  add_sites(all);
  add_episodes(all);
  add_updates(all);
  add_evaluations(all);
  add_finalists(all);
  add_top(all);
  add_pareto(all);
  add_selected(all);
  add_checkpoint(all);
  std::erase_if(all, [&](const Field& f) { return f.since > version; });
  for (Field& f : all)
    if (version == 4 && !f.path_in_version_4.empty()) f.path = f.path_in_version_4;
  return all;
}

}  // namespace

const std::vector<Field>& run_fields(int version) {
  static const std::vector<Field> current = make_fields(run_schema_version), version_4 = make_fields(4);
  return version == 4 ? version_4 : current;
}

std::string attributes_that_may_differ() {
  std::vector<std::string> names;
  for (const Field& f : run_fields())
    if (f.is_attribute() && f.may_differ) names.push_back(f.attribute_name());
  return fmt::format("{}", fmt::join(names, ","));
}

namespace {

/// A table cell: | would end it.
std::string cell(const std::string& text) {
  std::string result;
  for (const char c : text) (result += c == '|' ? "\\" : "") += c;
  return result;
}

}  // namespace

std::string run_schema_markdown() {
  std::string text;
  for (const Group& group : run_groups()) {
    text += fmt::format("### `{}`\n\n{}.\n\n", group.path, group.what);
    std::string rows;
    for (const Field& f : run_fields()) {
      const std::size_t slash = f.path.rfind('/');
      if (f.path.substr(0, std::max<std::size_t>(slash, 1)) != group.path) continue;
      const char* role = f.role == Field::Role::derived ? "derived" : f.role == Field::Role::file ? "file" : "stored";
      rows += fmt::format("| `{}` | {} | {} | {} | {}{} | {}{} |\n",
                          f.is_attribute() ? f.attribute_name() : f.path.substr(slash + 1), type_name(f.type),
                          f.dims.empty() ? "" : fmt::format("[{}]", fmt::join(f.dims, ",")), f.units, cell(f.long_name),
                          f.columns.empty() ? "" : fmt::format(" (columns {})", f.columns), role,
                          f.may_differ ? ", may differ" : "");
    }
    if (!rows.empty())
      text += "| name | type | shape | units | meaning | kind |\n|---|---|---|---|---|---|\n" + rows + "\n";
  }
  return text;
}

}  // namespace triseg
