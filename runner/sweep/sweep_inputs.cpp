#include "runner/sweep/sweep_inputs.hpp"

#include "core/error.hpp"
#include "runner/options/energy_file.hpp"

#include <map>
#include <string>
#include <vector>

namespace triseg {
namespace {

void look_at(SweepRun& run, InputsCache& cache, bool warn) {
  SearchOptions& o = run.search;
  const ProblemOptions asked = o.problem;
  const Inputs inputs = cache.load_problem(asked, o.iteration, o.repair, warn);
  read_energy_table(o.objective.energy_table);
  complete_options(o, *inputs.problem);
  o.problem = asked;  // what it is loaded by
  const bool start_is_repaired =
      !o.start.empty() && !read_start(o.start, *inputs.problem, inputs.model_sha256).repair.empty();
  const bool repaired = o.repair.mode != RepairMode::none || start_is_repaired;
  const std::uint64_t reports = repaired ? 3 : 2;  // students on the test split
  run.most_final_images =
      most_finalists(o) * inputs.data->split_size(Split::validation) + reports * inputs.data->split_size(Split::test);
  run.model_sha256 = inputs.model_sha256;
  run.data_sha256 = inputs.data->sha256;
}

}  // namespace

void look_at_inputs(SweepTable& table, std::span<const std::size_t> runs, InputsCache& cache, bool warn) {
  std::map<std::string, std::vector<std::size_t>> alike;  // by what they load
  for (const std::size_t i : runs) {
    const ProblemOptions& o = table.runs[i].search.problem;
    alike[fmt::format("{}\n{}\n{}\n{}\n{}\n{}", o.data, o.teacher, o.model, o.backend ? scheme_name(*o.backend) : "",
                      o.sites, o.attention_layers)]
        .push_back(i);
  }
  for (const auto& [key, group] : alike)
    for (const std::size_t i : group) {
      try {
        look_at(table.runs[i], cache, warn);
      } catch (const Error& error) {
        fail("{}: {}", place_of(table, table.runs[i]), error.what());
      }
    }
}

}  // namespace triseg
