// The table of a sweep: a pure function of its file.
#include "runner/sweep/sweep_table.hpp"

#include "core/atomic_file.hpp"
#include "tests/learner/files/examples.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <set>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Sweep : public testing::Test {
 protected:
  SweepTable table(const std::string& text) {
    commit_file(folder_ / "s.toml", text);
    return make_table(read_sweep(folder_ / "s.toml"));
  }
  std::string error(const std::string& text) {
    return error_of([&] { table(text); });
  }
  std::vector<std::vector<std::string>> values(const std::string& text) {
    std::vector<std::vector<std::string>> rows;
    for (const SweepRun& run : table(text).runs) rows.push_back(run.varied);
    return rows;
  }
  TemporaryFolder folder_;
};

TEST_F(Sweep, AxesMultiplyTheFirstSlowest) {
  const SweepTable t = table(R"(
seeds = 2
[base]
model = "lenet5"
episodes = 96
batch-size = 16
[grid]
strategy = ["ppo", "random"]
[[zip]]
tmax-percentile = [80, 90]
tmax-offset = [0, 5]
)");
  EXPECT_THAT(t.varied, ElementsAre("strategy", "tmax-percentile", "tmax-offset", "seed"));
  ASSERT_EQ(t.runs.size(), 8);
  EXPECT_EQ(t.points, 8);
  EXPECT_THAT(t.runs[0].varied, ElementsAre("ppo", "80", "0", "1"));
  EXPECT_THAT(t.runs[1].varied, ElementsAre("ppo", "80", "0", "2"));
  EXPECT_THAT(t.runs[2].varied, ElementsAre("ppo", "90", "5", "1"));
  EXPECT_THAT(t.runs[7].varied, ElementsAre("random", "90", "5", "2"));
  EXPECT_EQ(t.runs[0].search.episodes, 96);
  EXPECT_EQ(t.runs[0].search.iteration.batch_size, 16);
  EXPECT_EQ(
      toml_text(t.runs[7].options),
      "strategy = \"random\"\ntmax-percentile = 90\ntmax-offset = 5\nseed = 2\nmodel = \"lenet5\"\nepisodes = 96\n"
      "batch-size = 16\n");
}

TEST_F(Sweep, EqualPointsRunOnceAndAGrownSweepKeepsItsRuns) {
  const SweepTable few = table("[grid]\nseed = [1, 2]\nkd-T = [2, 2.0]\n");
  EXPECT_EQ(few.points, 4);
  ASSERT_EQ(few.runs.size(), 2) << "2 and 2.0 are one temperature";
  std::set<std::string> ids;
  for (const SweepRun& run : table("[grid]\nkd-T = [1, 2]\nseed = [3, 2, 1]\n").runs) ids.insert(run.id);
  EXPECT_EQ(ids.size(), 6);
  for (const SweepRun& run : few.runs) EXPECT_TRUE(ids.contains(run.id));
  EXPECT_EQ(table("[grid]\nseed = [7]\nthreads = [1, 2]\n").runs.size(), 1) << "threads change no result";
  EXPECT_EQ(table("[grid]\nupdate-timestep = [40, 80]\n").runs.size(), 2);
  EXPECT_EQ(few.runs[0].id.size(), 12);
}

TEST_F(Sweep, RunsThatDifferInWhatHasNoEffectAreCounted) {
  const std::string axes = "[grid]\nstrategy = [\"ppo\", \"random\", \"mse\"]\nclip = [0.1, 0.2]\n";
  EXPECT_EQ(
      repeats_text(table(axes)),
      "2 of 6 runs differ from another only in what has no effect there (--clip needs --strategy ppo): lists of a "
      "[[zip]] pair values");
  EXPECT_EQ(table(axes + "seed = [1, 2]\n").repeats, 4);
  EXPECT_EQ(repeats_text(table("[[zip]]\nstrategy = [\"ppo\", \"random\"]\nclip = [0.1, 0.2]\n")), "");
  EXPECT_EQ(repeats_text(table("[grid]\nclip = [0.1, 0.2]\n")), "");
}

TEST_F(Sweep, DrawsDependOnTheirSeedAlone) {
  const std::string random = R"([random]
draws = 200
mean-rate = {min = 1e-3, max = 1.0, scale = "log"}
tmax-offset = {min = -2, max = 2}
warm-start = ["mse", "init"]
)";
  const auto rows = values(random);
  ASSERT_EQ(rows.size(), 200);
  EXPECT_EQ(rows, values(random));
  EXPECT_NE(rows, values(random + "draw-seed = 2\n"));
  const auto more = values("[random]\ndraws = 21\nlr = {min = 1e-4, max = 1e-3}\n");
  const auto with_another = values("[random]\ndraws = 20\nlr = {min = 1e-4, max = 1e-3}\nclip = [0.1, 0.2]\n");
  ASSERT_EQ(more.size(), 21);
  for (std::size_t d = 0; d < with_another.size(); ++d)
    EXPECT_EQ(with_another[d][0], more[d][0]) << "more draws, and an option added last, leave draws as they are";
  EXPECT_EQ(values("[random]\nclip = [0.1, 0.2]\n").size(), 1) << "one draw unless given";
  std::map<std::string, int> offsets, starts;
  double logarithms = 0;
  for (const auto& row : rows) {
    const double rate = std::stod(row[0]);
    EXPECT_GE(rate, 1e-3);
    EXPECT_LE(rate, 1.0);
    logarithms += std::log10(rate) / 200;
    ++offsets[row[1]], ++starts[row[2]];
  }
  EXPECT_NEAR(logarithms, -1.5, 0.25);
  EXPECT_EQ(offsets.size(), 5);
  for (const auto& [value, count] : offsets) EXPECT_NEAR(count, 40, 25) << value;
  for (const auto& [value, count] : starts) EXPECT_NEAR(count, 100, 35) << value;
}

TEST_F(Sweep, BracketsAreTheValuesOfSomeAxes) {
  const std::string axes =
      "seeds = 2\n[base]\nepisodes = 640\nbatch-size = 16\n[grid]\nstrategy = [\"ppo\", \"random\"]\nclip = [0.1, "
      "0.2]\n";
  const SweepTable one = table(axes + "[halving]\nrungs = [64, 128]\n");
  EXPECT_THAT(one.halving.rungs, ElementsAre(64, 128));
  EXPECT_EQ(one.halving.eta, 2);
  for (const SweepRun& run : one.runs) EXPECT_EQ(run.bracket, 0);
  const SweepTable four = table(axes + "[halving]\nrungs = [64]\neta = 3\nby = [\"seed\", \"strategy\"]\n");
  EXPECT_EQ(four.halving.eta, 3);
  std::vector<std::size_t> brackets;
  for (const SweepRun& run : four.runs) brackets.push_back(run.bracket);
  EXPECT_THAT(brackets, ElementsAre(0, 1, 0, 1, 2, 3, 2, 3));
  std::set<std::string> ids;
  for (const SweepRun& run : table(axes).runs) ids.insert(run.id);
  for (const SweepRun& run : four.runs) EXPECT_TRUE(ids.contains(run.id)) << "[halving] changes no run";
}

TEST_F(Sweep, TheBaseMayBeAFile) {
  commit_file(folder_ / "base.toml", "model = \"lenet5\"\nepisodes = 64\nstrategy = \"random\"\nout = \"elsewhere\"\n");
  const SweepTable t =
      table("[base]\nconfig = \"base.toml\"\nepisodes = 128\n[grid]\nstrategy = [\"mse\", \"cma-es\"]\n");
  EXPECT_EQ(toml_text(t.runs[1].options), "strategy = \"cma-es\"\nepisodes = 128\nmodel = \"lenet5\"\n");
  commit_file(folder_ / "ranks.toml", "rank-timeout = 5\n");
  EXPECT_THAT(error("base = \"ranks.toml\"\n"), HasSubstr("its rank-timeout is of all ranks of a sweep"));
  const std::string sweep = (folder_ / "s.toml").string(), file = (folder_ / "faulty.toml").string();
  for (const auto& [line, message] : std::map<std::string, std::string>{
           {"bogus = 2\n", ": unknown key 'bogus': triseg search --help-all lists them"},
           {"lr = \"a\"\n", ": key 'lr': expected a number, found the text 'a'"},
           {"clip = 7\n", ": key 'clip': --clip: expected a number from 1e-12 to 1, found '7'"}}) {
    commit_file(folder_ / "faulty.toml", line);
    EXPECT_EQ(error("base = \"faulty.toml\"\n"), sweep + ": base: " + file + message);
    EXPECT_EQ(error("[base]\nconfig = \"faulty.toml\"\n"), sweep + ": [base]: config: " + file + message);
  }
}

TEST_F(Sweep, FaultsNameFileAndKey) {
  const std::string file = (folder_ / "s.toml").string();
  for (const auto& [text, message] : std::map<std::string, std::string>{
           {"[grid]\nstrateg = [\"ppo\"]\n",
            "s.toml: [grid]: unknown key 'strateg': did you mean 'strategy'? triseg search --help-all lists them"},
           {"seds = 3\n",
            "key 'seds': unknown: did you mean 'seeds'? expected base or seeds, or a section [base], "
            "[grid], [[zip]], [random] or [halving]"},
           {"seed = 3\n", "key 'seed': is an option of a search: expected it in [base], or its values in a list in"},
           {"[base]\nconfig = \"none.toml\"\n", "s.toml: [base]: config: "},
           {"base = \"base.toml\"\n[base]\nlr = 1\n", "redefine existing string 'base' as table"},
           {"[[halving]]\nrungs = [64]\n", "s.toml: [[halving]]: expected [halving], once"},
           {"[[grid]]\nlr = [1]\n", "s.toml: [[grid]]: expected [grid], once"},
           {"[zip]\nclip = [0.1]\nlr = [1, 2]\n", "[zip]: key 'lr': 2 values beside 1 of 'clip'"},
           {"[grid]\nseed = []\n", "[grid]: key 'seed': expected at least one value"},
           {"[grid]\nseed = 1\n", "[grid]: key 'seed': expected a list of values"},
           {"[grid]\n", "[grid]: expected options"},
           {"[grid]\nclip = [0.1, \"x\"]\n", "[grid]: key 'clip': expected a number"},
           {"[grid]\nclip = [0.1, 7]\n", "key 'clip': "},
           {"seeds = 3\n[grid]\nseed = [1]\n", "[grid]: key 'seed': `seeds` varies it, too"},
           {"seeds = 0\n", "key 'seeds': expected a number of seeds"},
           {"[grid]\nclip = [0.1]\n[[zip]]\nclip = [0.2]\n", "[zip]: key 'clip': another axis varies it, too"},
           {"[base]\nclip = 0.1\n[grid]\nclip = [0.2]\n", "[base]: key 'clip': an axis varies it"},
           {"[[zip]]\nclip = [0.1, 0.2]\nlr = [0.1]\n", "[zip]: key 'lr': 1 values beside 2 of 'clip'"},
           {"[base]\nout = \"x\"\n", "[base]: key 'out': the sweep names the files"},
           {"[random]\nlr = {min = 1, max = 0.5}\n", "[random]: key 'lr': expected a min below the max"},
           {"[random]\nlr = {min = 0.0, max = 0.5, scale = \"log\"}\n", "a logarithmic range begins above 0"},
           {"[random]\nlr = {min = 0.1}\n", "key 'lr': expected a range with min and max"},
           {"[random]\nlr = 0.1\n", "key 'lr': expected a list of choices, or a range"},
           {"[random]\ndraws = 3\n", "[random]: expected options"},
           {"[grids]\nlr = [1]\n", "unknown section [grids]"},
           {"grid = 1\n", "key 'grid': unknown"},
           {"base = \"none.toml\"\n", "none.toml: no such file"},
           {"[base]\ntransport = \"mpi\"\n", "[base]: key 'transport': is of all ranks of a sweep"},
           {"[grid]\nrank-timeout = [3.0]\n", "[grid]: key 'rank-timeout': is of all ranks of a sweep"},
           {"[halving]\neta = 2\n", "[halving]: expected rungs"},
           {"[halving]\nrungs = [64, 64]\n", "[halving]: key 'rungs': expected whole numbers from 1, ascending"},
           {"[halving]\nrungs = 64\n", "[halving]: key 'rungs': expected a list"},
           {"[halving]\nrungs = [64]\neta = 1\n", "[halving]: key 'eta': expected a whole number from 2"},
           {"[halving]\nrungs = [64]\nkeep = 0.5\n", "[halving]: key 'keep': unknown"},
           {"[halving]\nrungs = [64]\nby = [\"seed\"]\n", "[halving]: key 'by': seed is no option that varies"},
           {"[base]\nepisodes = 64\n[halving]\nrungs = [64]\n", "expected rungs below its 64 episodes, found 64"},
           {"[base]\ntmax-mode = \"search\"\nobjective = \"coverage\"\n[halving]\nrungs = [64]\n",
            "[halving] compares runs by KD, which --objective coverage is not about"},
           {"[grid]\nstrategy = [\"random\"]\nwarm-start = [\"mse\", \"none\"]\n",
            "run with strategy = random, warm-start = none: --warm-start none"},
       })
    EXPECT_THAT(error(text), testing::AllOf(HasSubstr(file), HasSubstr(message))) << text;
}

}  // namespace
}  // namespace triseg
