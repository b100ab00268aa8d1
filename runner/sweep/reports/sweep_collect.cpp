#include "runner/sweep/reports/sweep_collect.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "core/hdf5/content_digest.hpp"
#include "core/hdf5/file_stamp.hpp"
#include "core/hdf5/hdf5.hpp"
#include "learner/files/run_file.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/sweep/reports/sweep_figures.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// A column as both files have it.
struct Column {
  std::string name, units, long_name;
  Values values;                   // (runs), for HDF5
  std::vector<std::string> cells;  // (runs), for CSV
};

template <class T>
Column numbers(const std::string& name, const std::string& units, const std::string& long_name,
               const std::vector<T>& values) {
  Column column{name, units, long_name, Values::array<T>(values, {values.size()}), {}};
  for (const T value : values) column.cells.push_back(value == value ? fmt::format("{}", value) : "");
  return column;
}

Column texts(const std::string& name, const std::string& long_name, std::vector<std::string> values) {
  return {name, "", long_name, Values::strings(values), std::move(values)};
}

template <class T>
std::vector<T> parsed(const std::string& option, const std::vector<std::string>& texts) {
  std::vector<T> values;
  for (const std::string& text : texts) {
    const auto number = number_in<T>(text);
    if (!number) fail("--{}: expected a number, found '{}'", option, text);
    values.push_back(*number);
  }
  return values;
}

/// The values of an option of a search, in the type that it is declared with.
Column option_column(const CLI::App& search, const std::string& name, std::vector<std::string> values) {
  const CLI::Option* option = search.get_option_no_throw("--" + name);
  if (!option) fail("--{} is no option of a search of this version", name);
  const std::string kind = option->get_type_name(), what = option->get_description();
  if (kind == "UINT") return numbers(name, "", what, parsed<std::uint64_t>(name, values));
  if (kind == "INT") return numbers(name, "", what, parsed<std::int32_t>(name, values));
  if (kind == "FLOAT") return numbers(name, "", what, parsed<double>(name, values));
  return texts(name, what, std::move(values));
}

/// Student images of the final scoring so far: of the candidates on validation, and of the report on the test split.
std::uint64_t final_images_of(const RunData& run) {
  std::uint64_t images =
      run.selected.test.images + run.selected.test_mse.images + run.selected.test_mse_repaired.images;
  for (const Finalist& finalist : run.finalists) images += finalist.score.images;
  for (const Candidate& candidate : run.top) images += candidate.validation.images;
  return images;
}

/// What the run has come to and cost, and its figures if it is finished.
struct Row {
  RunStatus status;
  Figures figures{none, none, none, none, none};
  std::uint64_t student_images = 0, final_images = 0;
  double seconds = 0, update_seconds = 0;
};

Row read_row(const SweepFolder& folder, const std::string& id) {
  Row row;
  row.status = run_status(folder, id);
  std::error_code ignored;
  const fs::path file = folder.files(id).run;
  if (!fs::exists(file, ignored)) return row;
  const RunData run = read_run(file);
  if (run.finished) row.figures = figures_of(run);
  row.student_images = run.student_images;
  row.final_images = final_images_of(run);
  for (const Update& update : run.updates) {
    row.seconds += update.iteration_seconds;
    row.update_seconds += update.update_seconds;
  }
  return row;
}

/// A damaged file hides no other run.
Row row_of(const SweepFolder& folder, const std::string& id) {
  try {
    return read_row(folder, id);
  } catch (const Error& error) {
    spdlog::warn("warning: {}", error.what());
    Row row;
    row.status.state = RunState::failed;
    return row;
  }
}

std::vector<Column> columns_of(const SweepTable& table, const std::vector<Row>& rows) {
  const auto each = [&](auto value) {
    std::vector<decltype(value(table.runs[0], rows[0]))> values;
    for (std::size_t i = 0; i < rows.size(); ++i) values.push_back(value(table.runs[i], rows[i]));
    return values;
  };
  std::vector<Column> columns;
  columns.push_back(texts("id", "the run: its folder in runs, its link in /files",
                          each([](const SweepRun& run, const Row&) { return run.id; })));
  columns.push_back(
      texts("state", "finished, running, stopped by [halving], stale, failed or waiting",
            each([](const SweepRun&, const Row& row) { return std::string(name_of(run_states, row.status.state)); })));
  CLI::App search;
  SearchOptions unused;
  declare_search(search, unused);
  for (std::size_t option = 0; option < table.varied.size(); ++option)
    columns.push_back(option_column(search, table.varied[option],
                                    each([&](const SweepRun& run, const Row&) { return run.varied[option]; })));
  const std::pair<const char*, std::pair<const char*, const char*>> of_figures[figures] = {
      {"validation_kd",
       {"nats", "T^2 KL(teacher || student) of the selected codes, mean over images, validation split"}},
      {"validation_accuracy", {"percent", "images that the selected student classifies right, validation split"}},
      {"validation_accuracy_drop", {"percent", "accuracy of the teacher less that of the student, validation split"}},
      {"coverage", {"1", "share of all activations behind a ReLU that a staircase replaces, not passed through"}},
      {"energy", {"pJ", "estimated energy of an inference (docs/cost-model.md)"}}};
  for (std::size_t f = 0; f < figures; ++f) {
    const auto& [name, label] = of_figures[f];
    columns.push_back(numbers(name, label.first, label.second,
                              each([&](const SweepRun&, const Row& row) { return row.figures[f]; })));
  }
  columns.push_back(numbers("episodes_scored", "1", "episodes scored so far",
                            each([](const SweepRun&, const Row& row) { return row.status.episodes; })));
  columns.push_back(numbers("student_images", "1",
                            "images that students were run on in the search so far, starts, references, evaluations "
                            "and repairs included",
                            each([](const SweepRun&, const Row& row) { return row.student_images; })));
  columns.push_back(numbers("final_images", "1",
                            "images that students were run on in the final scoring so far, the report on the test "
                            "split included",
                            each([](const SweepRun&, const Row& row) { return row.final_images; })));
  columns.push_back(numbers("seconds", "s", "wall clock of all iterations so far, without the final scoring",
                            each([](const SweepRun&, const Row& row) { return row.seconds; })));
  columns.push_back(numbers("update_seconds", "s", "wall clock of the updates in them",
                            each([](const SweepRun&, const Row& row) { return row.update_seconds; })));
  return columns;
}

std::vector<std::byte> hdf5_of(const SweepFolder& folder, const SweepTable& table, const std::vector<Column>& columns) {
  hdf5::File file = hdf5::File::create();
  ContentDigest digest;
  std::vector<std::string> names;
  for (const Column& column : columns) {
    const std::string path = "/runs/" + column.name;
    names.push_back(column.name);
    digest.add(path, column.values);
    file.write_dataset(path, column.values);
    file.write_attribute(path, "long_name", Values::string(column.long_name));
    if (!column.units.empty()) file.write_attribute(path, "units", Values::string(column.units));
  }
  file.write_attribute("/runs", "columns", Values::string(fmt::format("{}", fmt::join(names, ","))));
  file.write_attribute("/runs", "varied", Values::string(fmt::format("{}", fmt::join(table.varied, ","))));
  file.create_group("/files");
  std::error_code ignored;
  for (const SweepRun& run : table.runs) {
    const fs::path path = folder.files(run.id).run;
    if (fs::exists(path, ignored))
      file.write_external_link("/files/" + run.id, path.lexically_relative(folder.path).string());
  }
  file.write_attribute("/", "format", Values::string(sweep_format));
  file.write_attribute("/", "schema_version", Values::scalar<std::int32_t>(sweep_schema_version));
  file.write_attribute("/", "creator", Values::string(creator_name));
  file.write_attribute("/", "creator_version", Values::string(creator_version()));
  file.write_attribute("/", "file_time", Values::string(file_time()));
  file.write_attribute("/", content_digest_attribute, Values::string(digest.hex()));
  return file.close();
}

std::string csv_of(const std::vector<Column>& columns, std::size_t rows) {
  std::string text;
  const auto add_line = [&](auto cell_of) {
    for (const Column& column : columns) text += (&column == columns.data() ? "" : ",") + csv_cell(cell_of(column));
    text += "\n";
  };
  add_line([](const Column& column) { return column.name; });
  for (std::size_t row = 0; row < rows; ++row) add_line([&](const Column& column) { return column.cells[row]; });
  return text;
}

}  // namespace

Collected collect(const SweepFolder& folder) {
  const SweepTable table = read_table(folder);
  std::vector<Row> rows;
  std::vector<RunState> states;
  for (const SweepRun& run : table.runs) {
    rows.push_back(row_of(folder, run.id));
    states.push_back(rows.back().status.state);
  }
  std::vector<Column> columns;
  try {
    columns = columns_of(table, rows);
  } catch (const Error& error) {
    fail("{}: {}", folder.table().string(), error.what());
  }
  const Collected files{folder.path / "sweep.h5", folder.path / "sweep.csv", counts_of(states)};
  commit_file(files.hdf5, hdf5_of(folder, table, columns));
  commit_file(files.csv, csv_of(columns, rows.size()));
  return files;
}

}  // namespace triseg
