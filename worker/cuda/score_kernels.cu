#include "worker/cuda/score_kernels.hpp"

#include "worker/distillation_terms.hpp"

namespace triseg {
namespace {

constexpr int block = 64;

__device__ int thread_index() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

/// Maps of one attention layer: (instances, positions).
__device__ const std::uint32_t* maps_of(const Scoring& s, int layer) {
  return s.maps + static_cast<long long>(s.students) * s.images * s.places[layer].before;
}

/// A thread a map.
__global__ void find_norms(const Scoring s) {
  const int instances = s.students * s.images, index = thread_index();
  if (index >= instances * s.attention_layers) return;
  const int layer = index / instances, instance = index % instances, positions = s.places[layer].positions;
  s.factors[index] = inverse_norm(maps_of(s, layer) + static_cast<long long>(instance) * positions, positions);
}

/// Two threads an instance: one for its distance, one for its divergence.
__global__ void compare(const Scoring s) {
  const int instances = s.students * s.images, index = thread_index();
  if (index >= 2 * instances) return;
  const int instance = index % instances, image = instance % s.images;
  if (index < instances) {
    double distance = 0;
    for (int a = 0; a < s.attention_layers; ++a) {
      const int positions = s.places[a].positions;
      const std::uint32_t* maps = maps_of(s, a);
      const double* factors = s.factors + static_cast<long long>(a) * instances;
      distance = add_map_distance(distance, maps + static_cast<long long>(image) * positions, factors[image],
                                  maps + static_cast<long long>(instance) * positions, factors[instance], positions);
    }
    s.distances[instance] = distance;
  } else {
    const std::uint8_t* teacher = s.logits + image * s.logit_stride;
    s.divergences[instance] =
        divergence(teacher, log_softmax(teacher, s.classes, s.logit_scale),
                   s.logits + static_cast<long long>(instance) * s.logit_stride, s.classes, s.logit_scale);
  }
}

/// A thread a student: over its images, one after the other.
__global__ void sum_up(const Scoring s, ScoreSums* all) {
  const int student = thread_index();
  if (student >= s.students) return;
  ScoreSums sums{};
  for (int image = 0; image < s.images; ++image) {
    const int instance = student * s.images + image;
    sums.kd += s.temperature * s.temperature * s.divergences[instance];
    if (s.attention_layers > 0) sums.attention += s.distances[instance] / double(s.attention_layers);
    const bool teacher_right = highest_logit(s.logits + image * s.logit_stride, s.classes) == s.labels[image];
    const bool right =
        highest_logit(s.logits + static_cast<long long>(instance) * s.logit_stride, s.classes) == s.labels[image];
    sums.both_right += right && teacher_right;
    sums.teacher_only += !right && teacher_right;
    sums.student_only += right && !teacher_right;
  }
  all[student] = sums;
}

int blocks(int threads) { return (threads + block - 1) / block; }

}  // namespace

cudaError_t launch_scoring(const Scoring& s, ScoreSums* sums, cudaStream_t stream) {
  const int instances = s.students * s.images;
  if (s.attention_layers > 0) find_norms<<<blocks(instances * s.attention_layers), block, 0, stream>>>(s);
  compare<<<blocks(2 * instances), block, 0, stream>>>(s);
  sum_up<<<blocks(s.students), block, 0, stream>>>(s, sums);
  return cudaGetLastError();
}

}  // namespace triseg
