#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "learner/files/model_file.hpp"
#include "runner/training/train_command.hpp"
#include "tests/trainer/small_shapes.hpp"
#include "trainer/checkpoint.hpp"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

namespace triseg {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// The real program with `arguments`, in a folder of its own.
class TrainCommand : public testing::Test {
 protected:
  void SetUp() override { folder_ = scratch_folder(testing::UnitTest::GetInstance()->current_test_info()->name()); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  pid_t start(std::vector<std::string> arguments) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    std::filesystem::current_path(folder_);
    if (!std::freopen("stderr", "w", stderr) || !std::freopen("stdout", "w", stdout)) ::_exit(126);
    arguments.insert(arguments.begin(), {TRISEG_BINARY, "train"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }

  int run(const std::vector<std::string>& arguments) {
    int status = 0;
    ::waitpid(start(arguments), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string error() const { return read_text(folder_ / "stderr"); }

  /// Runs a command that must fail with one line and change no file.
  std::string refused(const std::vector<std::string>& arguments, int exit_code = 1) {
    const auto before = files();
    EXPECT_EQ(run(arguments), exit_code) << error();
    EXPECT_EQ(files(), before);
    const std::string text = error();
    EXPECT_THAT(text, StartsWith("triseg: error: "));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    return text;
  }

  /// Names and contents, the program's own output left out.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> result;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
      if (entry.path() != folder_ / "stderr" && entry.path() != folder_ / "stdout")
        result[entry.path().string()] = entry.is_regular_file() ? read_text(entry.path()) : "";
    return result;
  }

  std::filesystem::path folder_;
};

const std::vector<std::string> small = {"--model",      "lenet5", "--data",    "shapes", "--epochs", "1",
                                        "--qat-epochs", "1",      "--threads", "1",      "--device", "cpu",
                                        "--batch-size", "32",     "--lr",      "0.01"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_equal(const QuantizedNetwork& a, const QuantizedNetwork& b) {
  EXPECT_EQ(a.mean, b.mean);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    EXPECT_EQ(a.nodes[i].weights, b.nodes[i].weights);
    EXPECT_EQ(a.nodes[i].weight_scale, b.nodes[i].weight_scale);
    EXPECT_EQ(a.nodes[i].requantization.bias, b.nodes[i].requantization.bias);
    EXPECT_EQ(a.nodes[i].output.scale, b.nodes[i].output.scale);
  }
}

TEST_F(TrainCommand, KilledAndResumedEqualsUninterrupted) {
  ASSERT_EQ(run(with(small, {"--out", "a.h5"})), 0) << error();
  const ModelFile whole = load_model_file(folder_ / "a.h5");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.h5.checkpoint"));
  EXPECT_THAT(error(), HasSubstr("Search it with: triseg search --model lenet5 --data shapes --teacher a.h5\n"));
  EXPECT_THAT(error(), testing::Not(HasSubstr("Continuing")));
  EXPECT_EQ(whole.provenance.seed, 1u);
  EXPECT_EQ(whole.provenance.epochs, 2);
  EXPECT_GT(whole.provenance.int8_test_accuracy, 60.0);  // chance is 10
  EXPECT_NEAR(whole.provenance.int8_test_accuracy, whole.provenance.float_accuracy, 5.0);
  EXPECT_THAT(whole.provenance.command_line, StartsWith("triseg train --model lenet5 --data shapes"));

  const pid_t child = start(with(small, {"--out", "sub/b.h5", "--checkpoint", "b.checkpoint"}));
  int status = 0;
  while (!std::filesystem::exists(folder_ / "b.checkpoint") && ::waitpid(child, &status, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  ASSERT_FALSE(std::filesystem::exists(folder_ / "sub/b.h5"));
  ASSERT_TRUE(load_checkpoint(folder_ / "b.checkpoint").has_value());

  ASSERT_EQ(run(with(small, {"--out", "sub/b.h5", "--checkpoint", "b.checkpoint"})), 0) << error();
  EXPECT_THAT(error(), testing::Not(HasSubstr("Epoch 1 ")));
  EXPECT_THAT(error(), testing::ContainsRegex("Continuing b.checkpoint(: all 2 epochs are done| at epoch 2 of 2)"));
  const ModelFile resumed = load_model_file(folder_ / "sub/b.h5");
  expect_equal(whole.network, resumed.network);
  EXPECT_EQ(whole.provenance.int8_test_accuracy, resumed.provenance.int8_test_accuracy);
  EXPECT_EQ(whole.provenance.float_accuracy, resumed.provenance.float_accuracy);

  // Once more: nothing to do. Other options: refused.
  const auto before = files();
  ASSERT_EQ(run(with(small, {"--out", "a.h5"})), 0) << error();
  EXPECT_THAT(error(), HasSubstr("nothing to do"));
  EXPECT_EQ(files(), before);
  EXPECT_THAT(refused(with(small, {"--out", "a.h5", "--weight-decay", "0"})),
              HasSubstr("another configuration: --weight-decay (0.0005 instead of 0)"));
  EXPECT_THAT(refused(with(small, {"--out", "a.h5", "--seed", "2"})), HasSubstr("remove it or choose another --out"));
}

TEST_F(TrainCommand, BadInputIsOneLine) {
  std::ofstream(folder_ / "file") << "x";
  EXPECT_THAT(refused({"--model", "resnet"}), HasSubstr("unknown model 'resnet'"));
  EXPECT_THAT(refused({"--data", "nowhere"}), HasSubstr("nowhere"));
  EXPECT_THAT(refused({"--backend", "tflite"}), HasSubstr("tflite"));
  EXPECT_THAT(refused({"--device", "abacus"}), HasSubstr("abacus"));
  EXPECT_THAT(refused({"--engine", "steam"}, 2), HasSubstr("steam"));
  EXPECT_THAT(refused({"--data", "shapes", "--out", "file"}), HasSubstr("file"));
  EXPECT_THAT(refused({"--data", "shapes", "--out", "file/model.h5"}), HasSubstr("file"));
  EXPECT_THAT(refused({"--data", "shapes", "--out", "a.h5", "--checkpoint", "a.h5"}), HasSubstr("--checkpoint"));
  EXPECT_THAT(refused(with(small, {"--checkpoint", "file", "--out", "a.h5"})), HasSubstr("file"));
  EXPECT_THAT(refused({"--data", "shapes", "--batch-size", "1000000", "--out", "new/a.h5"}), HasSubstr("--batch-size"));
  EXPECT_THAT(refused({"--data", "shapes", "--shift", "32"}),
              HasSubstr("--shift 32: expected at most 31, for AlexNet takes images of 32 x 32"));
  EXPECT_THAT(refused({"--learning", "1"}, 2), HasSubstr("--learning"));
}

/// What the options say of a command line that they refuse.
std::string refusal(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  CLI::App app;
  TrainOptions options;
  declare_train_options(app, options);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "nothing";
}

TEST_F(TrainCommand, NumbersOutOfRangeAreOneLine) {
  EXPECT_EQ(refused({"--epochs", "0"}, 2), "triseg: error: " + refusal({"--epochs", "0"}) + "\n");
  EXPECT_EQ(refusal({"--epochs", "1"}), "nothing");
  const auto expect = [](const char* option, const char* value, const std::string& expected) {
    EXPECT_EQ(refusal({option, value}), fmt::format("{}: expected {}, found '{}'", option, expected, value));
  };
  for (const char* value : {"0", "-1", "many", "1.5", "1e3", "99999999999", "99999999999999999999999", ""})
    expect("--epochs", value, "a whole number from 1 to 1000000");
  expect("--qat-epochs", "-1", "a whole number from 0 to 1000000");
  expect("--batch-size", "1", "a whole number from 2 to 1000000");
  for (const char* value : {"-1", "18446744073709551616"})
    expect("--seed", value, "a whole number from 0 to 18446744073709551615");
  for (const char* value : {"-1", "4096", "100000"}) expect("--shift", value, "a whole number from 0 to 4095");
  for (const char* value : {"-1", "20000"}) expect("--threads", value, "a whole number from 0 to 1024");
  for (const char* value : {"0", "-0.1", "nan", "inf", "fast"}) expect("--lr", value, "a number from 1e-12 to 1e+12");
  expect("--qat-lr", "-1", "a number from 1e-12 to 1e+12");
  for (const char* value : {"1", "-0.1"}) expect("--momentum", value, "a number from 0 to 0.999999");
  expect("--weight-decay", "-1", "a number from 0 to 1e+12");
  expect("--progress-every", "0", "a number from 1e-12 to 1e+12");
}

/// A limit on file sizes stands for a full disk.
TEST_F(TrainCommand, FullDiskIsOneLineAndLosesNothing) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // the program inherits both
  const rlimit limit{100 * 1024, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const int exit_code = run(with(small, {"--out", "a.h5", "--progress-every", "1000"}));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(error(), HasSubstr("triseg: error: cannot write a.h5.checkpoint: write failed: File too large\n"));
  EXPECT_THAT(error(), testing::Not(HasSubstr("c10")));
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace triseg
