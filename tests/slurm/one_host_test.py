"""slurm/search.sbatch on a real Slurm of one host."""
import os

from cluster import SlurmTest, wait_for
from program import FEW_DATA, PROGRAM


class OneHost(SlurmTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A limit of one minute, the shortest there is, leaves a quarter of it for the commit.
        cls.short = cls.submit_stand_in("short", 'trap "echo stopped; exit 85" USR2; while true; do sleep 0.1; echo '
                                        'working; done',
                                        "--time=1")

    @classmethod
    def stand_in(cls, name, commands):
        """A shell script in a program's place."""
        path = cls.out(name)
        with open(path, "w") as file:
            file.write(f"#!/bin/bash\n{commands}\n")
        os.chmod(path, 0o755)
        return path

    @classmethod
    def submit_stand_in(cls, name, commands, *options, **environment):
        """A job with a shell script in triseg's place."""
        return cls.submit(name, "--ntasks=1", *options, TRISEG=cls.stand_in(name + ".sh", commands), **environment)

    def test_doctor_sees_tasks_that_mpi_does_not_join(self):
        doctor = [PROGRAM, "doctor", "--model", "lenet5", "--data", FEW_DATA, "--out", self.out("doctor")]
        apart = self.cluster.run("bash", "-c", '! srun --quiet --ntasks=2 --mpi=none "$@" 2>&1', "srun", *doctor)
        self.assertIn("use srun --mpi=pmix", apart)
        self.assertIn("2 started, 2 joined", self.cluster.run("srun", "--quiet", "--ntasks=2", "--mpi=pmix", *doctor))

    def test_two_tasks_form_one_world(self):
        self.assert_completes(self.submit("whole", "--ntasks=2"), "whole")
        self.assertIn("transport mpi: 2 ranks", self.log("whole"))
        self.assert_plain("whole")

    def test_a_container_runs_the_ranks(self):
        self.stand_in("apptainer",
                      f'[[ "$1 $2 $3" == "exec tri seg.sif triseg" ]] || exit 1; shift 3; "{PROGRAM}" "$@"')
        job = self.submit("container", "--ntasks=2", TRISEG_IMAGE="tri seg.sif",
                          PATH=self.cluster.folder + ":" + os.environ["PATH"])
        self.assert_completes(job, "container")
        self.assertIn("transport mpi: 2 ranks", self.log("container"))
        self.assert_plain("container")

    def test_a_job_that_gets_a_signal_commits_and_continues(self):
        job = self.submit("interrupted", "--ntasks=2")
        ranks = self.hold("interrupted", job)
        self.cluster.run("scancel", "--signal=USR2", job)
        self.let_go(ranks)
        self.restart(job)
        self.assertIn("exit code 85", self.log("interrupted"))
        self.assert_completes(job, "interrupted")
        self.assertRegex(self.log("interrupted"), r"Continuing .* at episode [0-9]")
        self.assert_plain("interrupted")

    def test_of_an_array_the_stopped_task_alone_is_requeued(self):
        array = self.submit("array%a", "--ntasks=1", "--array=1-2")
        tasks = {f"{array}_{n}": f"array{n}" for n in (1, 2)}
        for task, name in tasks.items():
            wait_for(60, f"progress of task {task}", lambda: "episodes" in self.log(name))
        # The task that has the whole array's number: the other must not go with it.
        requeued, other = sorted(tasks, key=lambda task: self.cluster.field(task, "JobId") != array)
        self.cluster.run("scancel", "--signal=USR2", requeued)
        self.restart(requeued)
        for task, name in tasks.items():
            self.assert_completes(task, name)
            self.assert_plain(name)
        self.assertEqual(self.cluster.field(other, "Restarts"), "0")
        self.assertRegex(self.log(tasks[requeued]), r"Continuing .* at episode [0-9]")

    def test_requeues_have_an_end(self):
        job = self.submit_stand_in("endless",
                                   'echo "12:00:00 Continuing x at episode $RANDOM$RANDOM of 9" >&2; exit 85',
                                   TRISEG_MAX_REQUEUES=1)
        self.restart(job)
        self.assertEqual(self.wait_for_end(job), "FAILED")
        self.assertEqual(self.cluster.field(job, "ExitCode"), "85:0")
        self.assertIn(f"job {job} ends after 1 requeues (TRISEG_MAX_REQUEUES=1)", self.log("endless"))

    def test_a_part_that_brings_nothing_new_ends_the_job(self):
        job = self.submit_stand_in("stuck", 'echo "$RANDOM$RANDOM Continuing x at episode 5 of 9" >&2; exit 85')
        self.restart(job)
        self.assertEqual(self.wait_for_end(job), "FAILED")
        self.assertEqual(self.cluster.field(job, "Restarts"), "1")
        self.assertIn("committed nothing new (both began with: Continuing x at episode 5 of 9)", self.log("stuck"))

    def test_a_job_without_a_limit_is_left_alone(self):
        job = self.cluster.run("sbatch", "--parsable", "--ntasks=1", f"--output={self.out('unlimited')}.log", "--wrap",
                               "bash -c 'source slurm/through_limits.sh; stop_before_limit; echo left alone'")
        self.assert_completes(job, "unlimited")
        self.assertEqual(self.cluster.field(job, "TimeLimit"), "UNLIMITED")
        self.assertIn("left alone", self.log("unlimited"))

    def test_the_time_limit_stops_a_job_in_its_last_quarter(self):
        wait_for(90, "the job to be stopped", lambda: "\nstopped\n" in self.log("short"))
        self.wait_for_requeue(self.short)
        self.assertGreater(self.log("short").count("working"), 20, "it was stopped at once")
