// The search strategy contract: propose codes for an iteration, take what they scored.
#pragma once

#include "learner/run_data.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// Where the first draws are.
enum class WarmStart {
  best,  ///< around the best of the analytic starts (learner/strategies/starts.hpp)
  mse,   ///< around the per-site MSE optimum of the histogram
  init,  ///< around the initial codes tmax * k / 5
  none,  ///< nowhere: ppo alone, a network with random heads, as the Python original starts
};

/// What strategies that draw around a start share.
struct StartOptions {
  WarmStart warm_start = WarmStart::best;
  double width_tolerance =
      0.3;  ///< width of the first draws: codes within it raise a site's squared error by this share
  bool operator==(const StartOptions&) const = default;
};

/// A reward for comparisons: what is not a number is worse than all that are, so that every order is total.
inline double comparable(double reward) { return reward == reward ? reward : -std::numeric_limits<double>::infinity(); }

/// What a strategy proposes for the episodes of an iteration.
struct Draws {
  std::vector<std::vector<Codes>> codes;  ///< (episodes)(sites), in network order
  std::vector<float> log_probability;     ///< (episodes, sites): of the codes under the policy that drew them; empty
                                          ///< without a lag
  std::uint64_t student_images = 0;       ///< that the strategy itself ran students on to come to the codes
};

/// Proposes and learns. Its randomness is a function of (seed, episode) alone, its state is all in the checkpoint, so a
/// run continues to the same codes after any interruption. Runs on the learner rank only.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// How many episodes it scores of a budget: all; none if it proposes nothing; fewer if an episode takes more student
  /// images than those it is scored on (budget_of_an_episode).
  virtual std::uint64_t usable_episodes(std::uint64_t budget) const { return budget; }

  /// The draws of episodes first_episode .. first_episode + count - 1, an iteration. All iterations before have been
  /// learned from, with a lag (PpoOptions) all but the last.
  virtual Draws propose(std::uint64_t first_episode, std::size_t count) = 0;

  /// Learns from all episodes of one iteration, in episode order, whose rewards are finite. log_probability: what
  /// propose gave with their codes. Fills in the losses and statistics of `update`.
  virtual void learn(std::span<const Episode> episodes, std::span<const float> log_probability, Update& update) = 0;

  /// The codes it holds best now: (sites).
  virtual std::vector<Codes> most_probable() const = 0;

  /// The codes it would have validated at the end: (candidates)(sites).
  virtual std::vector<std::vector<Codes>> incumbents() const { return {most_probable()}; }

  virtual void save(Checkpoint& checkpoint) const = 0;
  /// Throws Error if a tensor is missing or of another shape.
  virtual void restore(const Checkpoint& checkpoint) = 0;
};

}  // namespace triseg
