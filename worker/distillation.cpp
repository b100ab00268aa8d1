#include "worker/distillation.hpp"

#include "core/reproducible.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

/// Below this logit scale over temperature, codes 255 apart are less than a nat apart: no probability is far from the
/// others.
constexpr double flat_scale = 1.0 / 256;

/// exp(x) - 1 - x for |x| <= 2, to a few units in the last place: Taylor's series from x^2 / 2 on.
double exponential_excess(double x) {
  double sum = 0;
  for (int n = 26; n >= 3; --n) sum = (sum + 1) * x / n;
  return (sum + 1) * x * x / 2;
}

/// log(1 + x) for x >= 0 to a few units in the last place; the factor makes good what 1 + x rounds away.
double log_one_plus(double x) {
  const double sum = 1 + x;
  return sum == 1 ? x : reproducible_log(sum) * (x / (sum - 1));
}

/// 1 / L2 norm of an integer map, or 0 for a map of zeros.
double inverse_norm(std::span<const std::uint32_t> map) {
  double sum = 0;
  for (std::uint32_t x : map) sum += double(x) * double(x);
  return sum > 0 ? 1.0 / std::sqrt(sum) : 0.0;
}

std::span<const std::uint32_t> row(std::span<const std::uint32_t> maps, std::size_t image, std::size_t images) {
  const std::size_t positions = maps.size() / images;
  return maps.subspan(image * positions, positions);
}

}  // namespace

int predicted_class(std::span<const std::uint8_t> codes) {
  return static_cast<int>(std::max_element(codes.begin(), codes.end()) - codes.begin());
}

TeacherTarget::TeacherTarget(const QuantizedNetwork& network, const ForwardResult& result,
                             std::span<const std::uint16_t> labels, double temperature)
    : classes_(network.network.classes),
      scale_over_temperature_(network.logits().scale / temperature),
      temperature_(temperature),
      codes_(result.logit_codes.begin(), result.logit_codes.end()),
      labels_(labels.begin(), labels.end()),
      log_p_(log_probabilities(result.logit_codes)) {
  const std::size_t images = labels_.size();
  for (std::size_t i = 0; i < images; ++i)
    right_.push_back(predicted_class(result.logit_codes.subspan(i * classes_, classes_)) == labels_[i]);
  for (const auto& maps : result.attention) {
    std::vector<double>& unit = attention_.emplace_back();
    unit.reserve(maps.size());
    for (std::size_t i = 0; i < images; ++i) {
      const auto map = row(maps, i, images);
      const double factor = inverse_norm(map);
      for (std::uint32_t x : map) unit.push_back(double(x) * factor);
    }
  }
}

std::vector<double> TeacherTarget::log_probabilities(std::span<const std::uint8_t> codes) const {
  // The zero point cancels in the softmax, so codes relative to the largest are enough.
  std::vector<double> log_p(codes.size());
  for (std::size_t at = 0; at < codes.size(); at += classes_) {
    const auto q = codes.subspan(at, classes_);
    const int largest = *std::max_element(q.begin(), q.end());
    double sum = 0;
    for (int k = 0; k < classes_; ++k) {
      log_p[at + k] = scale_over_temperature_ * (int(q[k]) - largest);
      sum += reproducible_exp(log_p[at + k]);
    }
    const double log_sum = reproducible_log(sum);
    for (int k = 0; k < classes_; ++k) log_p[at + k] -= log_sum;
  }
  return log_p;
}

double TeacherTarget::divergence(std::size_t image, std::span<const double> log_s) const {
  const double* log_p = &log_p_[image * classes_];
  double sum = 0;
  for (int k = 0; k < classes_; ++k) sum += reproducible_exp(log_p[k]) * (log_p[k] - log_s[k]);
  return sum;
}

double TeacherTarget::flat_divergence(std::size_t image, std::span<const std::uint8_t> student_codes) const {
  const double* log_p = &log_p_[image * classes_];
  const std::uint8_t* codes = &codes_[image * classes_];
  double mean = 0, sum = 0;
  const auto difference = [&](int k) { return scale_over_temperature_ * (int(student_codes[k]) - int(codes[k])); };
  for (int k = 0; k < classes_; ++k) mean += reproducible_exp(log_p[k]) * difference(k);
  for (int k = 0; k < classes_; ++k) sum += reproducible_exp(log_p[k]) * exponential_excess(difference(k) - mean);
  return log_one_plus(sum);
}

Score TeacherTarget::score(const ForwardResult& student) const {
  Score score;
  const std::size_t images = labels_.size();
  score.images = images;
  const bool flat = scale_over_temperature_ < flat_scale;
  const auto log_s = flat ? std::vector<double>{} : log_probabilities(student.logit_codes);
  for (std::size_t i = 0; i < images; ++i) {
    const auto codes = student.logit_codes.subspan(i * classes_, classes_);
    const double kl =
        flat ? flat_divergence(i, codes) : divergence(i, std::span(log_s).subspan(i * classes_, classes_));
    score.kd += temperature_ * temperature_ * kl;
    const bool right = predicted_class(codes) == labels_[i];
    score.both_right += right && right_[i];
    score.teacher_only += !right && right_[i];
    score.student_only += right && !right_[i];

    double distance = 0;
    for (std::size_t a = 0; a < attention_.size(); ++a) {
      const auto map = row(student.attention[a], i, images);
      const double factor = inverse_norm(map);
      const double* target = &attention_[a][i * map.size()];
      for (std::size_t p = 0; p < map.size(); ++p) {
        const double d = double(map[p]) * factor - target[p];
        distance += d * d;
      }
    }
    if (!attention_.empty()) score.attention += distance / double(attention_.size());
  }
  return score;
}

}  // namespace triseg
