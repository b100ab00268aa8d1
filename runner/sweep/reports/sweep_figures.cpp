#include "runner/sweep/reports/sweep_figures.hpp"

#include "learner/judging/pareto.hpp"
#include "learner/judging/selection.hpp"

namespace triseg {

Figures figures_of(const RunData& run) {
  const std::size_t row = run.selected.top_index;
  const Objectives objectives = objectives_of(run).at(row);
  return {objectives.kd, objectives.accuracy, accuracy_drop(run.top.at(row).validation), objectives.coverage,
          objectives.energy};
}

}  // namespace triseg
