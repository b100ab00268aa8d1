#include "core/cores.hpp"

#include "tests/error_of.hpp"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

std::set<int> range(int first, int end) {
  std::set<int> cores;
  for (int core = first; core < end; ++core) cores.insert(core);
  return cores;
}

std::vector<int> threads(const std::vector<Cores>& processes) {
  std::vector<int> counts;
  for (std::size_t i = 0; i < processes.size(); ++i) counts.push_back(threads_of(processes, i));
  return counts;
}

TEST(Cores, RanksOfOneMaskDivideIt) {
  EXPECT_EQ(threads({{range(0, 8), {}}}), std::vector<int>({8}));
  EXPECT_EQ(threads(std::vector<Cores>(3, {range(4, 12), {}})), std::vector<int>({2, 2, 2}));
  EXPECT_EQ(threads(std::vector<Cores>(3, {range(0, 2), {}})), std::vector<int>({1, 1, 1}));
  EXPECT_EQ(threads(std::vector<Cores>(3, {range(0, 9), {}})), std::vector<int>({3, 3, 3}));
}

TEST(Cores, RanksBoundApartKeepTheirOwn) {
  EXPECT_EQ(threads({{range(0, 4), {}}, {range(4, 6), {}}}), std::vector<int>({4, 2}));
  EXPECT_EQ(threads({{range(0, 4), {}}, {range(2, 6), {}}}), std::vector<int>({3, 3}))
      << "two of their own, two shared";
  EXPECT_EQ(threads({{range(0, 8), {}}, {range(0, 1), {}}}), std::vector<int>({7, 1}));
}

TEST(Cores, AnUnknownMaskIsOneThread) { EXPECT_EQ(threads({{{}, {}}}), std::vector<int>({1})); }

TEST(Cores, TheQuotaBoundsThem) {
  EXPECT_EQ(threads({{range(0, 8), {2.0, "/job"}}}), std::vector<int>({2}));
  EXPECT_EQ(threads({{range(0, 8), {2.5, "/job"}}}), std::vector<int>({3})) << "rounded up";
  EXPECT_EQ(threads({{range(0, 8), {0.1, "/job"}}}), std::vector<int>({1}));
  EXPECT_EQ(threads({{range(0, 2), {64, "/job"}}}), std::vector<int>({2}));
  EXPECT_EQ(threads(std::vector<Cores>(2, {range(0, 8), {6, "/job"}})), std::vector<int>({3, 3})) << "they share it";
  EXPECT_EQ(threads({{range(0, 8), {3, "/a"}}, {range(8, 16), {5, "/b"}}}), std::vector<int>({3, 5}))
      << "each has its own";
}

TEST(Cores, TextsOfQuotas) {
  EXPECT_EQ(quota_of_cpu_max("150000 100000\n"), 1.5);
  EXPECT_EQ(quota_of_cfs("50000\n", "100000\n"), 0.5);
  for (const char* none : {"max 100000\n", "", "100000", "0 100000", "100000 0", "words"})
    EXPECT_TRUE(std::isinf(quota_of_cpu_max(none))) << none;
  EXPECT_TRUE(std::isinf(quota_of_cfs("-1\n", "100000\n")));
  EXPECT_TRUE(std::isinf(quota_of_cfs("", "")));
}

/// A folder in the place of "/".
class CpuQuotaIn : public ::testing::Test {
 protected:
  CpuQuotaIn() {
    std::string name = (fs::temp_directory_path() / "triseg-cores-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~CpuQuotaIn() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::string at(const std::string& path) const { return (root_ / path).string(); }

  fs::path root_;
};

TEST_F(CpuQuotaIn, NothingToReadIsNoLimit) { EXPECT_EQ(cpu_quota(root_), CpuQuota()); }

TEST_F(CpuQuotaIn, Version2TakesTheSmallestOfAGroupAndItsParents) {
  write("proc/self/cgroup", "0::/user/job/step\n");
  write("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n");
  write("sys/fs/cgroup/user/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/user/job/step/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(root_), (CpuQuota{8, at("sys/fs/cgroup/user")}));
  write("sys/fs/cgroup/user/job/cpu.max", "250000 100000\n");
  EXPECT_EQ(cpu_quota(root_), (CpuQuota{2.5, at("sys/fs/cgroup/user/job")}));
  write("sys/fs/cgroup/user/job/step/cpu.max", "100000 100000\n");
  EXPECT_EQ(cpu_quota(root_), (CpuQuota{1, at("sys/fs/cgroup/user/job/step")}));
}

TEST_F(CpuQuotaIn, Version1ReadsTheControllerCpu) {
  write("proc/self/cgroup", "4:memory:/job\n3:cpuset:/job\n2:cpu,cpuacct:/job/step\n");
  write("proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
        "32 23 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n");
  write("sys/fs/cgroup/cpuset/job/cpu.cfs_quota_us", "100000\n");
  write("sys/fs/cgroup/cpuset/job/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root_), CpuQuota());
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "350000\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root_), (CpuQuota{3.5, at("sys/fs/cgroup/cpu,cpuacct/job")}));
}

TEST_F(CpuQuotaIn, AContainerSeesItsOwnGroupAtTheMount) {
  write("proc/self/mountinfo", "31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  write("sys/fs/cgroup/inner/cpu.max", "200000 100000\n");
  for (const auto& [group, cores] :
       {std::pair("0::/docker/abc\n", 4), {"0::/docker/abc/inner\n", 2}, {"0::/../abc\n", 4}, {"0::/\n", 4}}) {
    write("proc/self/cgroup", group);
    EXPECT_EQ(cpu_quota(root_).cores, cores) << group;
  }
}

TEST(Cores, AffinityOfThisProcess) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(cores_of_this_process().allowed.size(), CPU_COUNT(&before));
  EXPECT_LE(available_cores(), CPU_COUNT(&before));
  int last = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &before)) last = core;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(cores_of_this_process().allowed, std::set<int>({last}));
  EXPECT_EQ(available_cores(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

/// Every thread needs an address space of its stack, so a limit of it is one of threads, for root, too.
TEST(EnsureThreads, SaysHowManyThereCanBe) {
  EXPECT_NO_THROW(ensure_threads(20));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0;
  file >> pages;
  rlimit few = before;
  few.rlim_cur = pages * std::size_t(sysconf(_SC_PAGESIZE)) + (std::size_t{64} << 20);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &few), 0);
  const std::string message = error_of([] { ensure_threads(500); });
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_THAT(message,
              ::testing::MatchesRegex("cannot start 500 threads, only [0-9]+: .*choose a smaller --threads.*"));
}

}  // namespace
}  // namespace triseg
