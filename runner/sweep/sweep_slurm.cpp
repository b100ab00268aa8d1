#include "runner/sweep/sweep_slurm.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "runner/options/command_line.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <sstream>
#include <sys/wait.h>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct Output {
  std::string text;
  int status = 0;
};

/// What a command of a shell prints on both streams.
Output output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) fail("cannot start {}: {}", command, std::strerror(errno));
  Output output;
  std::array<char, 4096> piece{};
  for (std::size_t n = 0; (n = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;)
    output.text.append(piece.data(), n);
  const int status = ::pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  while (!output.text.empty() && output.text.back() == '\n') output.text.pop_back();
  return output;
}

/// slurm/through_limits.sh.
constexpr const char* through_limits =
#include "through_limits.inc"
    ;

/// A path as the beginning of a value of `#SBATCH --output`, in double quotes of which the last is still missing.
std::string output_path(const std::string& path) {
  if (path.find_first_of("\\\n") != std::string::npos)
    fail("{}: Slurm writes no logs into a folder whose name has a backslash or the end of a line", path);
  std::string text = "\"";
  for (const char c : path) text += c == '"' ? "\\\"" : c == '%' ? "%%" : std::string(1, c);
  return text;
}

std::string name_in(const std::string& option) { return option.substr(0, option.find('=')); }

/// Options that most sites want, and the array does not have, as comments.
std::string hints_beside(const std::vector<std::string>& options) {
  std::string lines;
  for (const char* hint : {"partition=NAME", "account=NAME", "time=04:00:00", "cpus-per-task=4", "mem-per-cpu=2G"})
    if (std::none_of(options.begin(), options.end(),
                     [&](const std::string& option) { return name_in(option) == name_in(hint); }))
      lines += fmt::format("##SBATCH --{}\n", hint);
  return lines;
}

std::string option_lines(const SlurmArray& a) {
  bool counted_by_options = false;
  for (const std::string& option : a.options) {
    const std::string name = name_in(option);
    if (name == "ntasks" && a.ranks > 1)
      fail("--ranks-per-run {}: --slurm-option {} says how many ranks there are: give one of them", a.ranks, option);
    counted_by_options = counted_by_options || name.starts_with("ntasks") || name == "nodes";
  }
  std::string lines;
  if (a.ranks > 1 || !counted_by_options) lines += fmt::format("#SBATCH --ntasks={}\n", a.ranks);
  for (const std::string& option : a.options) lines += fmt::format("#SBATCH --{}\n", option);
  return lines;
}

}  // namespace

void check_slurm_option(const std::string& option) {
  const std::string name = name_in(option);
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("-_.,:=/@%+*[]", c); };
  if (name.empty() || name.front() == '-' || !std::all_of(option.begin(), option.end(), plain))
    fail(
        "--slurm-option: '{}': expected an option of sbatch without dashes in front, such as time=01:00:00 or "
        "exclusive",
        option);
  for (const char* own : {"array", "output", "error", "open-mode", "requeue", "no-requeue", "wrap"})
    if (name == own) fail("--slurm-option: '{}': the sweep's script says that itself", option);
}

std::size_t largest_array() {
  constexpr std::size_t slurms_default = 1001;
  const std::string text = output_of("scontrol show config 2> /dev/null").text, key = "MaxArraySize";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return slurms_default;
  const std::size_t digits = text.find_first_of("0123456789", at);
  std::size_t number = 0;
  for (std::size_t i = digits; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])); ++i)
    number = 10 * number + std::size_t(text[i] - '0');
  return std::max<std::size_t>(number, 1);
}

std::string batch_script(const SlurmArray& a, std::size_t largest) {
  const std::size_t tasks = std::min({a.runs, largest, a.tasks > 0 ? a.tasks : a.runs});
  const std::string folder = fs::absolute(a.folder).string();
  std::string words;
  for (const std::string& word :
       {std::string("sweep"), fs::absolute(a.sweep_file).string(), std::string("--out"), folder})
    words += " " + shell_word(word);
  words += fmt::format(" --index \"$SLURM_ARRAY_TASK_ID\" --index-step {}", tasks);
  for (const std::string& argument : a.arguments) words += " " + shell_word(argument);
  const std::string what = tasks == a.runs
                               ? fmt::format("an array of {}, a run each", counted(tasks, "task"))
                               : fmt::format("an array of {} for {}: task I does runs I, I + {}, I + {}, ...",
                                             counted(tasks, "task"), counted(a.runs, "run"), tasks, 2 * tasks);
  const std::string limit = a.concurrent > 0 ? fmt::format("%{}", a.concurrent) : "";
  return fmt::format(R"(#!/bin/bash
# Written by triseg sweep: {what}, through as many time limits as it takes.
# `triseg sweep status` says how far they are. The program, the folder that it is started in, the sweep file, its
# folder, data and teachers must be on file systems that all nodes share.
#
# What a site may want: write it anew with --slurm-option NAME=VALUE, or give it to sbatch.
{hints}#SBATCH --job-name=triseg-sweep
#SBATCH --array=0-{last}{limit}
#SBATCH --output={log}
#SBATCH --open-mode=append
#SBATCH --requeue
{options}set -euo pipefail

# Where MPI and HDF5 come as modules, load here those that triseg was built with, unless they are loaded when this is
# submitted:
#   module load gcc openmpi hdf5
cd {here}
triseg=({program})

{through_limits}
through_limits{words}
)",
                     fmt::arg("what", what), fmt::arg("hints", hints_beside(a.options)), fmt::arg("last", tasks - 1),
                     fmt::arg("limit", limit), fmt::arg("log", output_path(folder + "/slurm/") + "%a.log\""),
                     fmt::arg("options", option_lines(a)), fmt::arg("here", shell_word(fs::current_path().string())),
                     fmt::arg("program", shell_word((program_folder() / "triseg").string())),
                     fmt::arg("through_limits", through_limits), fmt::arg("words", words));
}

std::string submit(const std::filesystem::path& script, const std::string& after) {
  const std::string dependency = after.empty() ? "" : shell_word("--dependency=afterany:" + after) + " ";
  const Output output = output_of(fmt::format("sbatch --parsable {}{} 2>&1", dependency, shell_word(script.string())));
  if (output.status != 0) fail("sbatch {}: {}", script.string(), output.text.substr(0, output.text.find('\n')));
  // Among warnings a line JOB or JOB;CLUSTER.
  std::istringstream lines(output.text);
  for (std::string line; std::getline(lines, line);)
    if (const std::string job = line.substr(0, line.find(';'));
        !job.empty() && job.find_first_not_of("0123456789") == std::string::npos)
      return job;
  fail("sbatch {}: expected the number of a job, found {}", script.string(), excerpt(output.text));
}

}  // namespace triseg
