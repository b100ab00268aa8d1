#include "core/cores.hpp"

#include "core/error.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <latch>
#include <map>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr double no_limit = std::numeric_limits<double>::infinity();

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool has_word(const std::string& list, const std::string& word) {
  const auto words = split(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Where a hierarchy of control groups is mounted, and which of its groups is seen there.
struct Mount {
  fs::path group, place;
};

/// Mounts that limit CPU time: key 2 for the unified hierarchy, 1 for that of version 1's controller cpu.
std::map<int, std::vector<Mount>> cpu_mounts(const fs::path& root) {
  std::map<int, std::vector<Mount>> mounts;
  std::istringstream lines(text_of(root / "proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");  // then type, source, options
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const int version = dash[1] == "cgroup2" ? 2 : dash[1] == "cgroup" && has_word(dash[3], "cpu") ? 1 : 0;
    if (version > 0) mounts[version].push_back({words[3], words[4]});
  }
  return mounts;
}

double quota_in(const fs::path& folder, int version) {
  return version == 2 ? quota_of_cpu_max(text_of(folder / "cpu.max"))
                      : quota_of_cfs(text_of(folder / "cpu.cfs_quota_us"), text_of(folder / "cpu.cfs_period_us"));
}

}  // namespace

double quota_of_cpu_max(const std::string& text) {
  std::istringstream stream(text);
  double time = 0, period = 0;
  return stream >> time >> period && time > 0 && period > 0 ? time / period : no_limit;
}

double quota_of_cfs(const std::string& quota, const std::string& period) {
  return quota_of_cpu_max(quota + " " + period);
}

CpuQuota cpu_quota(const fs::path& root) {
  CpuQuota smallest;
  const auto mounts = cpu_mounts(root);
  std::istringstream lines(text_of(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "NUMBER:CONTROLLERS:GROUP", without controllers for version 2
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const int version = controllers.empty() ? 2 : has_word(controllers, "cpu") ? 1 : 0;
    const auto found = mounts.find(version);
    if (found == mounts.end()) continue;
    for (const Mount& mount : found->second) {
      // A container may see its own group at the place of the mount, under a name from outside.
      fs::path below = fs::path(line.substr(second + 1)).lexically_relative(mount.group);
      if (below.empty() || *below.begin() == "..") below = ".";
      fs::path folder = (root / mount.place.relative_path() / below).lexically_normal();
      const fs::path top = (root / mount.place.relative_path()).lexically_normal();
      for (;; folder = folder.parent_path()) {
        if (const double cores = quota_in(folder, version); cores < smallest.cores) smallest = {cores, folder.string()};
        if (folder == top || folder == folder.parent_path()) break;
      }
    }
  }
  return smallest;
}

Cores cores_of_this_process() {
  Cores cores{{}, cpu_quota()};
  // A mask for more cores than the machine has; sched_getaffinity takes no smaller one.
  std::array<cpu_set_t, 16> masks{};
  if (sched_getaffinity(0, sizeof masks, masks.data()) == 0)
    for (int core = 0; core < int(masks.size()) * CPU_SETSIZE; ++core)
      if (CPU_ISSET_S(core, sizeof masks, masks.data())) cores.allowed.insert(core);
  return cores;
}

int threads_of(std::span<const Cores> processes, std::size_t which) {
  const Cores& mine = processes[which];
  std::map<int, int> cores_by_users;  // cores of mine, by how many processes may use them
  for (const int core : mine.allowed)
    ++cores_by_users[int(std::ranges::count_if(processes, [&](const Cores& c) { return c.allowed.contains(core); }))];
  double share = 0;
  for (const auto& [users, cores] : cores_by_users) share += double(cores) / users;
  const auto in_my_group =
      std::ranges::count_if(processes, [&](const Cores& c) { return c.quota.group == mine.quota.group; });
  const double allowed = std::min(std::floor(share + 1e-9), std::ceil(mine.quota.cores / double(in_my_group)));
  return std::max(1, static_cast<int>(allowed));
}

void ensure_threads(int count) {
  std::latch all_there(1);
  std::vector<std::jthread> threads;
  std::string obstacle;
  try {
    threads.reserve(std::size_t(count));
    while (int(threads.size()) < count) threads.emplace_back([&] { all_there.wait(); });
  } catch (const std::system_error& error) {
    obstacle = error.code().message();
  }
  all_there.count_down();
  if (!obstacle.empty())
    fail("cannot start {} threads, only {}: {}; choose a smaller --threads, or raise the limits (ulimit -u, ulimit -v)",
         count, threads.size(), obstacle);
}

int available_cores() {
  const Cores mine = cores_of_this_process();
  return threads_of(std::span(&mine, 1), 0);
}

}  // namespace triseg
