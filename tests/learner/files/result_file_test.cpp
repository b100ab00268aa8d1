#include "learner/files/result_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/learner/files/examples.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/repair.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <regex>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

SiteCodes codes_of(const std::string& text, const Network& network) {
  const TemporaryFolder folder;
  commit_file(folder / "result.json", text);
  return ResultFile(folder / "result.json").codes(network);
}

/// What the reader says of the text, for LeNet-5.
std::string error_of_text(const std::string& text) {
  const std::string error = error_of([&] { codes_of(text, make_recipe("lenet5").network); });
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  if (!error.empty()) {
    EXPECT_THAT(error, HasSubstr("result.json: "));
  }
  return error;
}

const std::string good_site = R"({"t1_code": 7, "v1_code": 14, "t2_code": 21, "v2_code": 28, "tmax_code": 35})";

std::string with_conv1(const std::string& site) { return R"({"layers": {"block_output.conv1": )" + site + "}}"; }

TEST(ResultFile, HoldsTheKeysOfTheOriginal) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  commit_file(folder / "result.json", result_text(run));
  const std::string text = read_text(folder / "result.json");
  int lines = 0;
  for (std::size_t at = text.find("tmax_code"); at != std::string::npos; at = text.find("tmax_code", at + 1)) ++lines;
  EXPECT_EQ(lines, 7);
  EXPECT_TRUE(
      std::regex_search(text, std::regex("\n +\"t1_code\": [0-9]+,\n +\"v1_code\": [0-9]+,\n +\"t2_code\": [0-9]+,\n"
                                         " +\"v2_code\": [0-9]+,\n +\"tmax_code\": [0-9]+,\n")))
      << text;

  const Json json = Json::parse(text);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json["layers"].items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::ElementsAre("conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2"));
  const Codes& c = run.top[1].codes[6];
  EXPECT_EQ(json["layers"]["fc2"], (Json{{"t1_code", c.t1},
                                         {"v1_code", c.v1},
                                         {"t2_code", c.t2},
                                         {"v2_code", c.v2},
                                         {"tmax_code", c.tmax},
                                         {"record_key", "classifier.fc2.out"}}));
  EXPECT_EQ(json["layers"]["conv1"]["record_key"], "block_output.conv1");
  EXPECT_EQ(json["backend"], "fbgemm");
  EXPECT_EQ(json["model"], "alexnet");
  EXPECT_EQ(json["selection"], run.selection);
  EXPECT_EQ(json["selected"]["origin"], run.top[1].origin);
  EXPECT_EQ(json["seed"], run.seed);
  EXPECT_EQ(json["data"], run.data);
  EXPECT_EQ(json["data_sha256"], run.data_sha256);
  const Score& test = run.selected.test;
  EXPECT_EQ(json["metrics"]["acc_teacher"], double(test.both_right + test.teacher_only) / 100);
  EXPECT_EQ(json["metrics"]["acc_student"], double(test.both_right + test.student_only) / 100);
  EXPECT_DOUBLE_EQ(json["metrics"]["acc_drop"], (double(test.teacher_only) - double(test.student_only)) / 100);
  EXPECT_EQ(json["metrics"]["acc_student_95"].size(), 2);
}

TEST(ResultFile, ReadsBackTheSelectedCodes) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  commit_file(folder / "result.json", result_text(run));
  const SiteCodes read = ResultFile(folder / "result.json").codes(run.network);
  EXPECT_EQ(read.codes, run.top[1].codes);
  EXPECT_EQ(read.sites, (std::vector<std::size_t>{0, 2, 4, 5, 6, 8, 9}));
  EXPECT_THAT(error_of([&] { ResultFile(folder / "result.json").codes(make_recipe("lenet5").network); }),
              HasSubstr("result.json: layers.conv3: LeNet-5 has no such site"));
}

TEST(ResultFile, TextOfOtherBytesIsSpelledOut) {
  const TemporaryFolder folder;
  RunData run = example_run();
  run.data = "/images/caf\xe9";
  commit_file(folder / "result.json", result_text(run));
  EXPECT_EQ(ResultFile(folder / "result.json").origin().data, "/images/caf\\xe9");
}

TEST(ResultFile, HoldsTheRepairExactly) {
  const TemporaryFolder folder;
  RunData run = example_run();
  run.selected.repair[0].requantization.multiplier[1] = 0.1f;
  run.selected.repair[0].requantization.bias[1] = -1234567891;
  commit_file(folder / "result.json", result_text(run));
  const Network& network = run.network;
  const StoredRepair stored = ResultFile(folder / "result.json").repair(network);
  EXPECT_EQ(stored.mode, "channel");
  EXPECT_FALSE(stored.repair[0]);
  EXPECT_EQ(layer_repairs(network, stored.repair), run.selected.repair);
  run.repair = "none";
  run.selected.repair.clear();
  commit_file(folder / "result.json", result_text(run));
  EXPECT_TRUE(ResultFile(folder / "result.json").repair(network).repair.empty());
}

TEST(ResultFile, MalformedRepairsAreExplained) {
  const TemporaryFolder folder;
  const auto error_of_repair = [&](const std::string& repair) {
    commit_file(folder / "result.json", R"({"layers": {}, "repair": )" + repair + "}");
    return error_of([&] { ResultFile(folder / "result.json").repair(make_recipe("lenet5").network); });
  };
  const auto fc3 = [](const std::string& entry) { return R"({"mode": "layer", "layers": {"fc3": )" + entry + "}}"; };
  const std::string ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
  EXPECT_EQ(error_of_repair(fc3(R"({"multiplier": )" + ten + R"(, "bias": )" + ten + "}")), "");
  EXPECT_EQ(error_of_repair(R"({"mode": "none"})"), "");
  EXPECT_THAT(error_of_repair("5"), HasSubstr("result.json: repair: expected an object with a mode, found 5"));
  EXPECT_THAT(error_of_repair(R"({"mode": "glue"})"), HasSubstr("repair.mode: unknown repair 'glue'"));
  EXPECT_THAT(error_of_repair(R"({"mode": "layer"})"), HasSubstr("repair: expected an object with layers"));
  EXPECT_THAT(error_of_repair(R"({"mode": "layer", "layers": {}})"),
              HasSubstr("repair: expected an object with layers"));
  EXPECT_THAT(error_of_repair(fc3(R"({"bias": [1]})")), HasSubstr("repair.layers.fc3.multiplier: expected an array"));
  EXPECT_THAT(error_of_repair(fc3(R"({"multiplier": [0], "bias": [1]})")), HasSubstr("repair.layers.fc3.multiplier"));
  EXPECT_THAT(error_of_repair(fc3(R"({"multiplier": )" + ten + R"(, "bias": [1.5]})")),
              HasSubstr("repair.layers.fc3.bias"));
  EXPECT_THAT(error_of_repair(fc3(R"({"multiplier": )" + ten + R"(, "bias": [3000000000]})")),
              HasSubstr("repair.layers.fc3.bias"));
  for (const char* bias : {"18446744073709551615", "2147483648", "-2147483649", "4294967296", "1e400"})
    EXPECT_THAT(error_of_repair(fc3(R"({"multiplier": )" + ten + R"(, "bias": [)" + bias + "]}")),
                HasSubstr("result.json: "))
        << bias;
  for (const char* multiplier : {"1e-40", "1e39", "-1", "true"})
    EXPECT_THAT(error_of_repair(fc3(std::string(R"({"multiplier": [)") + multiplier + R"(], "bias": [1]})")),
                HasSubstr("repair.layers.fc3.multiplier"))
        << multiplier;
  EXPECT_THAT(error_of_repair(fc3(R"({"multiplier": [1], "bias": [1]})")),
              HasSubstr("node fc3: expected 10 multipliers"));
  EXPECT_THAT(error_of_repair(R"({"mode": "layer", "layers": {"fc9": {"multiplier": [1], "bias": [1]}}})"),
              HasSubstr("no node 'fc9'"));
}

TEST(ResultFile, UnfinishedRunsHaveNone) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { commit_file(folder / "result.json", result_text(example_run(false))); }),
              HasSubstr("the run is not finished"));
  EXPECT_FALSE(std::filesystem::exists(folder / "result.json"));
}

/// As the Python original writes it: plain names, a string as selection, no new keys, layers in any order, integers
/// perhaps as floats.
TEST(ResultFile, ReadsTheOriginals) {
  const Network network = make_recipe("alexnet").network;
  const SiteCodes read = codes_of(R"({
    "layers": {
      "fc1": {"t1_code": 3.0, "v1_code": 6.0, "t2_code": 9.0, "v2_code": 12.0, "tmax_code": 15.0},
      "conv2": {"t1_code": 0, "v1_code": 14, "t2_code": 21, "v2_code": 28, "tmax_code": 255}
    },
    "backend": "fbgemm", "model": "AlexNet", "selection": "best_by_test_acc"})",
                                  network);
  EXPECT_EQ(read.codes, (std::vector<Codes>{{0, 14, 21, 28, 255}, {3, 6, 9, 12, 15}}));
  EXPECT_EQ(read.sites, (std::vector<std::size_t>{2, 8}));
}

/// Earlier versions named sites by their record keys.
TEST(ResultFile, ReadsRecordKeys) {
  const Network network = make_recipe("lenet5").network;
  const SiteCodes read = codes_of(
      R"({"layers": {"block_output.conv2": )" + good_site + R"(, "classifier.fc1.out": )" + good_site + "}}", network);
  EXPECT_EQ(read.sites, (std::vector<std::size_t>{2, 4}));
  EXPECT_THAT(error_of_text(R"({"layers": {"conv1": )" + good_site + R"(, "block_output.conv1": )" + good_site + "}}"),
              HasSubstr("layers.block_output.conv1: the site conv1 is there already by its plain name"));
}

/// A repair brings the file that it starts from to the form of now.
TEST(ResultFile, ARepairedOldFileHasPlainNames) {
  const TemporaryFolder folder;
  const Network network = make_recipe("lenet5").network;
  write_repaired(
      folder / "r.json",
      R"({"layers": {"block_output.conv1": )" + good_site + R"(}, "selection": {"rule": "best", "images": 5}})",
      network, {});
  const Json json = Json::parse(read_text(folder / "r.json"));
  EXPECT_EQ(json["layers"].size(), 1u);
  EXPECT_EQ(json["layers"]["conv1"]["t2_code"], 21);
  EXPECT_EQ(json["selection"], "best");
  EXPECT_EQ(json["selected"]["images"], 5);
}

TEST(ResultFile, MalformedFilesAreExplained) {
  EXPECT_EQ(error_of_text(with_conv1(good_site)), "");
  EXPECT_THAT(error_of_text(""), HasSubstr("expected JSON, found a syntax error at byte"));
  EXPECT_THAT(error_of_text("{\"layers\": {"), HasSubstr("syntax error"));
  EXPECT_THAT(error_of_text(with_conv1(good_site) + "x"), HasSubstr("syntax error"));
  EXPECT_THAT(error_of_text("[1]"), HasSubstr("top level: expected an object, found [1]"));
  EXPECT_THAT(error_of_text("{}"), HasSubstr("expected the key 'layers'"));
  EXPECT_THAT(error_of_text("{\"layers\": {}}"),
              HasSubstr("layers: expected an object with the codes of each site, found {}"));
  EXPECT_THAT(error_of_text("{\"layers\": [1, 2]}"), HasSubstr("layers: expected an object"));
  EXPECT_THAT(error_of_text(with_conv1("5")),
              HasSubstr("layers.block_output.conv1: expected an object with five codes, found 5"));
  EXPECT_THAT(error_of_text(with_conv1(R"({"t1_code": 7})")),
              HasSubstr("conv1.v1_code: expected an integer 0..255, found nothing"));
  for (const char* bad : {"-1", "256", "7.5", "\"7\"", "null", "true", "1e300", "[7]"})
    EXPECT_THAT(error_of_text(with_conv1(std::regex_replace(good_site, std::regex("14"), bad))),
                HasSubstr("layers.block_output.conv1.v1_code: expected an integer 0..255, found "))
        << bad;
  EXPECT_THAT(error_of_text(with_conv1(std::regex_replace(good_site, std::regex("21"), "36"))),
              HasSubstr("layers.block_output.conv1: the codes t1=7, v1=14, t2=36"));
  EXPECT_THAT(error_of_text(R"({"layers": {"conv9": )" + good_site + "}}"),
              HasSubstr("layers.conv9: LeNet-5 has no such site: expected one of conv1, "));
  EXPECT_THAT(error_of_text(R"({"layers": {"classifier.fc3.out": )" + good_site + "}}"), HasSubstr("has no such site"));
  EXPECT_THAT(error_of_text(R"({"model": 5, "layers": {"block_output.conv1": )" + good_site + "}}"),
              HasSubstr("model: expected a string"));
  EXPECT_THAT(error_of_text(R"({"layers": {"block_output.conv1": )" + good_site + R"(, "block_output.conv1": )" +
                            good_site + "}}"),
              HasSubstr("the key 'block_output.conv1' is given twice"));
  EXPECT_THAT(error_of_text("{\"layers\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
              HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(error_of_text("{\"layers\": {\"\xff\xfe\": 1}}"), HasSubstr("syntax error"));
}

TEST(ResultFile, ItsOriginIsReadAndItsTemperatureChecked) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  commit_file(folder / "result.json", result_text(run));
  const ResultOrigin origin = ResultFile(folder / "result.json").origin();
  EXPECT_EQ(origin.model, "alexnet");
  EXPECT_EQ(origin.data, run.data);
  EXPECT_EQ(origin.data_sha256, run.data_sha256);
  EXPECT_EQ(origin.model_sha256, run.model_sha256);
  EXPECT_EQ(origin.config_hash, run.config_hash);
  EXPECT_EQ(origin.temperature, run.temperature);
  for (const auto& [written, read] : {std::pair("LeNet5", "lenet5"), std::pair("MyNet", "MyNet")}) {
    commit_file(folder / "named.json", fmt::format("{{\"model\": \"{}\"}}", written));
    EXPECT_EQ(ResultFile(folder / "named.json").origin().model, read) << "only the original's names change";
  }
  for (const char* key :
       {"model", "backend", "data", "attention_layers", "model_sha256", "data_sha256", "config_hash", "selection"})
    for (const char* bad : {"5", "null", "[\"x\"]"}) {
      commit_file(folder / "bad.json", fmt::format("{{\"{}\": {}}}", key, bad));
      EXPECT_THAT(error_of([&] { ResultFile(folder / "bad.json"); }),
                  HasSubstr(fmt::format("bad.json: {}: expected a string, found ", key)));
    }
  commit_file(folder / "bad.json", R"({"selection": {"rule": 5}})");
  EXPECT_THAT(error_of([&] { ResultFile(folder / "bad.json"); }), HasSubstr("selection: expected a string, found 5"));
  for (const char* bad : {"-1", "0", "1e+300", "\"hot\"", "null", "[2]"}) {
    commit_file(folder / "bad.json", fmt::format("{{\"temperature\": {}}}", bad));
    EXPECT_THAT(
        error_of([&] { ResultFile(folder / "bad.json"); }),
        HasSubstr(
            fmt::format("bad.json: temperature: expected a number from 1e-12 to 1e+12, found {}", bad).substr(0, 80)));
  }
}

/// Values of Wilson's interval computed with R: binom::binom.wilson(x, n).
TEST(Confidence, Wilson) {
  EXPECT_NEAR(wilson_95(9271, 10000).low, 92.183, 0.001);
  EXPECT_NEAR(wilson_95(9271, 10000).high, 93.204, 0.001);
  EXPECT_NEAR(wilson_95(5, 10).low, 23.6593, 0.0001);
  EXPECT_NEAR(wilson_95(5, 10).high, 76.3407, 0.0001);
  EXPECT_EQ(wilson_95(0, 10).low, 0);
  EXPECT_EQ(wilson_95(10, 10).high, 100);
  EXPECT_NEAR(wilson_95(10, 10).low, 72.2467, 0.0001);
  EXPECT_EQ(wilson_95(0, 0).high, 0);
}

}  // namespace
}  // namespace triseg
