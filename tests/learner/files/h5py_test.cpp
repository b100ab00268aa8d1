// Our writers, read by h5py; our model reader on a file that h5py wrote. The expected values are listed here by hand,
// not taken from the schema under test.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "tests/learner/files/examples.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/shares.hpp"
#include "learner/files/model_file.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace triseg {
namespace {

using Json = nlohmann::json;

Json codes_json(const std::vector<Codes>& codes) {
  Json rows = Json::array();
  for (const Codes& c : codes) rows.push_back({c.t1, c.v1, c.t2, c.v2});
  return rows;
}

Json tmax_json(const std::vector<Codes>& codes) {
  Json row = Json::array();
  for (const Codes& c : codes) row.push_back(c.tmax);
  return row;
}

/// What h5py must find: {path: {dtype, values}} of datasets and root attributes ("@name").
class Expected {
 public:
  void add(const std::string& path, const std::string& dtype, Json values) {
    json_[path] = {{"dtype", dtype}, {"values", std::move(values)}};
  }
  template <class Rows, class Get>
  void column(const std::string& path, const std::string& dtype, const Rows& rows, Get get) {
    Json values = Json::array();
    for (const auto& row : rows) values.push_back(get(row));
    add(path, dtype, values);
  }
  template <class Rows, class Get>
  void scores(const std::string& prefix, const Rows& rows, Get get, const std::string& student_accuracy = "accuracy") {
    const auto one = [&](const std::string& name, const std::string& dtype, auto value) {
      column(prefix + name, dtype, rows, [&](const auto& row) { return value(get(row)); });
    };
    one("kd", "float64", [](const Score& s) { return s.kd / double(s.images); });
    one("attention", "float64", [](const Score& s) { return s.attention / double(s.images); });
    one(student_accuracy, "float64",
        [](const Score& s) { return 100.0 * double(s.both_right + s.student_only) / double(s.images); });
    one("accuracy_teacher", "float64",
        [](const Score& s) { return 100.0 * double(s.both_right + s.teacher_only) / double(s.images); });
    one("images", "uint64", [](const Score& s) { return s.images; });
    one("kd_sum", "float64", [](const Score& s) { return s.kd; });
    one("attention_sum", "float64", [](const Score& s) { return s.attention; });
    one("both_right", "uint64", [](const Score& s) { return s.both_right; });
    one("teacher_only", "uint64", [](const Score& s) { return s.teacher_only; });
    one("student_only", "uint64", [](const Score& s) { return s.student_only; });
  }
  /// Turns the one-row columns below a group into scalars.
  void make_scalars(const std::string& group) {
    for (auto& [path, entry] : json_.items())
      if (path.starts_with(group) && entry["values"].is_array() && entry["values"].size() == 1)
        entry["values"] = Json(entry["values"][0]);
  }
  std::string dump() const { return json_.dump(); }

 private:
  Json json_ = Json::object();
};

Expected expected_content(const RunData& r) {
  Expected e;
  e.add("@format", "string", "triseg-run");
  e.add("@schema_version", "int32", 7);
  e.add("@creator", "string", "triseg");
  e.add("@status", "string", "finished");
  e.add("@model", "string", r.network.name);
  e.add("@model_display_name", "string", r.network.display_name);
  e.add("@model_sha256", "string", r.model_sha256);
  e.add("@backend", "string", r.backend);
  e.add("@data", "string", r.data);
  e.add("@data_sha256", "string", r.data_sha256);
  e.add("@selection", "string", r.selection);
  e.add("@attention_layers", "string", "conv3,conv4,fc1");
  e.add("@temperature", "float64", r.temperature);
  e.add("@attention_weight", "float64", r.attention_weight);
  e.add("@seed", "uint64", r.seed);
  e.add("@episodes_total", "uint64", r.episodes_total);
  e.add("@repair", "string", "channel");
  e.add("@student_images", "uint64", r.student_images);
  for (const auto& [name, pj] :
       {std::pair("add8", 0.03), {"add32", 0.1}, {"multiply8", 0.25}, {"multiply32", 3.1}, {"sram_read64", 10.0}})
    e.add(std::string("@energy_") + name, "float64", pj);
  e.add("@config", "string", r.config);
  e.add("@config_hash", "string", r.config_hash);
  e.add("@engine", "string", r.engine);
  e.add("@transport", "string", r.transport);
  e.add("@ranks", "int32", r.ranks);
  e.add("@threads_per_rank", "int32", r.threads_per_rank);
  e.add("@command_line", "string", r.command_line);
  e.add("@may_differ", "string",
        "file_time,content_sha256,config,data,engine,transport,ranks,threads_per_rank,command_line");

  e.add("/network/input_channels", "int32", 3);
  e.add("/network/input_height", "int32", 32);
  e.add("/network/input_width", "int32", 32);
  e.add("/network/classes", "int32", 10);
  e.add("/network/all_sites", "string", Json::array());
  const auto nodes = [&](const char* name, std::initializer_list<int> values, const char* type = "int32") {
    e.add(std::string("/network/nodes/") + name, type, Json(std::vector<int>(values)));
  };
  const Json c = "convolution", m = "maximum";
  e.add("/network/nodes/name", "string",
        {"conv1", "conv1.pool", "conv2", "conv2.pool", "conv3", "conv4", "conv5", "conv5.pool", "fc1", "fc2", "fc3"});
  e.add("/network/nodes/operation", "string", {c, m, c, m, c, c, c, m, c, c, c});
  e.add("/network/nodes/inputs", "int32", {{-1}, {0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}});
  nodes("channels", {64, 64, 192, 192, 384, 256, 256, 256, 512, 256, 10});
  for (const char* height_or_width : {"height", "width"}) nodes(height_or_width, {16, 8, 8, 4, 4, 4, 4, 2, 1, 1, 1});
  for (const char* side : {"window_height", "window_width"}) nodes(side, {5, 2, 5, 2, 3, 3, 3, 2, 2, 1, 1});
  for (const char* stride : {"stride_y", "stride_x"}) nodes(stride, {2, 2, 1, 2, 1, 1, 1, 2, 1, 1, 1});
  for (const char* dilation : {"dilation_y", "dilation_x", "groups"})
    nodes(dilation, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  for (const char* pad : {"pad_top", "pad_left", "pad_bottom", "pad_right"})
    nodes(pad, {2, 0, 2, 0, 1, 1, 1, 0, 0, 0, 0});
  for (const char* none : {"ceil", "count_padding"}) nodes(none, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "uint8");
  nodes("relu", {1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0}, "uint8");

  e.column("/sites/name", "string", r.sites, [](const SiteData& s) { return s.name; });
  e.column("/sites/record_key", "string", r.sites, [](const SiteData& s) { return s.record_key; });
  e.add("/sites/kind", "string", {"conv", "conv", "conv", "conv", "conv", "fc", "fc"});
  e.column("/sites/scale", "float64", r.sites, [](const SiteData& s) { return s.scale.scale; });
  e.column("/sites/zero_point", "int32", r.sites, [](const SiteData& s) { return s.scale.zero_point; });
  e.column("/sites/tmax", "int32", r.sites, [](const SiteData& s) { return s.tmax; });
  e.column("/sites/tmax_searched", "uint8", r.sites, [](const SiteData& s) { return int(s.tmax_searched); });
  e.column("/sites/init_codes", "uint8", r.sites, [](const SiteData& s) { return codes_json({s.init})[0]; });
  e.column("/sites/mse_codes", "uint8", r.sites, [](const SiteData& s) { return codes_json({s.mse})[0]; });
  e.column("/sites/start_codes", "uint8", r.sites, [](const SiteData& s) { return codes_json({s.start})[0]; });
  e.column("/sites/state", "float64", r.sites, [](const SiteData& s) { return s.state; });
  e.column("/sites/histogram", "uint64", r.sites, [](const SiteData& s) { return s.histogram.counts; });

  e.column("/episodes/iteration", "uint64", r.episodes, [](const Episode& x) { return x.iteration; });
  e.column("/episodes/reward", "float64", r.episodes, [](const Episode& x) { return x.reward; });
  e.column("/episodes/codes", "uint8", r.episodes, [](const Episode& x) { return codes_json(x.codes); });
  e.column("/episodes/tmax", "uint8", r.episodes, [](const Episode& x) { return tmax_json(x.codes); });
  e.scores("/episodes/", r.episodes, [](const Episode& x) { return x.score; });

  const std::pair<const char*, double Update::*> columns[] = {{"pass_share", &Update::pass_share},
                                                              {"mean_reward", &Update::mean_reward},
                                                              {"best_reward", &Update::best_reward},
                                                              {"reference_reward", &Update::reference_reward},
                                                              {"policy_loss", &Update::policy_loss},
                                                              {"value_loss", &Update::value_loss},
                                                              {"entropy", &Update::entropy},
                                                              {"approx_kl", &Update::approx_kl},
                                                              {"clip_fraction", &Update::clip_fraction},
                                                              {"update_seconds", &Update::update_seconds},
                                                              {"iteration_seconds", &Update::iteration_seconds}};
  e.column("/updates/branch", "uint64", r.updates, [](const Update& x) { return x.branch; });
  e.column("/updates/iteration", "uint64", r.updates, [](const Update& x) { return x.iteration; });
  for (const auto& [name, member] : columns)
    e.column(std::string("/updates/") + name, "float64", r.updates,
             [member = member](const Update& x) { return x.*member; });

  e.column("/evaluations/iteration", "uint64", r.evaluations, [](const Evaluation& x) { return x.iteration; });
  e.column("/evaluations/codes", "uint8", r.evaluations, [](const Evaluation& x) { return codes_json(x.codes); });
  e.column("/evaluations/tmax", "uint8", r.evaluations, [](const Evaluation& x) { return tmax_json(x.codes); });
  e.scores("/evaluations/validation_", r.evaluations, [](const Evaluation& x) { return x.validation; });

  e.scores("/finalists/", r.finalists, [](const Finalist& x) { return x.score; });
  // The finished run has no finalists, but as many records as /top.
  e.add("/finalists/record_rewards", "float64", Json::array());

  e.column("/top/origin", "string", r.top, [](const Candidate& x) { return x.origin; });
  e.column("/top/episode", "uint64", r.top, [](const Candidate& x) { return x.episode; });
  e.column("/top/reward", "float64", r.top, [](const Candidate& x) { return x.reward; });
  e.column("/top/codes", "uint8", r.top, [](const Candidate& x) { return codes_json(x.codes); });
  e.column("/top/tmax", "uint8", r.top, [](const Candidate& x) { return tmax_json(x.codes); });
  e.column("/top/validation_record_rewards", "float64", r.top, [](const Candidate& x) {
    std::vector<double> padded = x.record_rewards;
    padded.resize(80, std::nan(""));
    return padded;
  });
  const auto difference = [&](const Candidate& x) {
    return reward_difference(x.record_rewards, r.top[0].record_rewards, x.validation.images);
  };
  e.column("/top/validation_difference", "float64", r.top, [&](const Candidate& x) { return difference(x).mean; });
  e.column("/top/validation_difference_error", "float64", r.top,
           [&](const Candidate& x) { return difference(x).error; });
  e.scores("/top/validation_", r.top, [](const Candidate& x) { return x.validation; });

  const Score& test = r.selected.test;
  e.scores(
      "/selected/test_", std::vector{r.selected}, [](const Selected& x) { return x.test; }, "accuracy_student");
  e.scores(
      "/selected/test_mse_", std::vector{r.selected}, [](const Selected& x) { return x.test_mse; }, "accuracy_student");
  e.scores(
      "/selected/test_mse_repaired_", std::vector{r.selected}, [](const Selected& x) { return x.test_mse_repaired; },
      "accuracy_student");
  e.make_scalars("/selected/");
  const Score& validation = r.top[r.selected.top_index].validation;
  e.add("/selected/test_mcnemar_p", "float64", mcnemar_p(test));
  e.add("/selected/within_error_of_best", "uint64", count_within_error(r.top));
  e.add("/selected/gap_kd", "float64", test.kd / 10000 - validation.kd / 10000);
  e.add("/selected/gap_reward", "float64",
        -(test.kd / 10000 + r.attention_weight * (test.attention / 10000)) -
            -(validation.kd / 10000 + r.attention_weight * (validation.attention / 10000)));
  e.add("/selected/gap_accuracy_student", "float64", test.student_accuracy() - validation.student_accuracy());
  e.add("/selected/gap_accuracy_drop", "float64", accuracy_drop(test) - accuracy_drop(validation));
  const Network& network = r.network;
  const auto cost_of = [&](const Candidate& c) { return network_cost(network, r.sites, c.codes, r.energy); };
  e.column("/top/passed", "float64", r.top, [&](const Candidate& x) { return passed_share(r.sites, x.codes); });
  e.column("/top/coverage", "float64", r.top, [&](const Candidate& x) { return cost_of(x).coverage; });
  e.column("/top/energy", "float64", r.top, [&](const Candidate& x) { return cost_of(x).energy.staircase; });
  const std::vector<Objectives> objectives = objectives_of(r);
  const std::vector<std::size_t> front = non_dominated(objectives);
  e.column("/pareto/top_index", "uint64", front, [](std::size_t row) { return row; });
  e.column("/pareto/coverage", "float64", front, [&](std::size_t row) { return cost_of(r.top[row]).coverage; });
  e.column("/pareto/validation_kd", "float64", front,
           [&](std::size_t row) { return r.top[row].validation.kd / 10000; });
  e.column("/pareto/validation_accuracy", "float64", front,
           [&](std::size_t row) { return r.top[row].validation.student_accuracy(); });
  e.column("/pareto/energy", "float64", front, [&](std::size_t row) { return cost_of(r.top[row]).energy.staircase; });
  const NetworkCost cost = cost_of(r.top[r.selected.top_index]);
  const std::pair<const char*, double> figures[] = {{"coverage", cost.coverage},
                                                    {"entropy_bits", cost.entropy_bits},
                                                    {"coded_bits", cost.coded_bits},
                                                    {"multiplications", cost.multiplications},
                                                    {"skipped", cost.skipped},
                                                    {"constant", cost.constant},
                                                    {"energy", cost.energy.staircase},
                                                    {"energy_exact", cost.energy.exact},
                                                    {"energy_exact_skipping", cost.energy.exact_skipping}};
  for (const auto& [name, value] : figures) e.add(std::string("/selected/") + name, "float64", value);
  const auto site = [&](const std::string& name, auto get) {
    e.column("/selected/site_" + name, "float64", cost.sites, get);
  };
  site("zero", [](const SiteCost& s) { return s.shares.zero; });
  site("v1", [](const SiteCost& s) { return s.shares.v1; });
  site("v2", [](const SiteCost& s) { return s.shares.v2; });
  site("passed", [](const SiteCost& s) { return s.shares.passed; });
  site("exact_zero", [](const SiteCost& s) { return s.shares.exact_zero; });
  site("entropy_bits", [](const SiteCost& s) { return s.shares.entropy_bits; });
  site("coded_bits", [](const SiteCost& s) { return s.shares.coded_bits; });
  site("multiplications", [](const SiteCost& s) { return s.multiplications; });
  site("energy", [](const SiteCost& s) { return s.energy.staircase; });
  site("energy_exact", [](const SiteCost& s) { return s.energy.exact; });
  e.add("/selected/top_index", "uint64", r.selected.top_index);
  e.add("/selected/within_max_acc_drop", "uint8", 1);
  e.add("/selected/codes", "uint8", codes_json(r.top[r.selected.top_index].codes));
  e.add("/selected/tmax", "int32", tmax_json(r.top[r.selected.top_index].codes));
  std::vector<std::string> repaired;
  std::vector<std::size_t> channels;
  std::vector<float> multiplier;
  std::vector<std::int32_t> bias;
  for (const LayerRepair& layer : r.selected.repair) {
    repaired.push_back(layer.layer);
    channels.push_back(layer.requantization.bias.size());
    multiplier.insert(multiplier.end(), layer.requantization.multiplier.begin(), layer.requantization.multiplier.end());
    bias.insert(bias.end(), layer.requantization.bias.begin(), layer.requantization.bias.end());
  }
  e.add("/selected/repair_layer", "string", repaired);
  e.add("/selected/repair_channels", "int32", channels);
  e.add("/selected/repair_multiplier", "float32", multiplier);
  e.add("/selected/repair_bias", "int32", bias);
  e.add("/selected/test_accuracy_student_low", "float64",
        wilson_95(test.both_right + test.student_only, test.images).low);
  e.add("/selected/test_accuracy_student_high", "float64",
        wilson_95(test.both_right + test.student_only, test.images).high);
  e.add("/selected/test_accuracy_teacher_low", "float64",
        wilson_95(test.both_right + test.teacher_only, test.images).low);
  e.add("/selected/test_accuracy_teacher_high", "float64",
        wilson_95(test.both_right + test.teacher_only, test.images).high);
  e.add("/selected/test_accuracy_drop_low", "float64", drop_95(test).low);
  e.add("/selected/test_accuracy_drop_high", "float64", drop_95(test).high);

  e.add("/checkpoint/next_iteration", "uint64", r.checkpoint.next_iteration);
  e.add("/checkpoint/optimizer_steps", "uint64", r.checkpoint.optimizer_steps);
  for (const auto& [name, tensor] : r.checkpoint.tensors) {
    Json values = Json::array();
    if (tensor.shape.empty()) values = tensor.values[0];
    for (std::size_t i = 0; i < tensor.values.size() && !tensor.shape.empty(); ++i)
      values[i / tensor.shape[1]].push_back(tensor.values[i]);
    e.add("/checkpoint/tensors/" + name, "float32", values);
  }
  return e;
}

TEST(H5py, ReadsEveryValueOfARun) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  write_run(folder / "run.h5", run);
  commit_file(folder / "expected.json", expected_content(run).dump());
  std::string output;
  EXPECT_EQ(run_python("check_file.py",
                       {(folder / "run.h5").string(), (folder / "expected.json").string(),
                        "@creator_version,@file_time,@content_sha256"},
                       output),
            0)
      << output;
}

/// The comparison above must be able to fail.
TEST(H5py, CheckFailsOnAnotherRun) {
  const TemporaryFolder folder;
  RunData run = example_run();
  write_run(folder / "run.h5", run);
  std::string output;
  const auto check = [&] {
    commit_file(folder / "expected.json", expected_content(run).dump());
    return run_python("check_file.py",
                      {(folder / "run.h5").string(), (folder / "expected.json").string(),
                       "@creator_version,@file_time,@content_sha256"},
                      output);
  };
  run.checkpoint.tensors["adam/step"].values[0] += 1;
  EXPECT_EQ(check(), 1);
  EXPECT_THAT(output, testing::HasSubstr("/checkpoint/tensors/adam/step"));
  run = example_run();
  run.top[3].codes[2].v1 ^= 1;
  EXPECT_EQ(check(), 1);
  EXPECT_THAT(output, testing::HasSubstr("/top/codes"));
}

TEST(H5py, ReadsEveryValueOfAModel) {
  const TemporaryFolder folder;
  const QuantizedNetwork n = example_model("lenet5", Scheme::qnnpack);
  save_model(folder / "model.h5", n, {"triseg train --model lenet5", 5, 12, 91.25, 90.5, {}, {}, {}});
  Expected e;
  e.add("@format", "string", "triseg-model");
  e.add("@schema_version", "int32", 4);
  e.add("@creator", "string", "triseg");
  e.add("@network", "string", "lenet5");
  e.add("@backend", "string", "qnnpack");
  e.add("@display_name", "string", "LeNet-5");
  e.add("/network@input_channels", "int32", 3);
  e.add("/network@input_height", "int32", 32);
  e.add("/network@input_width", "int32", 32);
  e.add("/network@classes", "int32", 10);
  e.add("/network@input_scale", "float64", n.input.scale);
  e.add("/network@input_zero_point", "int32", n.input.zero_point);
  e.add("/network/all_sites", "string", Json::array());
  e.add("/network/default_attention", "string", {"conv1", "conv2"});
  const auto nodes = [&](const char* name, std::initializer_list<int> values) {
    e.add(std::string("/network/nodes/") + name, "int32", Json(std::vector<int>(values)));
  };
  const Json c = "convolution", m = "maximum";
  e.add("/network/nodes/name", "string", {"conv1", "conv1.pool", "conv2", "conv2.pool", "fc1", "fc2", "fc3"});
  e.add("/network/nodes/operation", "string", {c, m, c, m, c, c, c});
  e.add("/network/nodes/inputs", "int32", {{-1}, {0}, {1}, {2}, {3}, {4}, {5}});
  nodes("channels", {6, 6, 16, 16, 120, 84, 10});
  for (const char* height_or_width : {"height", "width"}) nodes(height_or_width, {28, 14, 10, 5, 1, 1, 1});
  for (const char* side : {"window_height", "window_width"}) nodes(side, {5, 2, 5, 2, 5, 1, 1});
  for (const char* stride : {"stride_y", "stride_x"}) nodes(stride, {1, 2, 1, 2, 1, 1, 1});
  for (const char* one : {"dilation_y", "dilation_x", "groups"}) nodes(one, {1, 1, 1, 1, 1, 1, 1});
  for (const char* none : {"pad_top", "pad_left", "pad_bottom", "pad_right", "ceil", "count_padding"})
    nodes(none, {0, 0, 0, 0, 0, 0, 0});
  nodes("relu", {1, 0, 1, 0, 1, 1, 0});
  e.add("@data", "string", "fashion-mnist");
  e.add("@data_sha256", "string", n.data_sha256);
  e.add("@command_line", "string", "triseg train --model lenet5");
  e.add("@seed", "uint64", 5);
  e.add("@epochs", "int32", 12);
  e.add("@float_accuracy", "float64", 91.25);
  e.add("@int8_test_accuracy", "float64", 90.5);
  e.add("/normalization/mean", "float64", n.mean);
  e.add("/normalization/standard_deviation", "float64", n.standard_deviation);
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& shape = n.network.nodes[i];
    const QuantizedNode& node = n.nodes[i];
    const std::string group = "/nodes/" + shape.name;
    e.add(group + "@index", "int32", i);
    e.add(group + "@output_scale", "float64", node.output.scale);
    e.add(group + "@output_zero_point", "int32", node.output.zero_point);
    e.add(group + "@lowest", "int32", 0);
    e.add(group + "@highest", "int32", 255);
    if (shape.operation == Operation::maximum) continue;
    e.add(group + "/weight_scale", "float64", node.weight_scale);
    e.add(group + "/bias", "int32", node.requantization.bias);
    e.add(group + "/multiplier", "float32", node.requantization.multiplier);
    const int k = shape.window.height, in = n.network.input_shape(shape).channels;
    Json weights = Json::array();
    for (int o = 0; o < shape.shape.channels; ++o)
      for (int c = 0; c < in; ++c)
        for (int y = 0; y < k; ++y)
          for (int x = 0; x < k; ++x) weights[o][c][y][x] = node.weights[((o * in + c) * k + y) * k + x];
    e.add(group + "/weights", "int8", weights);
  }
  commit_file(folder / "expected.json", e.dump());
  std::string output;
  EXPECT_EQ(run_python("check_file.py",
                       {(folder / "model.h5").string(), (folder / "expected.json").string(),
                        "@creator_version,@file_time,@content_sha256"},
                       output),
            0)
      << output;

  ASSERT_EQ(run_python("rewrite_model.py", {(folder / "model.h5").string(), (folder / "theirs.h5").string()}, output),
            0)
      << output;
  EXPECT_NE(read_file(folder / "model.h5"), read_file(folder / "theirs.h5"));
  EXPECT_EQ(difference(load_model(folder / "theirs.h5"), n), "");
}

/// All that rewrite_file.py makes of a file.
template <class Check>
void for_rewritten(const std::filesystem::path& file, Check check) {
  const TemporaryFolder folder;
  std::string output;
  ASSERT_EQ(run_python("rewrite_file.py", {file.string(), folder.path().string()}, output), 0) << output;
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    SCOPED_TRACE(entry.path().filename().string());
    check(entry.path());
    ++files;
  }
  EXPECT_GE(files, 5);  // those of h5py; the others need h5repack
}

/// Other formats, layouts and filters, same content: as good as the file itself.
TEST(RewrittenFiles, AreReadLikeTheOriginals) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  write_run(folder / "run.h5", run);
  for_rewritten(folder / "run.h5", [&](const std::filesystem::path& path) {
    EXPECT_THAT(validate_run(path), testing::IsEmpty());
    EXPECT_EQ(error_of([&] { EXPECT_EQ(difference(read_run(path), run), ""); }), "");
  });
  const QuantizedNetwork model = example_model();
  save_model(folder / "model.h5", model, {});
  for_rewritten(folder / "model.h5", [&](const std::filesystem::path& path) {
    EXPECT_EQ(error_of([&] { EXPECT_EQ(difference(load_model(path), model), ""); }), "");
  });
}

/// h5py has a filter of its own, which no other program knows.
TEST(RewrittenFiles, UnknownFiltersAreNamed) {
  const TemporaryFolder folder;
  write_run(folder / "run.h5", example_run());
  std::string output;
  const std::string edit =
      "x = f['checkpoint/tensors/policy/encoder.0.bias'][()]; del f['checkpoint/tensors/policy/encoder.0.bias']; "
      "f.create_dataset('checkpoint/tensors/policy/encoder.0.bias', data=x, compression='lzf')";
  ASSERT_EQ(run_python("edit_file.py", {(folder / "run.h5").string(), edit}, output), 0) << output;
  EXPECT_THAT(
      error_of([&] { read_run(folder / "run.h5"); }),
      testing::MatchesRegex(
          ".*encoder.0.bias: the HDF5 library .* has no filter 32000 \\(lzf\\): rewrite the file with gzip .*"));
}

/// What lies in other files could be any file of the reader's.
TEST(RewrittenFiles, ValuesInOtherFilesAreNotRead) {
  const TemporaryFolder folder;
  write_run(folder / "run.h5", example_run());
  const std::string path = "'checkpoint/tensors/policy/encoder.0.bias'";
  const std::string other = (folder / "other").string();
  for (const std::string& moved :
       {std::string("h5py.h5d.create(f.id, name, h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple(x.shape), "
                    "dcpl=external)"),
        std::string("f.create_virtual_dataset(name.decode(), layout)")}) {
    const std::string edit =
        "import h5py; name = " + path + ".encode(); x = f[name][()]; del f[name]; external = " +
        "h5py.h5p.create(h5py.h5p.DATASET_CREATE); external.set_external(b'" + other +
        "', 0, 8 * x.size); layout = h5py.VirtualLayout(x.shape, x.dtype); layout[:] = " + "h5py.VirtualSource('" +
        other + "', 'x', x.shape, x.dtype); " + moved;
    std::filesystem::copy_file(folder / "run.h5", folder / "edited.h5",
                               std::filesystem::copy_options::overwrite_existing);
    std::string output;
    ASSERT_EQ(run_python("edit_file.py", {(folder / "edited.h5").string(), edit}, output), 0) << output;
    EXPECT_THAT(error_of([&] { read_run(folder / "edited.h5"); }),
                testing::HasSubstr("encoder.0.bias: its values lie in other files"));
  }
}

}  // namespace
}  // namespace triseg
