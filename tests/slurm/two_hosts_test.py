"""slurm/search.sbatch on a real Slurm of two hosts, or, where there cannot be two, on one."""
import json
import os
import re
import signal

import h5py

from cluster import ADDRESSES, EPISODES, SEARCH, SlurmTest, wait_for
from program import PROGRAM, episodes_in, quick, run, run_file, send, sweep_base


def peers(pid):
    """The addresses that a process has TCP connections (IPv4) to."""
    sockets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    with open(f"/proc/{pid}/net/tcp") as file:
        rows = [line.split() for line in list(file)[1:]]
    remote = [bytes.fromhex(row[2].split(":")[0]) for row in rows if f"socket:[{row[9]}]" in sockets]
    return {".".join(map(str, reversed(address))) for address in remote}


class HostsTest(SlurmTest):
    HOSTS = 2

    def setUp(self):
        super().setUp()
        self.names = [host.name for host in self.cluster.hosts]
        # Two ranks, on a host each.
        self.spread = [f"--nodes={len(self.names)}", "--ntasks=2", f"--ntasks-per-node={2 // len(self.names)}"]

    def node(self, name, state):
        self.cluster.run("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")

    def assert_hosts(self, ranks, *names):
        self.assertEqual([host for _, host in ranks], list(names))


class TwoHosts(HostsTest):
    def test_ranks_on_two_hosts_write_the_bytes_of_one(self):
        job = self.submit("spread", *self.spread)
        ranks = self.hold("spread", job)
        self.assert_hosts(ranks, self.names[0], self.names[-1])
        if len(self.names) == 2:
            self.assertIn(ADDRESSES["two"], peers(ranks[0][0]), "the ranks are joined by TCP")
        self.let_go(ranks)
        self.assert_completes(job, "spread")
        self.assertIn("transport mpi: 2 ranks", self.log("spread"))
        self.assert_plain("spread")

    def test_a_requeued_job_continues_on_the_other_host(self):
        first, second = self.names[0], self.names[-1]
        if first != second:
            self.node(second, "DRAIN")
        job = self.submit("moved", "--ntasks=2")
        ranks = self.hold("moved", job)
        self.assert_hosts(ranks, first, first)
        if first != second:
            self.node(second, "RESUME")
            self.node(first, "DRAIN")
            self.addCleanup(self.node, first, "RESUME")
        self.cluster.run("scontrol", "requeue", job)
        self.restart(job)
        self.assert_completes(job, "moved")
        self.assertEqual(self.cluster.field(job, "NodeList"), second)
        self.assertRegex(self.log("moved"), "Continuing .* at episode [0-9]")
        self.assert_plain("moved")

    def test_a_killed_rank_ends_the_job_which_then_continues(self):
        job = self.submit("killed", *self.spread)
        ranks = self.hold("killed", job)
        send(ranks[1][0], signal.SIGKILL)
        self.let_go(ranks)
        self.assertEqual(self.wait_for_end(job), "FAILED")
        self.assertIn(f"srun: error: {self.names[-1]}: task 1: Killed", self.log("killed"))
        self.assertLess(episodes_in(run_file(self.out("killed"))), EPISODES)
        self.assert_completes(self.submit("killed", *self.spread), "killed")
        self.assert_plain("killed")

    def test_an_array_over_both_hosts_survives_a_kill_and_a_requeue(self):
        # Two tasks fill a host.
        options = ["--ntasks=1", f"--cpus-per-task={len(self.names)}"]
        array = self.submit("seed%a", "--array=1-3", *options, search=["--seed", "%a"])
        killed, untouched, requeued = (f"{array}_{n}" for n in (1, 2, 3))
        held = {task: self.hold(f"seed{task[-1]}", task) for task in (killed, requeued)}
        self.assertEqual({host for ranks in held.values() for _, host in ranks}, set(self.names))
        send(held[killed][0][0], signal.SIGKILL)
        self.cluster.run("scontrol", "requeue", requeued)
        for n in (2, 3):
            self.search_alone(self.out(f"alone{n}"), "--seed", str(n))
        self.restart(requeued)
        self.assertEqual(self.wait_for_end(killed), "FAILED")
        again = self.submit("seed%a", "--array=1", *options, search=["--seed", "%a"])
        for task in (untouched, requeued, f"{again}_1"):
            self.assert_completes(task, f"seed{task[-1]}")
        for n in (1, 3):
            self.assertRegex(self.log(f"seed{n}"), "Continuing .* at episode [0-9]")
        self.assert_plain("seed1")
        for n in (2, 3):
            self.assert_same_run(self.out(f"alone{n}"), self.out(f"seed{n}"))

    @staticmethod
    def write_sweep(path, axes, *options):
        with open(path, "w") as text:
            text.write(sweep_base(quick(*SEARCH, *options)) + axes)

    def test_a_sweep_as_an_array_survives_a_kill_and_a_requeue(self):
        # Its folder has a name that a shell would take apart.
        file, out, alone = self.out("sweep.toml"), self.out("it's $(a) sweep"), self.out("alone")
        self.write_sweep(file, '[grid]\nstrategy = ["ppo", "random"]\nseed = [1, 2, 3, 4]\n')
        command = ["sweep", file, "--submit", "--out", out, "--slurm-option", "time=30"]
        said = self.cluster.run(PROGRAM, *command, "--concurrent", "3")
        array = re.match(r"Job ([0-9]+): ", said)[1]
        with open(os.path.join(out, "sweep.json")) as table:
            runs = [each["id"] for each in json.load(table)["runs"]]
        self.assertEqual(len(runs), 8)

        def path(folder, index):
            return run_file(os.path.join(folder, "runs", runs[index]), "run")
        killed, requeued = f"{array}_1", f"{array}_2"
        held = {task: self.hold("", task, path(out, int(task[-1]))) for task in (killed, requeued)}
        send(held[killed][0][0], signal.SIGKILL)
        self.cluster.run("scancel", "--signal=USR2", requeued)
        for ranks in held.values():
            self.let_go(ranks)
        self.restart(requeued)
        self.assertEqual(self.wait_for_end(killed), "FAILED")
        for index in (0, 2, 3, 4, 5, 6, 7):
            self.assertEqual(self.wait_for_end(f"{array}_{index}", 180), "COMPLETED", index)
        again = re.match(r"Job ([0-9]+): ", self.cluster.run(PROGRAM, *command))[1]
        self.assertEqual(self.wait_for_end(f"{again}_1"), "COMPLETED")
        with open(os.path.join(out, "slurm", "2.log")) as log:
            self.assertRegex(log.read(), "Committed; job .* goes back to the queue(?s:.*)Continuing .*: 0 of 1 run "
                             "finished, [1-9][0-9]* episodes")
        # One allocation in two groups.
        self.assertEqual(self.wait_for_end(self.by_hand("groups", "--ntasks=2", file, "--out", alone), 180),
                         "COMPLETED", self.log("groups"))
        self.assertIn("2 groups of ranks", self.log("groups"))
        for index in range(8):
            self.assert_equal_files(path(out, index), path(alone, index))
        self.halving()

    def by_hand(self, name, tasks, file, *arguments):
        return self.cluster.run("env", f"TRISEG={PROGRAM}", "sbatch", "--parsable",
                                "--time=30", f"--output={self.out(name)}.log", *tasks.split(),
                                "slurm/sweep.sbatch", file, *arguments)

    def halving(self):
        """Arrays, one after the other, take four runs over a rung and two of them to the end."""
        file, out = self.out("halving.toml"), self.out("halved")
        self.write_sweep(file, "[halving]\nrungs = [64]\n[grid]\nseed = [1, 2, 3, 4]\n", "--episodes", "192")
        array = self.by_hand("by-hand", "--ntasks=1 --array=0-0", file, "--out", out, "--index-step", "2")
        # Two of the four: none goes on yet.
        self.assertEqual(self.wait_for_end(f"{array}_0"), "COMPLETED", self.log("by-hand"))
        said = self.cluster.run(PROGRAM, "sweep", file, "--submit", "--out", out, "--tasks", "2",
                                "--ranks-per-run", "2", "--rank-timeout", "77")
        first, second = re.findall("Job ([0-9]+): ", said)
        for task in range(2):
            self.assertEqual(self.wait_for_end(f"{second}_{task}"), "COMPLETED")
        self.assertTrue(run(["sweep", "status", out]).stdout.startswith("4 runs: 2 finished, 2 stopped\n"))
        with open(os.path.join(out, "sweep.json")) as table:
            files = [run_file(os.path.join(out, "runs", each["id"]), "run") for each in json.load(table)["runs"]]
        runs = [h5py.File(path).attrs for path in files]
        self.assertEqual([each["ranks"] for each in runs if each["status"] == b"finished"], [2, 2])


class LosingAHost(HostsTest):
    """Each class with one test: it takes Slurm minutes to trust a host that was lost again."""
    def cut_off(self, name, *options, search=()):
        """A job of two ranks whose second host is cut off while it works."""
        if len(self.names) == 1:
            self.skipTest("one host cannot be cut off from itself")
        job = self.submit(name, *options, search=search)
        ranks = self.hold(name, job)
        self.assertEqual({host for _, host in ranks}, {"one", "two"})
        self.cluster.hosts[0].ip("link", "set", "link0", "down")
        self.let_go(ranks)
        return job


class CutOff(LosingAHost):
    def test_a_rank_on_a_host_that_is_cut_off_ends_the_job_which_then_continues(self):
        waiting = ["--rank-timeout", "3"]
        job = self.cut_off("cut", *self.spread, search=waiting)
        wait_for(60, "the end of the job on the first host",
                 lambda: self.cluster.field(job, "JobState") in ("COMPLETING", "FAILED"))
        self.assertIn("triseg: error: rank 0: MPI: gather: rank 1 on host two did not answer within 3 s",
                      self.log("cut"))
        self.assertEqual(self.cluster.field(job, "ExitCode"), "1:0")
        # What is left of the cluster continues it.
        self.assert_completes(self.submit("cut", "--nodelist=one", "--ntasks=2", search=waiting), "cut")
        self.assertRegex(self.log("cut"), "Continuing .* at episode [0-9]")
        self.assert_plain("cut")


class HostDown(LosingAHost):
    HOST_TIMEOUT = 12

    def test_slurm_requeues_a_job_whose_host_is_down_and_it_continues_on_the_other(self):
        job = self.cut_off("down", "--nodes=1-2", "--spread-job", "--ntasks=2")
        self.restart(job)
        self.assertIn("srun: error: Node failure on two", self.log("down"))
        self.assert_completes(job, "down")
        self.assertEqual(self.cluster.field(job, "NodeList"), "one")
        self.assertRegex(self.log("down"), "Continuing .* at episode [0-9]")
        self.assert_plain("down")
