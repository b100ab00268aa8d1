#include "worker/cuda/score_kernels.hpp"

#include "worker/distillation_terms.hpp"

namespace triseg {
namespace {

// Sums over a map are made by one thread in the order of its positions, as on the CPU. A block has 32 maps: its first
// warp sums, a map a lane, while the other warps bring the next piece of the maps into shared memory.
constexpr int warp = 32, warps = 8;
constexpr int maps_at_once = warp, piece = 64;
constexpr unsigned all_lanes = 0xffffffff;

/// A column more keeps the lanes in different banks.
struct Pieces {
  std::uint32_t codes[maps_at_once][piece + 1];
};

/// Maps of one attention layer: (instances, positions).
__device__ const std::uint32_t* maps_of(const Scoring& s, int layer) {
  return s.maps + static_cast<long long>(s.students) * s.images * s.places[layer].before;
}

/// Brings `count` positions of maps row(0) .. row(31), by all warps but the first. at: the first of those positions in
/// the first map of the layer.
template <class Row>
__device__ void bring(Pieces& to, const std::uint32_t* __restrict__ at, int positions, int count, const Row& row) {
  constexpr int threads = (warps - 1) * warp, each = (maps_at_once * piece + threads - 1) / threads;
  std::uint32_t codes[each];
#pragma unroll
  for (int i = 0; i < each; ++i) {  // all on their way before the first is waited for
    const int cell = i * threads + static_cast<int>(threadIdx.x) - warp, r = cell / piece, column = cell % piece;
    if (r < maps_at_once && column < count) codes[i] = at[static_cast<long long>(row(r)) * positions + column];
  }
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const int cell = i * threads + static_cast<int>(threadIdx.x) - warp, r = cell / piece, column = cell % piece;
    if (r < maps_at_once && column < count) to.codes[r][column] = codes[i];
  }
}

/// Calls fetch(k, first position, count) for every piece of maps, ahead of use(k, count) by the first warp.
template <class Fetch, class Use>
__device__ void by_pieces(int positions, const Fetch& fetch, const Use& use) {
  const int pieces = (positions + piece - 1) / piece;
  const auto count = [&](int k) { return min(piece, positions - k * piece); };
  const bool sums = threadIdx.x < warp;
  if (!sums) fetch(0, 0, count(0));
  __syncthreads();
  for (int k = 0; k < pieces; ++k) {
    if (sums) use(k, count(k));
    else if (k + 1 < pieces) fetch(k + 1, (k + 1) * piece, count(k + 1));
    __syncthreads();
  }
}

/// A block 32 maps of layer blockIdx.y.
__global__ void find_norms(const Scoring s) {
  __shared__ Pieces pieces[2];
  const int instances = s.students * s.images, layer = blockIdx.y, first = blockIdx.x * maps_at_once;
  const int instance = first + threadIdx.x, positions = s.places[layer].positions;
  const std::uint32_t* maps = maps_of(s, layer);
  const auto row = [&](int r) { return min(first + r, instances - 1); };
  double sum = 0;
  by_pieces(
      positions, [&](int k, int begin, int count) { bring(pieces[k % 2], maps + begin, positions, count, row); },
      [&](int k, int count) { sum = add_squares(sum, pieces[k % 2].codes[threadIdx.x], count); });
  if (threadIdx.x < maps_at_once && instance < instances)
    s.factors[static_cast<long long>(layer) * instances + instance] = inverse_norm(sum);
}

/// A block 32 instances.
__global__ void find_distances(const Scoring s) {
  __shared__ Pieces students[2], teachers[2];
  const int instances = s.students * s.images, first = blockIdx.x * maps_at_once;
  const auto row = [&](int r) { return min(first + r, instances - 1); };
  const auto teacher_row = [&](int r) { return row(r) % s.images; };
  const int instance = row(threadIdx.x % warp), image = instance % s.images;
  double distance = 0;
  for (int a = 0; a < s.attention_layers; ++a) {
    const int positions = s.places[a].positions;
    const std::uint32_t* maps = maps_of(s, a);
    const double* factors = s.factors + static_cast<long long>(a) * instances;
    const double own = factors[instance], teacher = factors[image];
    by_pieces(
        positions,
        [&](int k, int begin, int count) {
          bring(students[k % 2], maps + begin, positions, count, row);
          bring(teachers[k % 2], maps + begin, positions, count, teacher_row);
        },
        [&](int k, int count) {
          distance = add_map_distance(distance, teachers[k % 2].codes[threadIdx.x], teacher,
                                      students[k % 2].codes[threadIdx.x], own, count);
        });
  }
  if (threadIdx.x < maps_at_once && first + static_cast<int>(threadIdx.x) < instances) s.distances[instance] = distance;
}

/// A thread an instance.
__global__ void find_divergences(const Scoring s) {
  const int instance = blockIdx.x * blockDim.x + threadIdx.x, image = instance % s.images;
  if (instance >= s.students * s.images) return;
  const std::uint8_t* teacher = s.logits + static_cast<long long>(image) * s.logit_stride;
  const std::uint8_t* student = s.logits + static_cast<long long>(instance) * s.logit_stride;
  s.divergences[instance] =
      divergence(teacher, log_softmax(teacher, s.classes, s.logit_scale), student, s.classes, s.logit_scale);
  s.right[instance] = highest_logit(student, s.classes) == s.labels[image];
}

/// A warp a student: 32 images side by side, then summed one after the other.
__global__ void sum_up(const Scoring s, ScoreSums* all) {
  ScoreSums sums{};
  for (int begin = 0; begin < s.images; begin += warp) {
    const int count = min(warp, s.images - begin), image = begin + threadIdx.x;
    const bool there = image < s.images;
    const int instance = blockIdx.x * s.images + (there ? image : 0);
    const double kd = s.temperature * s.temperature * s.divergences[instance];
    const double attention = s.attention_layers > 0 ? s.distances[instance] / double(s.attention_layers) : 0;
    for (int i = 0; i < count; ++i) {
      sums.kd += __shfl_sync(all_lanes, kd, i);
      sums.attention += __shfl_sync(all_lanes, attention, i);
    }
    const bool right = there && s.right[instance], teacher_right = there && s.right[image];
    sums.both_right += __popc(__ballot_sync(all_lanes, right && teacher_right));
    sums.teacher_only += __popc(__ballot_sync(all_lanes, !right && teacher_right));
    sums.student_only += __popc(__ballot_sync(all_lanes, right && !teacher_right));
  }
  if (threadIdx.x == 0) all[blockIdx.x] = sums;
}

}  // namespace

cudaError_t launch_scoring(const Scoring& s, ScoreSums* sums, cudaStream_t stream) {
  const int blocks = (s.students * s.images + warp - 1) / warp;
  find_divergences<<<blocks, warp, 0, stream>>>(s);
  if (s.attention_layers > 0) {
    find_norms<<<dim3(blocks, s.attention_layers), warps * warp, 0, stream>>>(s);
    find_distances<<<blocks, warps * warp, 0, stream>>>(s);
  }
  sum_up<<<s.students, warp, 0, stream>>>(s, sums);
  return cudaGetLastError();
}

}  // namespace triseg
