// The trade-offs among candidates: those that no other beats in everything.
#pragma once

#include "learner/run_data.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// What a candidate is judged by.
struct Objectives {
  double coverage = 0;  ///< NetworkCost::coverage; more is better
  double kd = 0;        ///< on validation [nats]; less is better
  double accuracy = 0;  ///< of the student on validation [percent]; more is better
  double energy = 0;    ///< of an inference [pJ]; less is better

  bool operator==(const Objectives&) const = default;
};

/// True if `a` is at least as good in all four and better in one.
bool dominates(const Objectives& a, const Objectives& b);

/// The indices, ascending, of those that no other dominates; of equal ones the first.
std::vector<std::size_t> non_dominated(std::span<const Objectives> candidates);

/// Objectives of the rows of /top that were scored on all images; the figures of the others do not compare.
std::vector<Objectives> objectives_of(const RunData& run);

/// The front among those rows of /top as a table: a line of names, then a line a candidate, ended each, in the order of
/// /top. Columns: row of /top, origin, episode, the four objectives (behind coverage passed_share), then the codes "t1
/// v1 t2 v2 tmax" of each site.
std::string pareto_csv(const RunData& run);

}  // namespace triseg
