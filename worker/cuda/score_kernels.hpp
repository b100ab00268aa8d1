// Scores on the device, from the codes and maps that the forwards left there.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace triseg {

/// Where the maps of an attention layer lie.
struct MapPlace {
  int before;     // elements of one image's maps of the layers that lie before
  int positions;  // elements of one image's map
};

/// One call's students; the first is the teacher. An instance is one image of one student, in this order.
struct Scoring {
  int students, images, classes;
  int attention_layers;
  double logit_scale;  // of a logit code, over the temperature
  double temperature;
  const std::uint8_t* logits;   // (students, images, logit_stride)
  int logit_stride;             // >= classes
  const std::uint32_t* maps;    // of all instances of one attention layer, then those of another
  const MapPlace* places;       // (attention layers)
  const std::uint16_t* labels;  // (images)
  // Written on the way.
  double* factors;      // (attention layers, instances): inverse norms of the maps
  double* divergences;  // (instances): KL(teacher || student)
  double* distances;    // (instances): summed over attention layers
  std::uint8_t* right;  // (instances): 1 if the class is its label
};

/// Sums over a student's images: core/score.hpp's Score without `images`.
struct ScoreSums {
  double kd, attention;
  unsigned long long both_right, teacher_only, student_only;
};

/// sums: (students); that of the teacher against itself is the first.
[[nodiscard]] cudaError_t launch_scoring(const Scoring&, ScoreSums* sums, cudaStream_t);

}  // namespace triseg
