// triseg doctor: would this search start here, and with what? Takes the options of a search.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "core/hdf5/hdf5.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/inputs.hpp"
#include "runner/ranks/build_identity.hpp"
#include "runner/ranks/launcher.hpp"
#include "runner/ranks/mpi_session.hpp"
#include "runner/ranks/nccl_transport.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/run_start.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

namespace triseg {
namespace {

namespace fs = std::filesystem;

/// Prints the checks of rank 0's report and remembers whether one failed.
class Report {
 public:
  explicit Report(bool prints) : prints_(prints) {}
  void ok(std::string_view what, std::string_view text) const { line("ok", what, text); }
  void warning(std::string_view what, std::string_view text) const { line("warning", what, text); }
  void problem(std::string_view what, std::string_view text) {
    line("problem", what, text);
    failed_ = true;
  }
  bool failed() const { return failed_; }

 private:
  void line(std::string_view verdict, std::string_view what, std::string_view text) const {
    if (prints_) fmt::print("{:<8} {:<10} {}\n", verdict, what, text);
  }
  bool prints_, failed_ = false;
};

void print_versions() {
  const CudaVersions cuda = cuda_versions();
  const NcclVersions nccl = nccl_versions();
  fmt::print("triseg {}; {}, HDF5 {}, {}\n", build_identity(), TRISEG_TRAINER, hdf5::version(), mpi_version());
  const std::string driver = cuda.driver.empty() ? "no driver" : "driver for " + cuda.driver;
  fmt::print("CUDA: {}; NCCL: {}\n",
             cuda.compiled.empty() ? "not in this build" : fmt::format("compiled with {}, {}", cuda.compiled, driver),
             nccl.compiled.empty() ? "not in this build"
                                   : fmt::format("compiled with {}, loaded {}", nccl.compiled, nccl.loaded));
}

/// Different files of one library that are mapped into this process.
std::set<std::string> loaded_libraries(std::string_view name) {
  std::set<std::string> paths;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto path = line.find('/');
    if (path != std::string::npos && fs::path(line.substr(path)).filename().string().starts_with(name))
      paths.insert(line.substr(path));
  }
  return paths;
}

/// One row a rank; gpu and uuid are empty without a GPU.
struct RankRow {
  std::string host, gpu, uuid;
};

std::string host_name() {
  utsname machine{};
  return ::uname(&machine) == 0 ? machine.nodename : "?";
}

std::vector<RankRow> gather_rows(Transport& transport) {
  RankRow mine{host_name(), {}, {}};
  if (const auto gpus = devices(); !gpus.empty()) {
    const int number = device_of(transport.local_rank());
    mine.gpu = fmt::format("GPU {}: {}, sm_{}", number, gpus[number].name, gpus[number].capability);
    mine.uuid = gpus[number].uuid;
  }
  const auto hosts = gather_texts(transport, mine.host), gpus = gather_texts(transport, mine.gpu),
             uuids = gather_texts(transport, mine.uuid);
  std::vector<RankRow> rows;
  for (std::size_t r = 0; r < hosts.size(); ++r) rows.push_back({hosts[r], gpus[r], uuids[r]});
  return rows;
}

void check_gpus(const std::vector<RankRow>& rows, bool in_use, Report& report) {
  if (!in_use) {
    if (const std::string problem = device_problem(); !problem.empty())
      return report.warning("GPUs", fmt::format("none can be used: {}", problem));
    return report.ok("GPUs", "not used by this engine");
  }
  std::map<std::string, std::size_t> ranks;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].uuid.empty()) return report.problem("GPUs", fmt::format("rank {} has none", r));
    const auto [other, is_new] = ranks.emplace(rows[r].uuid, r);
    if (!is_new)
      return report.warning(
          "GPUs", fmt::format("ranks {} and {} share one: start one rank per GPU for speed", other->second, r));
  }
  report.ok("GPUs", "one per rank");
}

/// Why --engine auto stands for an engine on this rank.
std::string why_auto(const EngineChoice& engine) {
  if (!engine.passed_over.empty()) return fmt::format("{}", fmt::join(engine.passed_over, "; "));
  if (engine.kind == EngineKind::cuda) return "a GPU is there";
  if (name_of(engine_names(), EngineKind::cuda).empty()) return "this build has no cuda engine";
  if (!devices().empty()) return "no GPU here runs this build's cuda engine";
  if (const std::string problem = device_problem(); !problem.empty()) return "no CUDA device found: " + problem;
  return cuda_versions().driver.empty() ? "no CUDA device found, and no driver" : "no CUDA device found";
}

/// Loads what a search would and tries the engine, whose errors begin with "engine NAME: ".
void check_inputs(Transport& transport, const DescribeOptions& describe, SearchOptions& o, Inputs& inputs, RunData& run,
                  Report& report) {
  inputs.engine.kind = resolve_engine(o.engine.engine);
  const auto named = [&](const EngineChoice& engine) {
    return fmt::format("{}{}", name_of(engine_names(), engine.kind),
                       o.engine.engine == EngineKind::automatic ? fmt::format(" (auto: {})", why_auto(engine)) : "");
  };
  try {
    InputsCache cache;
    inputs = load_agreed_inputs(transport, o, describe, run, cache);
  } catch (const SharedError& error) {
    constexpr std::string_view of_engine = "engine ";
    const std::string_view message = error.what();
    if (message.starts_with(of_engine)) return report.problem("engine", message.substr(of_engine.size()));
    report.problem("inputs", message);
    return report.warning("engine", fmt::format("{}: not tried", named(inputs.engine)));
  }
  report.ok("inputs", fmt::format("{} on {} with {}: loaded and fitting, the same on all ranks", run.network.name,
                                  o.problem.data, run.backend));
  report.ok("engine", fmt::format("{}: {}, {} a rank{}", named(inputs.engine), inputs.scorer->engine_description(),
                                  counted(inputs.threads, "thread"),
                                  inputs.engine.kind == EngineKind::reference ? "" : "; self-test passed"));
}

/// Runs a check that ranks make together; its error becomes a problem.
void check(Transport& transport, Report& report, std::string_view what, std::string_view good,
           const std::function<void()>& work) {
  try {
    agree(transport, work);
    report.ok(what, good);
  } catch (const SharedError& error) {
    report.problem(what, error.what());
  }
}

int examine(Transport& transport, const DescribeOptions& describe, SearchOptions& o, Report& report) {
  const auto rows = gather_rows(transport);
  for (std::size_t r = 0; r < rows.size(); ++r)
    fmt::print("rank {}: host {}, {}\n", r, rows[r].host, rows[r].gpu.empty() ? "no GPU" : rows[r].gpu);

  report.ok("transport", std::string(transport.name()));
  report.ok("ranks", launched_tasks() == 0 ? std::string("one, started without a launcher")
                     : transport.size() == 1 && launched_tasks() > 1
                         ? fmt::format("one for itself, of {} started", launched_tasks())
                         : fmt::format("{} started, {} joined", launched_tasks(), transport.size()));
  const auto libraries = loaded_libraries("libnccl.so");
  if (!nccl_in_this_build()) report.ok("NCCL", "not in this build");
  else if (libraries.size() > 1)
    report.problem("NCCL", fmt::format("{} libraries in one process: {}: build with the one that LibTorch brings",
                                       libraries.size(), fmt::join(libraries, ", ")));
  else report.ok("NCCL", libraries.empty() ? "one library" : "one library, " + *libraries.begin());

  Inputs inputs;
  RunData run;
  check_inputs(transport, describe, o, inputs, run, report);
  if (transport.rank() == 0) check_gpus(rows, inputs.engine.kind == EngineKind::cuda, report);
  check(transport, report, "output",
        fmt::format("{}: writes, syncs and renames files; the place is free or this run's", o.output.out), [&] {
          if (transport.rank() != 0) return;
          const RunFiles files = run_files(o.output);
          ensure_writable_folder(files.folder);
          const fs::path probe = files.folder / fmt::format(".doctor-{}", ::getpid());
          commit_file(probe, std::string_view("first"));
          commit_file(probe, std::string_view("second"));
          fs::remove(probe);
          if (inputs.scorer) take_place(run, o, inputs, transport);
        });
  if (transport.rank() == 0)
    fmt::print("{}\n", report.failed() ? "A search would not start." : "A search would start.");
  return report.failed() ? 1 : 0;
}

int run_doctor(CLI::App& app, SearchOptions& o) {
  const auto problem = failure_of([&] {
    const auto given = given_options(app);
    apply_config_file(app);
    check_options(o, given);
  });
  std::shared_ptr<Transport> transport;
  try {
    transport = make_transport(o.ranks.transport, o.ranks.rank_timeout, problem);
  } catch (const Error& error) {
    if (problem) throw;
    Report report(speaks_for_all());
    if (speaks_for_all()) print_versions();
    report.problem("ranks", error.what());
    if (speaks_for_all()) fmt::print("A search would not start.\n");
    return 1;
  }
  Report report(transport->rank() == 0);
  if (transport->rank() == 0) print_versions();
  const DescribeOptions describe = [&](const SearchOptions& completed) { return option_texts(app, completed); };
  return together(*transport, [&] { return examine(*transport, describe, o, report); });
}

}  // namespace

void setup_doctor(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* app =
      program.add_subcommand("doctor", "Say what a search with these options would run on, and whether it would start");
  declare_search(*app, *options);
  arrange_search_help(*app);
  add_exit_codes(*app, {{0, "a search would start"}, {1, "it would not"}});
  app->callback([=, &exit_code] { exit_code = run_doctor(*app, *options); });
}

}  // namespace triseg
