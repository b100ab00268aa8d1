#include "learner/files/run_fields.hpp"

#include "core/error.hpp"
#include "learner/files/run_columns.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/judging/selection.hpp"
#include "learner/judging/shares.hpp"

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace triseg {
namespace {

const Candidate& selected_candidate(const RunData& run) {
  if (run.selected.top_index >= run.top.size())
    fail("the selected row {} of /top does not exist: it has {}", run.selected.top_index, run.top.size());
  return run.top[run.selected.top_index];
}

NetworkCost cost_of(const RunData& run, const Candidate& candidate) {
  return network_cost(run.network, run.sites, candidate.codes, run.energy);
}

}  // namespace

void add_top(std::vector<Field>& fields) {
  const Rows rows{"/top", "K", &RunData::top};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add({"origin", "",
       "episode, policy (its most probable codes), init, mse or balanced-K, or start (of one of --pass-shares) "
       "(docs/search-reference.md)"},
      &Candidate::origin);
  add({"episode", "1", "row of /episodes, if origin is episode"}, &Candidate::episode);
  add({"reward", "1", "reward in the search; if origin is not episode, of the validation score"}, &Candidate::reward);
  add_score("validation_", ", validation split", [&](Label label, auto access) {
    add(label, [access](auto& c) -> decltype(auto) { return std::invoke(access, c.validation); });
  });
  add({"validation_record_rewards", "1",
       "sums of the reward over each record of 125 validation images; NaN behind a row's last"},
      &Candidate::record_rewards);
  const auto difference_to_first = [](const RunData& run, const Candidate& c) {
    return reward_difference(c.record_rewards, run.top.front().record_rewards, c.validation.images);
  };
  fields.push_back(derived_column(
      rows, {"validation_difference", "1", "validation reward less that of the first row on the same images"},
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
  add({"codes", "1", "the codes"}, &Candidate::codes);
  fields.push_back(tmax_column(rows, &Candidate::codes));
}

void add_pareto(std::vector<Field>& fields) {
  const auto add = [&]<class T>(Label label, T (*value)(const Objectives&, std::size_t row)) {
    Field f{"/pareto/" + label.name, type_of<T>(), {"P"}, label.units, label.long_name, Field::Role::derived};
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

namespace {

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
  add({"multiplications", "1", "multiplications of an inference, all convolutions"},
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
    Field f{"/selected/site_" + label.name, Type::f64, {"L"}, label.units, label.long_name, Field::Role::derived};
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
  add_site({"multiplications", "1", "multiplications of an inference by the convolutions that read it"},
           [](const SiteCost& s) { return s.multiplications; });
  add_site({"energy", "pJ", "estimated energy of what the convolutions that read it do with it"},
           [](const SiteCost& s) { return s.energy.staircase; });
  add_site({"energy_exact", "pJ", "the same of the exact network"}, [](const SiteCost& s) { return s.energy.exact; });
}

/// The selected student's repair: its convolutions, and the channels of all of them one after the other.
void add_repair(std::vector<Field>& fields) {
  Field layer{"/selected/repair_layer",
              Type::string,
              {"M"},
              "",
              "convolutions with a repaired requantization, in network order"};
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
                 "their output channels, which lie one convolution after the other below"};
  channels.get = [](const RunData& run) {
    std::vector<std::int32_t> counts;
    for (const LayerRepair& r : run.selected.repair)
      counts.push_back(static_cast<std::int32_t>(r.requantization.bias.size()));
    return Values::array<std::int32_t>(counts, {counts.size()});
  };
  fields.push_back(with_set(channels, [](RunData& run, const Values& values) {
    const auto counts = values.as<std::int32_t>();
    constexpr std::int64_t most_channels = 1 << 24;  // of all convolutions of any network
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

}  // namespace

void add_selected(std::vector<Field>& fields) {
  const std::size_t first = fields.size();
  const auto add = [&](Label label, auto access) {
    fields.push_back(scalar("/selected/" + label.name, label.units, label.long_name, access));
  };
  add({"top_index", "1", "row of /top"}, [](auto& r) -> decltype(auto) { return (r.selected.top_index); });
  add({"within_max_acc_drop", "1", "1 if its accuracy drop on validation is within the limit"},
      [](auto& r) -> decltype(auto) { return (r.selected.within_max_acc_drop); });
  add_score(
      "test_", ", test split",
      [&](Label label, auto access) {
        add(label, [access](auto& r) -> decltype(auto) { return std::invoke(access, r.selected.test); });
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
       "rows of /top whose validation reward is within 1.96 standard errors of the first one's on the same images, "
       "the first included"},
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
        add(label, [access](auto& r) -> decltype(auto) { return std::invoke(access, r.selected.test_mse); });
      },
      "accuracy_student");
  add_selected_cost(fields);
  add_score(
      "test_mse_repaired_", ", test split, the same student with its own repair; none without --repair",
      [&](Label label, auto access) {
        add(label, [access](auto& r) -> decltype(auto) { return std::invoke(access, r.selected.test_mse_repaired); });
      },
      "accuracy_student");

  Field codes{"/selected/codes",   Type::u8, {"L", "4"}, "1", "the selected codes: those of row top_index of /top",
              Field::Role::derived};
  codes.columns = row_columns<Codes>();
  codes.get = [](const RunData& run) {
    std::vector<std::uint8_t> bytes;
    for (const Codes& c : selected_candidate(run).codes) bytes.insert(bytes.end(), {c.t1, c.v1, c.t2, c.v2});
    return Values::array<std::uint8_t>(bytes, {run.sites.size(), 4});
  };
  fields.push_back(codes);
  Field tmax{"/selected/tmax", Type::s32, {"L"}, "1", "their tmax", Field::Role::derived};
  tmax.get = [](const RunData& run) {
    std::vector<std::int32_t> values;
    for (const Codes& c : selected_candidate(run).codes) values.push_back(c.tmax);
    return Values::array<std::int32_t>(values, {run.sites.size()});
  };
  fields.push_back(tmax);
  add_repair(fields);
  for (std::size_t i = first; i < fields.size(); ++i) fields[i].finished_only = true;
}

}  // namespace triseg
