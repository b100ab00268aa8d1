"""Ranks of the real program: what one that hangs, one of another build, and processes that are no ranks at all do to
the others."""
import os
import re
import signal
import subprocess
import time
import unittest

from program import (PROGRAM, ProgramTest, children, end, environment, episodes_in, errors_in, let_go, quick,
                     rank_of, result_file, run, run_file, run_with_one_broken_rank, start, wait_for_episodes)


def runs(pid):
    """Whether a process is there, stopped or not, and not only waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def failing_mpi(folder, *functions):
    """A library to be preloaded in which these functions of MPI fail."""
    source, library = os.path.join(folder, "failing.c"), os.path.join(folder, "failing.so")
    with open(source, "w") as file:
        file.write("".join(f"int {name}(void) {{ return 16; }}\n" for name in functions))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class Watchdog(ProgramTest):
    def hang(self, name, rank):
        """Exit code and log of a run of three ranks, one of which is stopped in the middle of it."""
        process = start(quick("--out", self.out(name), "--episodes", "10000000", "--checkpoint-every", "0",
                              "--eval-every", "0", "--transport", "mpi", "--rank-timeout", "3"), 3)
        wait_for_episodes(run_file(self.out(name)), 32, process)
        ranks = {rank_of(pid): pid for pid in children(process.pid)}
        self.assertEqual(sorted(ranks), [0, 1, 2])
        for pid in ranks.values():
            self.addCleanup(end, pid)
        os.kill(ranks[rank], signal.SIGSTOP)
        _, log = process.communicate(timeout=120)
        deadline = time.monotonic() + 60  # they may end a moment after mpirun
        while any(map(runs, ranks.values())):
            self.assertLess(time.monotonic(), deadline, "a rank is left")
            time.sleep(0.05)
        self.assertGreater(episodes_in(run_file(self.out(name))), 0, "what was committed is whole")
        return process.returncode, log

    def test_a_rank_that_hangs_ends_all_with_a_line_that_names_it(self):
        for rank, seconds in ((2, "3"), (1, "3"), (0, "10")):
            with self.subTest(rank=rank):
                code, log = self.hang(f"rank{rank}", rank)
                self.assertEqual(code, 1, log)
                # On a busy machine mpirun may take longer to end the others than these wait for one that has ended
                # before them.
                self.assertRegex(errors_in(log)[0], rf"MPI: (gather|broadcast): rank {rank} on host \S+ did not answer "
                                 rf"within {seconds} s \(iteration \d+\)$")


    def test_a_run_that_was_stopped_as_a_whole_goes_on(self):
        process, held = self.hold("a", 32, 10**7, "--episodes", "10000000", "--checkpoint-every", "0",
                                  "--eval-every", "0", "--transport", "mpi", "--rank-timeout", "2",
                                  "--dedicated-learner", ranks=2)  # rank 0 waits nearly always
        self.addCleanup(end, process.pid)
        time.sleep(4)
        episodes = episodes_in(run_file(self.out("a")))
        let_go(held)
        wait_for_episodes(run_file(self.out("a")), episodes + 64, process)
        process.send_signal(signal.SIGUSR2)
        _, log = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85, log)


class Builds(ProgramTest):
    def test_ranks_of_two_builds_are_refused(self):
        doctor = run(["doctor", "--model", "lenet5", "--out", self.out("doctor")])
        build = re.match(r"triseg [\d.]+, build ([0-9a-f]{16}), ", doctor.stdout)[1]
        other_build = "0123456789abcdef"
        with open(PROGRAM, "rb") as file:
            content = file.read()
        self.assertEqual(content.count(build.encode()), 1)
        other = self.out("triseg")
        with open(other, "wb") as file:
            file.write(content.replace(build.encode(), other_build.encode()))
        os.chmod(other, 0o755)
        arguments = quick("--out", self.out("a"))
        failing = failing_mpi(self.folder, "MPI_Comm_split_type", "MPI_Get_processor_name")
        for programs, odd in (((PROGRAM, other, PROGRAM), 1), ((PROGRAM, PROGRAM, other), 2)):
            # Nothing else has been said by then: what the odd one cannot do is not missed.
            parts = [["-n", "1", *(["-x", f"LD_PRELOAD={failing}"] if program == other else []), program] + arguments
                     for program in programs]
            done = subprocess.run(["mpirun"] + parts[0] + [":"] + parts[1] + [":"] + parts[2], env=environment(),
                                  capture_output=True, text=True, errors="replace", timeout=300)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(len(errors_in(done.stderr)), 1, done.stderr)
            self.assertRegex(errors_in(done.stderr)[0], rf"rank {odd} runs another build of triseg \([\d.]+, build "
                             rf"{other_build}, .* than rank 0 \([\d.]+, build {build}")
            self.assertFalse(os.path.exists(run_file(self.out("a"))))


class Joining(ProgramTest):
    def test_a_rank_that_fails_while_they_join_ends_all_with_one_line(self):
        failing = failing_mpi(self.folder, "MPI_Get_processor_name")
        for broken in (0, 1):
            with self.subTest(broken):
                done = run_with_one_broken_rank(quick("--out", self.out("a")), broken, {"LD_PRELOAD": failing})
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(len(errors_in(done.stderr)), 1, done.stderr)
                self.assertIn(f"rank {broken}: MPI: MPI_Get_processor_name failed", errors_in(done.stderr)[0])

    def test_ranks_joined_by_different_transports_are_refused(self):
        done = run_with_one_broken_rank(quick("--out", self.out("a")), 1, {}, ["--transport", "mpi"])
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(errors_in(done.stderr), ["triseg: error: rank 1: --transport is not that of rank 0"])


class Tasks(ProgramTest):
    """Processes that a launcher has started and that do not work together."""

    def launch(self, line, ranks=2):
        return subprocess.run(["mpirun", "-n", str(ranks), "bash", "-c", line], env=environment() | {"TRISEG": PROGRAM},
                              cwd=self.folder, capture_output=True, text=True, timeout=280)

    def test_searches_of_their_own(self):
        words = " ".join(quick("--transport", "local", "--strategy", "random", "--episodes", "32", "--threads", "1",
                               "--seed"))
        done = self.launch(f'"$TRISEG" {words} $OMPI_COMM_WORLD_RANK --out task$OMPI_COMM_WORLD_RANK')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("transport local: 1 rank x 1 thread\n"), 2, done.stderr)
        self.assertEqual(done.stderr.count("beside 1 other task that the launcher started"), 2, done.stderr)
        self.assertEqual(done.stdout.count("JSON: "), 2)
        for task in (0, 1):
            self.search(f"alone{task}", "--strategy", "random", "--episodes", "32", "--seed", str(task))
            self.assert_same_run(self.out(f"alone{task}"), self.out(f"task{task}"))

    def test_commands_of_one_process(self):
        self.search("a")
        result, file = result_file(self.out("a")), run_file(self.out("a"))
        for words, what in ((f"evaluate {result}", "test images"), (f"validate {file}", file),
                            ("score --model lenet5 < /dev/null", '"sites"'),
                            (f"pick {file} 0 --out pick$OMPI_COMM_WORLD_RANK.json", ""),
                            ("doctor --transport local --model lenet5 --out doctor$OMPI_COMM_WORLD_RANK",
                             "A search would start.")):
            with self.subTest(words):
                done = self.launch('"$TRISEG" ' + words)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(errors_in(done.stderr), [])
                if what:
                    self.assertEqual(sum(what in line for line in done.stdout.splitlines()), 2, done.stdout)

    def test_each_speaks_for_itself(self):
        for broken in (0, 1):
            with self.subTest(broken):
                done = run_with_one_broken_rank(quick("--transport", "local", "--out", self.out("a")), broken, {},
                                                ["--episodes-per-update", "1000000000"])
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(len(errors_in(done.stderr)), 1, done.stderr)


class Errors(ProgramTest):
    """A rank that some launcher names, in a process that joins nobody: nobody else would say what is wrong."""

    def test_a_process_that_joins_no_others_says_what_is_wrong(self):
        missing = self.out("nosuch")
        for arguments in (["validate", missing], ["evaluate", missing], ["pick", missing, "0"], ["repair", missing],
                          ["search", "--nosuch"],
                          ["search", "--teacher", missing, "--transport", "local", "--out", self.out("a")],
                          ["score", "--teacher", missing], ["train", "--data", missing, "--out", self.out("m.h5")],
                          ["nosuch"], []):
            with self.subTest(arguments):
                done = subprocess.run([PROGRAM] + arguments, capture_output=True, text=True, cwd=self.folder,
                                      timeout=60, env=environment() |
                                      {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"})
                self.assert_one_line_error(done)

    def test_processes_that_another_mpi_started_are_refused(self):
        done = subprocess.run([PROGRAM, *quick("--out", self.out("a"))], capture_output=True, text=True, timeout=60,
                              env=environment() | {"PMI_SIZE": "2"})
        self.assert_one_line_error(done, "the launcher started 2 tasks but MPI joined 1")

    def test_ranks_say_together_what_is_wrong_with_their_options(self):
        with open(self.out("bad.toml"), "w") as file:
            file.write("nosuch = 1\n")
        for more, fragment in ((["--config", self.out("bad.toml")], "nosuch"), (["--engine", "tpu"], "found 'tpu'"),
                               (["--transport", "pigeon"], "found 'pigeon'"), (["--sites", "conv9"], "conv9"),
                               (["--episodes", "0"], "--episodes"), (["--nosuch"], "unknown option '--nosuch'")):
            with self.subTest(more):
                done = run(quick("--out", self.out("a"), *more), 3)
                self.assertIn(done.returncode, (1, 2))
                self.assertEqual(len(errors_in(done.stderr)), 1, done.stderr)
                self.assertIn(fragment, errors_in(done.stderr)[0])
                for broken in (0, 1):
                    done = run_with_one_broken_rank(quick("--out", self.out("a")), broken, {}, more)
                    self.assertIn(done.returncode, (1, 2))
                    self.assertEqual(len(errors_in(done.stderr)), 1, done.stderr)


class Threads(ProgramTest):
    def test_ranks_share_the_cores_they_are_allowed(self):
        cores = sorted(os.sched_getaffinity(0))[:2]
        few = ["--strategy", "mse", "--transport", "mpi"]

        def threads(name, ranks):
            process = start(quick("--out", self.out(name), *few), ranks, prepare=lambda: os.sched_setaffinity(0, cores))
            _, log = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, log)
            return int(re.search(rf"{ranks} ranks? x (\d+) threads?", log)[1])

        alone = threads("one", 1)
        self.assertLessEqual(alone, len(cores), "a quota may leave fewer")
        self.assertEqual(threads("two", 2), max(1, alone // 2))


if __name__ == "__main__":
    unittest.main()
