#include "worker/distillation.hpp"

namespace triseg {

TeacherTarget::TeacherTarget(const QuantizedNetwork& network, const ForwardResult& result,
                             std::span<const std::uint16_t> labels, double temperature)
    : classes_(network.network.classes),
      scale_over_temperature_(network.logits().scale / temperature),
      temperature_(temperature),
      teacher_(result),
      labels_(labels.begin(), labels.end()) {
  const std::size_t images = labels_.size();
  for (std::size_t i = 0; i < images; ++i) {
    const std::uint8_t* codes = &teacher_.logit_codes[i * classes_];
    right_.push_back(highest_logit(codes, classes_) == labels_[i]);
    softmax_.push_back(log_softmax(codes, classes_, scale_over_temperature_));
  }
  for (const auto& maps : teacher_.attention) {
    std::vector<double>& factors = factors_.emplace_back();
    const std::size_t positions = maps.size() / images;
    for (std::size_t i = 0; i < images; ++i)
      factors.push_back(inverse_norm(add_squares(0, &maps[i * positions], positions)));
  }
}

Score TeacherTarget::score(const ForwardResult& student) const {
  Score score;
  const std::size_t images = labels_.size(), layers = teacher_.attention.size();
  score.images = images;
  for (std::size_t i = 0; i < images; ++i) {
    const std::uint8_t* codes = &student.logit_codes[i * classes_];
    score.kd += temperature_ * temperature_ *
                divergence(&teacher_.logit_codes[i * classes_], softmax_[i], codes, classes_, scale_over_temperature_);
    const bool right = highest_logit(codes, classes_) == labels_[i];
    score.both_right += right && right_[i];
    score.teacher_only += !right && right_[i];
    score.student_only += right && !right_[i];

    double distance = 0;
    for (std::size_t a = 0; a < layers; ++a) {
      const std::size_t positions = teacher_.attention[a].size() / images;
      const std::uint32_t* map = &student.attention[a][i * positions];
      distance = add_map_distance(distance, &teacher_.attention[a][i * positions], factors_[a][i], map,
                                  inverse_norm(add_squares(0, map, positions)), positions);
    }
    if (layers > 0) score.attention += distance / double(layers);
  }
  return score;
}

}  // namespace triseg
