"""slurm/search.sbatch on a real Slurm of two hosts, or, where there cannot be two, on one."""
import signal

from cluster import EPISODES, SlurmTest, wait_for
from program import episodes_in, run_file, send


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


class CutOff(HostsTest):
    """Alone on its cluster: it takes Slurm two minutes to take a lost host's word again."""
    def test_a_host_that_is_cut_off_ends_the_job_which_then_continues(self):
        if len(self.names) == 1:
            self.skipTest("one host cannot be cut off from itself")
        job = self.submit("cut", *self.spread, search=["--rank-timeout", "3"])
        ranks = self.hold("cut", job)
        controller = self.cluster.hosts[0]
        controller.ip("link", "set", "link0", "down")
        self.addCleanup(controller.ip, "link", "set", "link0", "up")
        self.let_go(ranks)
        wait_for(60, "the end of the job's part on the first host",
                 lambda: self.cluster.field(job, "JobState") in ("COMPLETING", "FAILED"))
        self.assertRegex(self.log("cut"), "triseg: error: rank 0: MPI: gather: rank 1 on host two did not answer within 3 s")
        self.assertEqual(self.cluster.field(job, "ExitCode").split(":")[0], "1")
        # What is left of the cluster continues it.
        self.assert_completes(self.submit("cut", "--nodelist=one", "--ntasks=2", search=["--rank-timeout", "3"]), "cut")
        self.assertRegex(self.log("cut"), "Continuing .* at episode [0-9]")
        self.assert_plain("cut")
