// Fits repairs over all ranks: measures moments, hands them to learner/judging/repair.hpp.
#pragma once

#include "learner/judging/repair.hpp"
#include "runner/ranks/rollout.hpp"

#include <cstdint>
#include <vector>

namespace triseg {

/// Repairs over the first images of the search split.
///
/// A node's fit needs the nodes before it repaired already. A pass measures all of them under the current repairs and
/// fits each; since a node's moments depend on the nodes before alone, after p passes the first p convolutions behind
/// the sites, on any way through the network, are as fitting one by one, in order, makes them, and as many passes as
/// the longest way has fit all of them. A pass that changes nothing ends that sooner, from whatever repair the passes
/// start.
class RepairFit {
 public:
  /// images: of calibration, at most those of the search split.
  RepairFit(Rollout& rollout, const Problem& problem, RepairMode mode, std::uint32_t images)
      : rollout_(rollout), problem_(problem), mode_(mode), images_(images) {}

  /// The most passes that a full fit takes.
  std::size_t most_passes() const { return repair_depth(problem_.network(), problem_.sites); }

  /// One pass over the student of these codes (sites) under a repair, which it replaces; an empty one is the model's
  /// own. False if nothing changed. Runs `images` images of the student; the teacher is measured once, by the first
  /// pass.
  bool pass(const std::vector<Codes>& codes, Repair& repair);

  /// The full fit. images_run: increased by the student images it took.
  Repair fit(const std::vector<Codes>& codes, std::uint64_t& images_run);

 private:
  std::vector<Moments> measure(const std::vector<Codes>& codes, const Repair& repair);

  Rollout& rollout_;
  const Problem& problem_;
  RepairMode mode_;
  std::uint32_t images_;
  std::vector<Moments> teacher_;  ///< (channels of all convolutions), or empty: not measured yet
};

}  // namespace triseg
