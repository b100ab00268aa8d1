#include "worker/schedule.hpp"

#include "tests/worker/random_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace triseg::testing {
namespace {

using ::testing::ElementsAre;

constexpr Window around{3, 3, 1, 1, 1, 1, 1, 1, 1, 1};  // keeps the plane

Problem problem_of(const Network& network, std::string_view attention = "none") {
  return make_problem(random_network(network, Scheme::qnnpack, 1), "all", attention);
}

TEST(Steps, TakeAPoolThatAloneReadsAConvolution) {
  GraphBuilder g("n", {3, 8, 8});
  const int a = g.convolution(image_value, 4, around);
  const int a_pool = g.maximum(a, {2, 2, 2, 2});
  const int b = g.convolution(a_pool, 4, around);
  g.maximum(b, {2, 2, 2, 2});  // b is read twice
  g.maximum(b, {3, 3, 2, 2});
  const int c = g.convolution(a_pool, 4, around);
  g.maximum(c, {3, 3, 2, 2});  // overlaps
  const int d = g.convolution(a_pool, 4, around);
  g.maximum(d, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0, true});  // rounds up
  const int e = g.convolution(a_pool, 4, around);
  const int e_pool = g.maximum(e, {2, 4, 2, 4});  // both are sites
  Network network = g.finish(3);
  const auto pools = [&](std::string_view sites) {
    std::vector<std::pair<int, int>> found;
    for (const Step& step : make_steps(make_problem(random_network(network, Scheme::qnnpack, 1), sites, "none")))
      if (step.pool >= 0) found.emplace_back(step.node, step.pool);
    return found;
  };
  EXPECT_THAT(pools("conv"), ElementsAre(std::pair(a, a_pool), std::pair(e, e_pool)));
  EXPECT_THAT(pools("conv,maximum"), ElementsAre()) << "a pool that is a site";
  const auto steps = make_steps(make_problem(random_network(network, Scheme::qnnpack, 1), "conv", "none"));
  EXPECT_EQ(steps.size(), network.nodes.size() - 2);
}

TEST(Steps, HintAtTheAdditionThatCanFollow) {
  GraphBuilder g("n", {3, 8, 8});
  const int a = g.convolution(image_value, 4, around);
  const int b = g.convolution(a, 4, around, false);
  const int sum = g.operation(Operation::add, {b, a});
  const int first = g.convolution(sum, 4, around, false);
  const int second = g.convolution(sum, 4, around, false);
  const int sum2 = g.operation(Operation::add, {first, second});
  const int narrow = g.convolution(sum2, 1, around, false);
  g.operation(Operation::add, {narrow, sum2});  // broadcast
  std::vector<std::pair<int, int>> found;
  for (const Step& step : make_steps(problem_of(g.finish(3))))
    if (step.addition >= 0) found.emplace_back(step.node, step.addition);
  EXPECT_THAT(found, ElementsAre(std::pair(b, sum), std::pair(second, sum2)));
}

/// image -> a -> (b, c) -> concatenate -> logits; a, b and c are sites.
Problem branches() {
  GraphBuilder g("n", {3, 4, 4});
  const int a = g.convolution(image_value, 4, around);
  const int b = g.convolution(a, 4, around), c = g.convolution(a, 4, around);
  g.operation(Operation::concatenate, {b, c}, false);
  return problem_of(g.finish(3));
}

TEST(Agreement, FollowsTablesAndRepairsDownstream) {
  const Problem problem = branches();
  const Student exact = teacher(problem), other = random_student(problem, 3);
  std::vector<Student> students(5, exact);
  students[1].tables[1] = other.tables[1];                        // b
  students[2].tables[2] = other.tables[2];                        // c
  students[3].requantization.resize(problem.model.nodes.size());  // b, as the model has it: a repair all the same
  students[3].requantization[1] = problem.model.nodes[1].requantization;
  students[3].requantization[1]->bias[0] += 7;
  students[4] = students[3];
  const auto classes = agreement(problem, students);
  EXPECT_THAT(classes[0].value, ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(classes[1].codes, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(classes[1].value, ElementsAre(0, 1, 0, 2, 2));
  EXPECT_THAT(classes[2].codes, ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(classes[2].value, ElementsAre(0, 0, 1, 0, 0));
  EXPECT_THAT(classes[3].value, ElementsAre(0, 1, 2, 3, 3));
}

/// Runs a plan with labels for codes: every task finds in its buffers what the students of its class have there.
void expect_sound(const Problem& problem, const std::vector<Student>& students) {
  const auto steps = make_steps(problem);
  const auto classes = agreement(problem, students);
  const Plan plan = make_plan(problem, steps, students);
  using Label = std::tuple<std::size_t, bool, std::uint32_t>;  // node, codes in front of the staircase, class
  std::vector<Label> buffers(plan.buffers.size());
  std::set<Label> computed;
  for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
    const Task& task = plan.tasks[t];
    const Step& step = steps[task.step];
    const auto& inputs = problem.network().nodes[step.node].inputs;
    const auto uses = [&](int buffer) {
      EXPECT_LE(plan.buffers[buffer].first, t);
      EXPECT_GE(plan.buffers[buffer].last, t);
    };
    for (std::size_t k = 0; task.computes && k < inputs.size(); ++k) {
      if (inputs[k] == image_value) continue;
      uses(task.inputs[k]);
      EXPECT_EQ(buffers[task.inputs[k]], Label(inputs[k], false, classes[inputs[k]].value[task.student]));
    }
    const Label codes{step.node, true, classes[step.node].codes[task.student]};
    if (task.computes) {
      EXPECT_TRUE(computed.insert(codes).second) << "computed twice";
    } else {
      EXPECT_EQ(buffers[task.codes], codes);
    }
    if (task.codes >= 0) {
      uses(task.codes);
      buffers[task.codes] = codes;
    }
    uses(task.value);
    EXPECT_EQ(buffers[task.value], Label()) << "a value is written once";
    buffers[task.value] = {step.value(), false, classes[step.value()].value[task.student]};
  }
  for (std::size_t i = 0; i < classes.size(); ++i)
    for (std::size_t s = 0; s < students.size(); ++s)
      EXPECT_EQ(classes[i].value[plan.made_by[i][s]], classes[i].value[s]);
}

TEST(Plan, ComputesEveryNodeOncePerClass) {
  for (int seed = 1; seed <= 12; ++seed) {
    const Problem problem = random_problem(random_graph(seed), Scheme::qnnpack, seed, {.varied = true});
    Random random(seed);
    std::vector<Student> students;
    const Student exact = teacher(problem), other = random_student(problem, 5);
    for (int s = 0; s < 9; ++s) {
      students.push_back(exact);
      for (std::size_t site = 0; site < exact.tables.size(); ++site)
        if (random.integer(0, 3) == 0) students.back().tables[site] = other.tables[site];
      if (s % 3 == 1) replace_requantization(students.back(), problem.model, s % 2, seed);
    }
    expect_sound(problem, students);
    students.resize(1);
    expect_sound(problem, students);
  }
}

TEST(Plan, KeepsCodesOnlyWhereTablesDiffer) {
  const Problem problem = branches();
  std::vector<Student> students(3, teacher(problem));
  students[1].tables[1] = random_student(problem, 3).tables[1];
  const auto steps = make_steps(problem);
  const Plan plan = make_plan(problem, steps, students);
  int kept = 0, finished = 0;
  for (const Buffer& buffer : plan.buffers) kept += buffer.codes;
  for (const Task& task : plan.tasks) finished += !task.computes;
  EXPECT_EQ(kept, 1) << "those of b";
  EXPECT_EQ(finished, 1);
  // a, b, c, concatenate, average, logits; then b's table, concatenate, average, logits of the other.
  EXPECT_EQ(plan.tasks.size(), 10u);
}

TEST(Place, OverlapsNothingAndIsNoLargerThanNeeded) {
  Random random(4);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<Buffer> buffers;
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 30; ++i) {
      const std::size_t first = random.integer(0, 40);
      buffers.push_back({0, false, first, first + random.integer(0, 6)});
      sizes.push_back(random.integer(1, 1000));
    }
    const Arena arena = place(buffers, sizes, 64);
    std::size_t all = 0;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      all += (sizes[i] + 63) / 64 * 64;
      EXPECT_EQ(arena.offsets[i] % 64, 0u);
      EXPECT_LE(arena.offsets[i] + sizes[i], arena.size);
      for (std::size_t k = 0; k < i; ++k) {
        const bool in_time = buffers[i].first <= buffers[k].last && buffers[k].first <= buffers[i].last;
        const bool in_space =
            arena.offsets[i] < arena.offsets[k] + sizes[k] && arena.offsets[k] < arena.offsets[i] + sizes[i];
        EXPECT_FALSE(in_time && in_space);
      }
    }
    EXPECT_LT(arena.size, all);
  }
}

TEST(Place, TakesManyBuffersOfLongPlans) {
  std::vector<Buffer> buffers{{0, false, 0, 39'999}};  // needed to the end
  for (std::size_t i = 0; i < 40'000; ++i) buffers.push_back({0, false, i, std::min<std::size_t>(i + 1, 39'999)});
  EXPECT_EQ(place(buffers, std::vector<std::size_t>(buffers.size(), 64)).size, 3 * 64u);
}

TEST(Place, AChainNeedsItsTwoLargestNeighbours) {
  const std::vector<Buffer> buffers = {{0, false, 0, 1}, {1, false, 1, 2}, {2, false, 2, 3}, {3, false, 3, 3}};
  EXPECT_EQ(place(buffers, std::vector<std::size_t>{128, 1024, 512, 64}).size, 1536u);
}

}  // namespace
}  // namespace triseg::testing
