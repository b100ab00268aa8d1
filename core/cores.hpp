// The cores that threads may keep busy: those a process is bound to, within the CPU time that its control groups allow.
#pragma once

#include <filesystem>
#include <limits>
#include <set>
#include <span>
#include <string>

namespace triseg {

/// CPU time a second [cores] that a control group leaves its processes, such as a container's or a batch job's.
struct CpuQuota {
  double cores = std::numeric_limits<double>::infinity();
  std::string
      group;  ///< folder of the control group that sets it: processes with the same one share it; empty: no limit

  bool operator==(const CpuQuota&) const = default;
};

/// The quota in the text of cpu.max (version 2), "MICROSECONDS PERIOD" or "max PERIOD"; infinity without a limit.
double quota_of_cpu_max(const std::string& text);
/// The same of cpu.cfs_quota_us and cpu.cfs_period_us (version 1), where -1 stands for no limit.
double quota_of_cfs(const std::string& quota, const std::string& period);

/// The smallest quota of this process's control groups and their parents, as `root`/proc/self and the mounted control
/// groups tell it; whatever cannot be read sets no limit. Tests put a folder in the place of "/".
CpuQuota cpu_quota(const std::filesystem::path& root = "/");

/// What one process may use.
struct Cores {
  std::set<int> allowed;  ///< numbers of the cores it is bound to (its affinity mask)
  CpuQuota quota;
};

/// Cores and quota of this process.
Cores cores_of_this_process();

/// Threads for processes[which] of those on one host: its part of the cores, where a core that several may use is
/// divided among them, and of the quota, which is rounded up after division among those in its control group. At
/// least 1.
int threads_of(std::span<const Cores> processes, std::size_t which);

/// Starts so many threads at once and ends them: called before a library does so that would wait for ever for those
/// that a limit (ulimit -u, ulimit -v) forbids. Throws Error that says how many could be started.
void ensure_threads(int count);

/// Threads for this process if no other shares its cores: what --threads 0 stands for in a command of one process.
int available_cores();

}  // namespace triseg
