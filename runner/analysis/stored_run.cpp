#include "runner/analysis/stored_run.hpp"

#include "core/error.hpp"
#include "learner/files/run_file.hpp"
#include "learner/image_order.hpp"
#include "learner/judging/repair.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/search.hpp"
#include "runner/ranks/transport.hpp"
#include "core/toml_file.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>

namespace triseg {
namespace {

DataSet load_data(const StoredRunOptions& o, const RunData& run) {
  const std::string source = o.data.empty() ? run.data : o.data;
  DataSet data = load_data_set(source);
  if (data.sha256 != run.data_sha256)
    fail("{} was made with other images (sha256 {:.12}...) than {} holds (sha256 {:.12}...): give theirs with --data",
         o.run, run.data_sha256, source, data.sha256);
  return data;
}

QuantizedNetwork load_model(const StoredRunOptions& o, const RunData& run, const DataSet& data) {
  const std::string named = o.teacher.empty() ? option_of(run, "teacher") : o.teacher;
  ModelFile teacher = load_teacher(named, run.network.name, parse_scheme(run.backend), data);
  if (teacher.sha256 != run.model_sha256)
    fail(
        "{} was made with another teacher (sha256 {:.12}...) than {} (sha256 {:.12}...): give its model file with "
        "--teacher",
        o.run, run.model_sha256, teacher.path.string(), teacher.sha256);
  return std::move(teacher.network);
}

/// All candidates of a request under one repair; an empty one is none.
void repair_all(ScoreRequest& request, const Repair& repair) {
  if (repair.empty()) return;
  request.repairs = {repair};
  request.repair_of.assign(request.candidates.size(), 0);
}

std::string sites_of(const RunData& run) {
  std::vector<std::string> names;
  for (const SiteData& site : run.sites) names.push_back(site.name);
  return fmt::format("{}", fmt::join(names, ","));
}

}  // namespace

std::string option_of(const RunData& run, std::string_view name) {
  for (const TomlEntry& entry : parse_toml(run.config, "/@config", "key = value"))
    if (entry.key == name) return entry.joined();
  return {};
}

void declare_stored_run(CLI::App& app, StoredRunOptions& o) {
  o.command = app.get_name();
  app.add_option("run", o.run, "Run file (NAME.h5)")->check(path_text("a run file"));
  app.add_option("--data", o.data, "Data set (default: the run's; needed where its folder has moved)")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"));
  app.add_option("--teacher", o.teacher, "Model file of the teacher (default: the run's)")
      ->check(path_text("a model file"));
  declare_engine(app, o.engine);
}

RunData read_stored_run(const StoredRunOptions& o) {
  if (o.run.empty())
    throw CLI::ParseError(o.command + ": expected run, the name of a run file (NAME.h5)",
                          CLI::ExitCodes::RequiredError);
  if (std::filesystem::path(o.run).extension() != ".h5")
    fail("{}: expected a run file (NAME.h5), the one beside the result file", o.run);
  return read_run(o.run);
}

std::unique_ptr<StoredRun> load_stored_run(const StoredRunOptions& o) {
  auto stored = std::make_unique<StoredRun>();
  stored->run = read_stored_run(o);
  const RunData& run = stored->run;
  if (run.sites.empty()) fail("{}: it has no sites yet: its search has not begun", o.run);
  stored->data = load_data(o, run);
  const std::string attention =
      run.attention_layers.empty() ? "none" : fmt::format("{}", fmt::join(run.attention_layers, ","));
  stored->problem = make_problem(load_model(o, run, stored->data), sites_of(run), attention);
  if (auto repair = stored_repair(run.checkpoint, stored->problem)) stored->repair = std::move(*repair);
  if (!run.episodes.empty()) stored->batch_size = static_cast<std::uint32_t>(run.episodes.front().score.images);
  if (stored->batch_size > stored->data.split_size(Split::search))
    fail("{}: its iterations have {} images, the search split {}", o.run, stored->batch_size,
         stored->data.split_size(Split::search));
  stored->scorer =
      std::make_unique<Scorer>(stored->problem, stored->data, engine_factory(o.engine.engine, stored->problem),
                               scoring_threads(o.engine.threads, *make_local_transport()), run.temperature);
  return stored;
}

std::vector<Score> score_iteration(const StoredRun& stored, std::uint64_t iteration,
                                   std::vector<std::vector<Codes>> codes) {
  ImageOrder order(stored.data.split_size(Split::search), stored.batch_size, stored.run.seed);
  ScoreRequest request{Split::search, stored.batch_size, order.images(iteration), std::move(codes), {}, {}, {}};
  repair_all(request, stored.repair);
  return stored.scorer->score(request, 0, request.items());
}

std::vector<Score> score_on_validation(const StoredRun& stored, std::vector<std::vector<Codes>> codes) {
  const std::size_t students = codes.size();
  ScoreRequest request = image_range(Split::validation, split_batch, 0,
                                     std::min(evaluation_images, stored.data.split_size(Split::validation)), {});
  request.candidates = std::move(codes);
  repair_all(request, stored.repair);
  return totals_of(stored.scorer->score(request, 0, request.items()), students);
}

std::vector<IterationRows> iterations_of(const RunData& run) {
  std::vector<IterationRows> rows;
  for (std::size_t e = 0; e < run.episodes.size(); ++e) {
    if (rows.empty() || rows.back().iteration != run.episodes[e].iteration)
      rows.push_back({run.episodes[e].iteration, e, 0});
    ++rows.back().count;
  }
  return rows;
}

std::vector<Histogram> calibration_histograms(const StoredRun& stored) {
  const auto number = [&](std::string_view option) {
    const std::string text = option_of(stored.run, option);
    const auto found = number_in<std::uint32_t>(text);
    if (!found || *found == 0) fail("/@config: {}: expected a whole number, found '{}'", option, text);
    return *found;
  };
  const std::uint32_t batch = number("batch-size"), batches = number("calib-batches");
  ScoreRequest request = image_range(Split::search, batch, 0, std::size_t{batches} * batch, {});
  request.candidates = {{}};
  return stored.scorer->histograms(request, 0, request.batches());
}

std::vector<Codes> reference_codes(const RunData& run) {
  std::vector<Codes> codes;
  for (const SiteData& site : run.sites) codes.push_back(site.start);
  return codes;
}

}  // namespace triseg
