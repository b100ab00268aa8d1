// Scores against the formulas written out again, and independence of threads and of how the work is shared.
#include "worker/scorer.hpp"

#include "tests/error_of.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/distillation.hpp"
#include "worker/engines/engines.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <pthread.h>

namespace triseg {
namespace {

Problem small_problem() {
  using namespace triseg::testing;
  return random_problem(
      chain("small", 1, 28,
            {convolution("conv1", 4, 5, 3, 0, 2), fully_connected("fc1", 12), fully_connected("fc2", 10)}, {0, 1}),
      Scheme::fbgemm, 5);
}

const DataSet& shapes() {
  static const DataSet data = load_data_set("shapes");
  return data;
}

ScoreRequest request(std::size_t images, std::uint32_t batch) {
  ScoreRequest r{Split::search, batch, std::vector<std::uint32_t>(images), {{}}};
  std::iota(r.images.begin(), r.images.end(), 3u);
  for (int tmax : {20, 90, 200}) {
    const auto code = [&](int k) { return static_cast<std::uint8_t>(tmax * k / 5); };
    r.candidates.push_back(
        {{code(1), code(2), code(3), code(4), code(5)}, {code(1), code(2), code(3), code(4), code(5)}});
  }
  return r;
}

std::vector<double> softmax(std::span<const std::uint8_t> codes, const CodeScale& scale, double temperature) {
  std::vector<double> p;
  for (std::uint8_t q : codes) p.push_back(std::exp(scale.scale * (q - scale.zero_point) / temperature));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

std::vector<double> unit(std::span<const std::uint32_t> map) {
  double norm = 0;
  for (double x : map) norm += x * x;
  std::vector<double> u;
  for (double x : map) u.push_back(norm > 0 ? x / std::sqrt(norm) : 0);
  return u;
}

TEST(Distillation, FollowsTheFormulas) {
  const Problem problem = small_problem();
  const int images = 7;
  const double temperature = 3.0;
  const auto engine = make_engine(EngineKind::reference, problem);
  engine->load_images(triseg::testing::random_codes(images * problem.network().input.size(), 1), images);
  const std::vector<Student> students = {teacher(problem), triseg::testing::random_student(problem, 2)};
  std::vector<ForwardResult> results(2);
  engine->forward(students, results);
  const std::vector<std::uint16_t> labels = {0, 1, 2, 3, 4, 5, 6};
  const Score score = TeacherTarget(problem.model, results[0], labels, temperature).score(results[1]);

  double kd = 0, attention = 0;
  std::uint64_t both = 0, teacher_only = 0, student_only = 0;
  for (int i = 0; i < images; ++i) {
    const auto t = results[0].logit_codes.subspan(i * 10, 10), s = results[1].logit_codes.subspan(i * 10, 10);
    const auto p = softmax(t, problem.model.logits(), temperature), q = softmax(s, problem.model.logits(), temperature);
    for (int k = 0; k < 10; ++k) kd += temperature * temperature * p[k] * std::log(p[k] / q[k]);
    for (std::size_t a = 0; a < 2; ++a) {
      const std::size_t positions = results[0].attention[a].size() / images;
      const auto x = unit(results[0].attention[a].subspan(i * positions, positions));
      const auto y = unit(results[1].attention[a].subspan(i * positions, positions));
      for (std::size_t k = 0; k < positions; ++k) attention += (x[k] - y[k]) * (x[k] - y[k]) / 2;
    }
    const bool t_right = highest_logit(t.data(), 10) == labels[i], s_right = highest_logit(s.data(), 10) == labels[i];
    both += t_right && s_right;
    teacher_only += t_right && !s_right;
    student_only += !t_right && s_right;
  }
  EXPECT_GT(kd, 0.0);
  EXPECT_GT(attention, 0.0);
  EXPECT_NEAR(score.kd, kd, 1e-9 * kd);
  EXPECT_NEAR(score.attention, attention, 1e-9 * attention);
  EXPECT_EQ(score.images, 7u);
  EXPECT_EQ(score.both_right, both);
  EXPECT_EQ(score.teacher_only, teacher_only);
  EXPECT_EQ(score.student_only, student_only);
}

__extension__ using Quad = __float128;  // 113 bits

Quad quad_exp(Quad x) {
  int halvings = 0;
  for (; x > 0.01 || x < -0.01; x /= 2) ++halvings;
  Quad sum = 0;
  for (int n = 20; n >= 1; --n) sum = (sum + 1) * x / n;
  ++sum;
  for (; halvings > 0; --halvings) sum *= sum;
  return sum;
}

/// Newton's method from the double's logarithm.
Quad quad_log(Quad x) {
  Quad y = std::log(static_cast<double>(x));
  for (int i = 0; i < 3; ++i) y += x * quad_exp(-y) - 1;
  return y;
}

/// T^2 KL(teacher || student) by its definition.
Quad quad_kd(std::span<const std::uint8_t> teacher, std::span<const std::uint8_t> student, double scale,
             double temperature) {
  const auto logarithms = [&](std::span<const std::uint8_t> codes) {
    const int largest = *std::max_element(codes.begin(), codes.end());
    std::vector<Quad> result;
    Quad sum = 0;
    for (int q : codes) sum += quad_exp(result.emplace_back(Quad(scale) / temperature * (q - largest)));
    for (Quad& x : result) x -= quad_log(sum);
    return result;
  };
  const auto log_p = logarithms(teacher), log_s = logarithms(student);
  Quad kl = 0;
  for (std::size_t k = 0; k < log_p.size(); ++k) kl += quad_exp(log_p[k]) * (log_p[k] - log_s[k]);
  return kl * temperature * temperature;
}

/// At large temperatures all probabilities are nearly equal, and KL is the small difference of large sums.
TEST(Distillation, IsExactAtEveryTemperature) {
  QuantizedNetwork network = small_problem().model;
  triseg::testing::Random random(8);
  const std::vector<std::uint16_t> labels = {0};
  for (const double scale : {0.001, 0.05, 0.25, 3.0})
    for (const double temperature : {0.01, 0.5, 1.0, 4.0, 30.0, 255.0 * scale, 257.0 * scale, 1e3, 1e5, 1e9, 1e12})
      for (const int spread : {0, 1, 20, 255}) {
        network.nodes.back().output.scale = scale;
        OwnedForwardResult teacher, student;
        for (int k = 0; k < 10; ++k) {
          const int code = random.integer(0, 255);
          teacher.logit_codes.push_back(code);
          student.logit_codes.push_back(std::clamp(code + random.integer(-spread, spread), 0, 255));
        }
        if (spread == 0) student.logit_codes[3] ^= 1;  // one class by one code
        teacher.attention = student.attention = {{1}, {1}};
        const Score score = TeacherTarget(network, teacher.view(), labels, temperature).score(student.view());
        // Below, the definition cancels in 113 bits, too; its limit is half the variance of the logits' difference.
        const double ratio = scale / temperature;
        double expected = static_cast<double>(quad_kd(teacher.logit_codes, student.logit_codes, scale, temperature));
        if (ratio < 2e-11) {
          double mean = 0, squares = 0;
          for (int k = 0; k < 10; ++k) {
            const double d = scale * (int(student.logit_codes[k]) - int(teacher.logit_codes[k]));
            mean += d / 10;
            squares += d * d / 10;
          }
          expected = (squares - mean * mean) / 2;
        }
        const double tolerance = 1e-9 * expected + (ratio < 1.0 / 256 ? 0 : 1e-10 * scale * scale);
        EXPECT_NEAR(score.kd, expected, tolerance)
            << "scale " << scale << ", temperature " << temperature << ", spread " << spread;
      }
}

TEST(Distillation, AMapOfZerosIsNoNaN) {
  const Problem problem = small_problem();
  OwnedForwardResult a, b;
  a.logit_codes.assign(10, 128);
  b.logit_codes.assign(10, 128);
  a.attention = {{0, 0, 0}, {1, 0, 0}};
  b.attention = {{0, 0, 0}, {0, 0, 0}};
  const std::vector<std::uint16_t> labels = {0};
  const Score score = TeacherTarget(problem.model, a.view(), labels, 2.0).score(b.view());
  EXPECT_EQ(score.kd, 0.0);
  EXPECT_DOUBLE_EQ(score.attention, 0.5);
}

TEST(Distillation, ALabelAbove255IsNotTakenForItsLowByte) {
  const Problem problem = small_problem();
  OwnedForwardResult result;
  result.logit_codes.assign(20, 128);  // class 0 for both images
  result.attention = {{1, 1}, {1, 1}};
  const std::vector<std::uint16_t> labels = {256, 0};
  EXPECT_EQ(TeacherTarget(problem.model, result.view(), labels, 2.0).score(result.view()).both_right, 1u);
}

TEST(HighestLogit, IsTheLowestOfEqualLogits) {
  const std::vector<std::uint8_t> codes = {3, 9, 9, 1};
  EXPECT_EQ(highest_logit(codes.data(), 4), 1);
}

TEST(Scorer, DoesNotDependOnThreadsOrOnHowItemsAreShared) {
  const Problem problem = small_problem();
  const ScoreRequest r = request(25, 8);  // 4 batches, the last of one image, by 4 candidates
  ASSERT_EQ(r.items(), 16u);
  const auto whole = Scorer(problem, shapes(), engine_factory(EngineKind::reference, problem), 1, 2.0).score(r, 0, 16);
  for (int threads : {2, 3, 5})
    EXPECT_EQ(Scorer(problem, shapes(), engine_factory(EngineKind::reference, problem), threads, 2.0).score(r, 0, 16),
              whole);
  Scorer scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 2, 2.0);
  std::vector<Score> parts;
  for (auto [first, count] : {std::pair<std::size_t, std::size_t>{0, 5}, {5, 0}, {5, 2}, {7, 9}})
    for (const Score& s : scorer.score(r, first, count)) parts.push_back(s);
  EXPECT_EQ(parts, whole);
}

TEST(Scorer, CandidatesCarryTheirRepair) {
  const Problem problem = small_problem();
  ScoreRequest r = request(16, 8);
  r.candidates.push_back(r.candidates[1]);
  const auto without =
      Scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 1, 2.0).score(r, 0, r.items());
  Repair own(4), other(4);  // conv1, its pool, fc1, fc2
  own[3] = problem.model.nodes[3].requantization;
  other[2] = problem.model.nodes[2].requantization;
  for (float& m : other[2]->multiplier) m *= 1.5f;
  r.repairs = {own, other};
  r.repair_of = {no_repair, 0, no_repair, 0, 1};
  const auto with =
      Scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 2, 2.0).score(r, 0, r.items());
  for (std::size_t i = 0; i < with.size(); ++i) EXPECT_EQ(with[i] == without[i], i % 5 != 4) << "item " << i;
}

TEST(Scorer, MomentsDoNotDependOnThreadsOrOnHowItemsAreShared) {
  const Problem problem = small_problem();
  ScoreRequest r = request(25, 8);  // 4 batches, the last of one image, by 4 candidates
  r.repairs = {Repair(4)};
  r.repairs[0][2] = problem.model.nodes[2].requantization;
  for (std::int32_t& b : r.repairs[0][2]->bias) b += 1000;
  r.repair_of = {no_repair, no_repair, no_repair, 0};
  const std::size_t channels = problem.network().channels();
  ASSERT_EQ(channels, 26u);
  const auto whole =
      Scorer(problem, shapes(), engine_factory(EngineKind::reference, problem), 1, 2.0).moments(r, 0, r.items());
  ASSERT_EQ(whole.size(), 4 * channels);
  EXPECT_EQ(whole[0].count, 25u * 64) << "images by positions";
  EXPECT_EQ(whole.back().count, 25u);
  Scorer scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 3, 2.0);
  std::vector<Moments> parts(whole.size());
  for (auto [first, count] : {std::pair<std::size_t, std::size_t>{0, 5}, {5, 0}, {5, 2}, {7, 9}}) {
    const auto part = scorer.moments(r, first, count);
    for (std::size_t i = 0; i < part.size(); ++i) parts[i] += part[i];
  }
  EXPECT_TRUE(parts == whole);
  r.repair_of.clear();
  const auto unrepaired = scorer.moments(r, 0, r.items());
  const auto last = whole.begin() + 3 * channels + 4 + 12;  // what the repaired layer feeds
  EXPECT_TRUE(std::equal(whole.begin(), last, unrepaired.begin()));
  EXPECT_FALSE(std::equal(last, whole.end(), unrepaired.begin() + (last - whole.begin())));
}

TEST(Scorer, TheTeacherScoresZeroAgainstItself) {
  const Problem problem = small_problem();
  const ScoreRequest r = request(16, 16);
  const auto scores =
      Scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 1, 2.0).score(r, 0, r.items());
  EXPECT_EQ(scores[0].kd, 0.0);
  EXPECT_EQ(scores[0].attention, 0.0);
  EXPECT_EQ(scores[0].teacher_only + scores[0].student_only, 0u);
  for (std::size_t i = 1; i < scores.size(); ++i) EXPECT_GT(scores[i].kd, 0.0);
}

TEST(Scorer, SplitsShowDifferentImages) {
  const Problem problem = small_problem();
  Scorer scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 1, 2.0);
  std::vector<double> kd;
  for (Split split : {Split::search, Split::validation, Split::test}) {
    ScoreRequest r = request(16, 16);
    r.split = split;
    kd.push_back(scorer.score(r, 1, 1)[0].kd);
  }
  EXPECT_NE(kd[0], kd[1]);
  EXPECT_NE(kd[1], kd[2]);
  EXPECT_NE(kd[0], kd[2]);
}

TEST(Scorer, HistogramsCountTheCodesBeforeTheStaircase) {
  const Problem problem = small_problem();
  ScoreRequest r = request(10, 4);
  r.candidates = {r.candidates[1]};
  const auto histograms =
      Scorer(problem, shapes(), engine_factory(EngineKind::automatic, problem), 2, 2.0).histograms(r, 0, r.batches());
  std::vector<Histogram> expected(2);
  const auto engine = make_engine(EngineKind::reference, problem);
  std::vector<std::uint32_t> indices(r.images);
  std::vector<std::uint8_t> input(indices.size() * problem.network().input.size());
  quantize_images(problem.model, shapes().train, indices, input);
  engine->load_images(input, static_cast<int>(indices.size()));
  engine->trace(student(problem, r.candidates[0]), [&](const NodeTrace& node) {
    if (const int site = problem.site_of(node.node); site >= 0) expected[site].add(node.codes);
  });
  ASSERT_EQ(histograms.size(), 2u);
  for (int s = 0; s < 2; ++s) EXPECT_EQ(histograms[s].counts, expected[s].counts);
}

/// Stacks of 64 TiB stand for a system without room for another thread.
TEST(Scorer, ThreadsThatCannotStartAreNamed) {
  const Problem problem = small_problem();
  pthread_attr_t before, huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_getattr_default_np(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 46), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  const std::string error =
      error_of([&] { Scorer(problem, shapes(), engine_factory(EngineKind::reference, problem), 4, 2.0); });
  pthread_setattr_default_np(&before);
  // Which of them is refused first is the system's affair.
  EXPECT_THAT(error, ::testing::MatchesRegex("cannot start 3 scoring threads: thread [2-4]: Resource temporarily "
                                             "unavailable; choose a smaller --threads"));
}

}  // namespace
}  // namespace triseg
