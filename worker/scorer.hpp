// What a rollout worker does: scores candidates on image batches, a share of the work of all ranks at a time.
#pragma once

#include "data/dataset.hpp"
#include "core/histogram.hpp"
#include "core/score.hpp"
#include "worker/engine.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// The repair of a candidate that has none.
inline constexpr std::uint32_t no_repair = 0xffffffff;

/// Every candidate on every batch. An item is one candidate on one batch; items are ordered by batch, then candidate.
struct ScoreRequest {
  Split split = Split::search;
  std::uint32_t batch_size = 0;                // the last batch may be smaller
  std::vector<std::uint32_t> images;           // indices within the split
  std::vector<std::vector<Codes>> candidates;  // (candidates)(sites); an empty candidate is the teacher
  std::vector<Repair> repairs;                 // what repair_of refers to: candidates may share one
  std::vector<std::uint32_t> repair_of;    // (candidates): index into repairs or no_repair; empty: no candidate has one
  std::string phase;                       // what it is for, "iteration 17", for messages of failures
  std::vector<std::uint32_t> next_images;  // of this split, the first batch of the next request, if it is known: an
                                           // engine that scores on a device has it prepared while this one is scored;
                                           // no result depends on it

  std::size_t batches() const { return (images.size() + batch_size - 1) / batch_size; }
  std::size_t items() const { return batches() * candidates.size(); }
  /// The repair of a candidate; empty if it has none.
  const Repair& repair(std::size_t candidate) const;
};

/// A request for images begin .. end - 1 of a split, without candidates yet.
ScoreRequest image_range(Split split, std::uint32_t batch_size, std::size_t begin, std::size_t end, std::string phase);

/// Scores with `threads` threads, each with an engine of its own, or with one engine that scores on its device.
/// The result does not depend on the number of threads.
class Scorer {
 public:
  /// `problem`, that of the engines, and `data` must outlive the scorer. Engines are made here.
  Scorer(const Problem& problem, const DataSet& data, const EngineFactory& make_engine, int threads,
         double temperature);
  ~Scorer();

  std::string_view engine_name() const;
  std::string engine_description() const;

  /// Scores of items first .. first + count - 1. Blocks. An exception of a thread is rethrown here.
  std::vector<Score> score(const ScoreRequest& request, std::size_t first, std::size_t count);

  /// Moments of every candidate's accumulators (Engine::add_moments) over items first .. first + count - 1:
  /// (candidates, channels of all convolutions), zeros where those items have none.
  std::vector<Moments> moments(const ScoreRequest& request, std::size_t first, std::size_t count);

  /// Histograms of the codes before the staircase, per site, of the first candidate over batches first .. first + count
  /// - 1.
  std::vector<Histogram> histograms(const ScoreRequest& request, std::size_t first, std::size_t count);

 private:
  struct Lane;
  Student candidate(const ScoreRequest& request, std::size_t index) const;

  const Problem& problem_;
  const DataSet& data_;
  double temperature_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace triseg
