#include "runner/sweep/sweep_slurm.hpp"

#include "core/error.hpp"
#include "runner/command_line.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
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

}  // namespace

void check_slurm_option(const std::string& option) {
  const std::size_t equals = option.find('=');
  const std::string name = option.substr(0, equals);
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("-_.,:=/@%+*[]", c); };
  if (name.empty() || name.front() == '-' || !std::all_of(option.begin(), option.end(), plain))
    fail("--slurm-option: '{}': expected an option of sbatch without dashes in front, such as time=01:00:00", option);
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
  const std::size_t tasks = std::min(a.runs, largest);
  std::string options;
  for (const std::string& option : a.options) options += fmt::format("#SBATCH --{}\n", option);
  std::string arguments;
  for (const std::string& argument : a.arguments) arguments += " " + shell_word(argument);
  const std::string limit = a.concurrent > 0 ? fmt::format("%{}", a.concurrent) : "";
  return fmt::format(R"(#!/bin/bash
# Written by triseg sweep: a task of this array does every {tasks}th of {runs} runs, from its own number on. Before a
# time limit its run is committed and it goes back to the queue. `triseg sweep status` says how far they are.
#SBATCH --job-name=triseg-sweep
#SBATCH --array=0-{last}{limit}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/dev/null
#SBATCH --signal=USR2@300
{options}set -uo pipefail

cd {here} || exit 1
triseg={program}
file={file}
folder={folder}

mkdir -p "$folder/slurm"
exec >> "$folder/slurm/$SLURM_ARRAY_TASK_ID.log" 2>&1
export SRUN_CPUS_PER_TASK="${{SLURM_CPUS_PER_TASK:-1}}"
failed=0
for ((index = SLURM_ARRAY_TASK_ID; index < {runs}; index += {tasks})); do
  status=0
  srun --mpi=pmix --kill-on-bad-exit=1 "$triseg" sweep "$file" --out "$folder" --index "$index"{arguments} || status=$?
  if ((status == 85)); then
    if ((${{SLURM_RESTART_COUNT:-0}} >= ${{TRISEG_MAX_REQUEUES:-1000}})); then
      echo "sweep.sbatch: error: task $SLURM_ARRAY_TASK_ID ends after $SLURM_RESTART_COUNT requeues" >&2
      exit 85
    fi
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
    exit 85
  fi
  if ((status != 0)); then failed=1; fi
done
exit "$failed"
)",
                     fmt::arg("runs", a.runs), fmt::arg("tasks", tasks), fmt::arg("last", tasks - 1),
                     fmt::arg("limit", limit), fmt::arg("options", options),
                     fmt::arg("here", shell_word(fs::current_path().string())),
                     fmt::arg("program", shell_word((program_folder() / "triseg").string())),
                     fmt::arg("file", shell_word(fs::absolute(a.sweep_file).string())),
                     fmt::arg("folder", shell_word(fs::absolute(a.folder).string())), fmt::arg("arguments", arguments));
}

std::string submit(const std::filesystem::path& script) {
  const Output output = output_of(fmt::format("sbatch --parsable {} 2>&1", shell_word(script.string())));
  if (output.status != 0) fail("sbatch {}: {}", script.string(), output.text.substr(0, output.text.find('\n')));
  return output.text;
}

}  // namespace triseg
