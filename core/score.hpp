// What a rollout worker returns for one candidate on one image batch: one fixed-size record, gathered as bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace triseg {

/// Images of one record when whole splits are scored; the last record may have fewer. Fixed, because it decides in
/// which order floating-point sums are made.
inline constexpr std::uint32_t split_batch = 125;

/// Sums over the images of a batch; they add up over batches (in image order, so that every sum has one value).
struct Score {
  double kd = 0;         ///< sum over images of T^2 * KL(teacher || student) at temperature T [nats]
  double attention = 0;  ///< sum over images of the mean over attention layers of the squared map distance
  std::uint64_t images = 0;
  std::uint64_t both_right = 0;    ///< images that teacher and student both classify right
  std::uint64_t teacher_only = 0;  ///< images that only the teacher classifies right
  std::uint64_t student_only = 0;  ///< images that only the student classifies right

  double mean_kd() const { return images ? kd / double(images) : 0; }
  double mean_attention() const { return images ? attention / double(images) : 0; }
  /// Shares of images classified right [percent].
  double teacher_accuracy() const { return images ? 100.0 * double(both_right + teacher_only) / double(images) : 0; }
  double student_accuracy() const { return images ? 100.0 * double(both_right + student_only) / double(images) : 0; }

  Score& operator+=(const Score& other) {
    kd += other.kd;
    attention += other.attention;
    images += other.images;
    both_right += other.both_right;
    teacher_only += other.teacher_only;
    student_only += other.student_only;
    return *this;
  }
  bool operator==(const Score&) const = default;
};
static_assert(std::is_trivially_copyable_v<Score> && sizeof(Score) == 48, "gathered as bytes between ranks");

/// Sums over records that come all candidates on one, then all on the next: (candidates).
inline std::vector<Score> totals_of(std::span<const Score> records, std::size_t candidates) {
  std::vector<Score> totals(candidates);
  for (std::size_t i = 0; i < records.size(); ++i) totals[i % candidates] += records[i];
  return totals;
}

}  // namespace triseg
