"""triseg sweep from outside: the same files by every way to run it, failures, kills, two at once."""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import h5py

from program import FEW_DATA, FEW_TEACHER, SOURCE, ProgramTest, end, errors_in, held, let_go, quick, run, run_file, start

BASE = f"""
[base]
model = "lenet5"
data = "{FEW_DATA}"
episodes = 192
episodes-per-update = 32
batch-size = 16
calib-batches = 4
top-k = 2
eval-every = 3
"""
AXES = """
[grid]
strategy = ["ppo", "random"]
tmax-percentile = [85, 95]
"""


class Sweep(ProgramTest):
    def write(self, text, name="s.toml"):
        with open(self.out(name), "w") as file:
            file.write(text)
        return self.out(name)

    def table(self, out):
        with open(os.path.join(self.out(out), "sweep.json")) as file:
            return json.load(file)

    def run_of(self, out, identifier):
        return run_file(os.path.join(self.out(out), "runs", identifier), "run")

    def sweep(self, file, out, *more, ranks=None, expect=0):
        done = run(["sweep", file, "--out", self.out(out), *more], ranks)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def finished(self, out, identifier):
        with h5py.File(self.run_of(out, identifier)) as file:
            return file.attrs["status"] == b"finished"

    def test_every_way_to_run_it_gives_the_bytes_of_the_search_alone(self):
        file = self.write(BASE + AXES + "seed = [3]\n")
        self.sweep(file, "one", "--runs-at-once", "1")
        self.sweep(file, "threads", "--runs-at-once", "3")
        self.sweep(file, "groups", ranks=3)
        self.sweep(file, "pairs", "--ranks-per-run", "2", ranks=4)
        runs = self.table("one")["runs"]
        self.assertEqual(len(runs), 4)
        self.assert_leaderboard("one", runs)
        for index in (1, 3):
            self.sweep(file, "tasks", "--index", str(index))
            self.assert_equal_files(self.run_of("one", runs[index]["id"]), self.run_of("tasks", runs[index]["id"]))
        for each in runs:
            for out in ("threads", "groups", "pairs"):
                self.assert_equal_files(self.run_of("one", each["id"]), self.run_of(out, each["id"]))
        alone = quick("--out", self.out("alone"), "--strategy", runs[2]["values"][0], "--tmax-percentile", runs[2]["values"][1],
                      "--seed", runs[2]["values"][2], "--result-file", "run.json")
        self.assertEqual(run(alone).returncode, 0)
        self.assert_equal_files(self.run_of("one", runs[2]["id"]), run_file(self.out("alone"), "run"))
        options = os.path.join(self.out("one"), "runs", runs[2]["id"], "options.toml")
        self.assertEqual(run(["search", "--config", options, "--out", self.out("again")]).returncode, 0)
        self.assert_equal_files(run_file(self.out("alone"), "run"), run_file(self.out("again"), "lenet5"))

    def assert_leaderboard(self, out, runs):
        """The settings by the KD that their run files have, one seed each."""
        kd = {}
        for each in runs:
            with h5py.File(self.run_of(out, each["id"])) as file:
                kd[tuple(each["values"][:2])] = file["top/validation_kd"][file["selected/top_index"][()]]
        rows = [line.split() for line in run(["sweep", "top", self.out(out)]).stdout.splitlines()]
        best = sorted(kd, key=kd.get)
        self.assertEqual([tuple(row[:2]) for row in rows[1:]], best)
        self.assertEqual([row[3] for row in rows[1:]], [f"{kd[setting]:.5f}" for setting in best])
        self.assertEqual([row[-1] for row in rows[1:]], ["-", *(f"{kd[setting] - kd[best[0]]:.5f}" for setting in best[1:])])
        rows = run(["sweep", "top", self.out(out), "--where", "strategy=random", "--sort", "coverage", "--limit", "1"]).stdout.splitlines()
        self.assertEqual(len(rows), 2)
        self.assertTrue(rows[1].startswith("random "))
        for options, fragment in ((["--sort", "luck"], "--sort: expected one of kd, "), (["--where", "lr=1"], "--where: lr does not vary"),
                                  (["--where", "strategy=mse"], "--where: no run has strategy = mse"), (["--where", "x"], "OPTION=VALUE")):
            self.assert_one_line_error(run(["sweep", "top", self.out(out), *options]), fragment)

    def test_a_dry_run_prints_the_table_and_does_nothing(self):
        file = self.write("seeds = 2\n" + BASE + AXES + '[[zip]]\nkd-T = [2, 2.0]\n')
        done = run(["sweep", file, "--dry-run", "--out", self.out("none")])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0].split(), ["index", "id", "strategy", "tmax-percentile", "kd-T", "seed"])
        self.assertEqual(len(lines), 1 + 8 + 2)
        self.assertEqual(lines[-2], "8 of 16 combinations equal another: each is done once")
        self.assertEqual(lines[-1], f"8 runs, {8 * 192 * 16} student images in their episodes")
        self.assertFalse(os.path.exists(self.out("none")))

    def test_the_shipped_sweeps_are_read(self):
        configs = os.path.join(SOURCE, "configs")
        names = [name for name in os.listdir(configs) if name.startswith("sweep-")]
        self.assertTrue(names)
        for name in names:
            done = run(["sweep", os.path.join(configs, name), "--dry-run"])
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_failed_run_leaves_the_next_ones_as_they_are(self):
        """What a rank keeps from one run to the next, where a run in between fails on its way to other sites."""
        file = self.write(BASE.replace("batch-size = 16\n", "") + '[grid]\nseed = [1, 2]\n[[zip]]\nsites = ["all", "conv"]\nbatch-size = [16, 100000]\n')
        self.assertIn("2 of 4 runs finished, 2 failed", self.sweep(file, "a", "--runs-at-once", "1", expect=1).stderr)
        third = self.table("a")["runs"][2]["id"]
        self.assertTrue(self.finished("a", third))
        self.sweep(file, "b", "--index", "2")
        self.assert_equal_files(self.run_of("a", third), self.run_of("b", third))

    def test_a_run_that_fails_is_recorded_and_the_others_go_on(self):
        missing = self.out("missing.h5")
        file = self.write(BASE + f'[[zip]]\nteacher = ["{FEW_TEACHER}", "{missing}"]\n'
                          '[grid]\nseed = [1, 2]\n')
        done = self.sweep(file, "a", expect=1)
        self.assertIn("2 of 4 runs finished, 2 failed", done.stderr)
        for each in self.table("a")["runs"]:
            failure = os.path.join(self.out("a"), "runs", each["id"], "failed.txt")
            self.assertEqual(os.path.exists(failure), missing in each["values"], each)
            if os.path.exists(failure):
                with open(failure) as text:
                    self.assertIn(missing, text.read())
            else:
                self.assertTrue(os.path.exists(self.run_of("a", each["id"])))
        said = run(["sweep", "status", self.out("a")]).stdout.splitlines()
        self.assertEqual(said[0], "4 runs: 2 finished, 2 failed")
        self.assertEqual(len(said), 3)
        self.assertIn(f"failed: --teacher: {missing}", said[1])
        # It is tried again, and what is finished is not done again.
        before = {each["id"]: os.stat(self.run_of("a", each["id"])).st_mtime_ns for each in self.table("a")["runs"] if missing not in each["values"]}
        shutil.copy(FEW_TEACHER, missing)
        self.assertIn("4 of 4 runs finished", self.sweep(file, "a").stderr)
        for identifier, modified in before.items():
            self.assertEqual(os.stat(self.run_of("a", identifier)).st_mtime_ns, modified)

    def test_a_stopped_or_killed_sweep_continues_to_the_same_bytes(self):
        file = self.write(BASE.replace("192", "1200") + "checkpoint-every = 0\n[grid]\nseed = [1, 2, 3]\n")
        self.sweep(file, "whole")
        ids = [each["id"] for each in self.table("whole")["runs"]]
        for number, ranks in ((signal.SIGTERM, None), (signal.SIGKILL, None), (signal.SIGTERM, 2)):
            with self.subTest(number=number, ranks=ranks):
                out = f"parts{number}{ranks}"
                process, pids = held(lambda: start(["sweep", file, "--out", self.out(out), "--runs-at-once", "1"], ranks),
                                     lambda: os.path.exists(self.run_of(out, ids[0])), lambda: not self.finished(out, ids[0]))
                for pid in pids:
                    os.kill(pid, number)
                let_go(pids)
                _, log = process.communicate(timeout=60)
                said = run(["sweep", "status", self.out(out)]).stdout
                self.assertRegex(said, "waiting, [0-9]+ of 1200 episodes" if number == signal.SIGTERM else "stale, [0-9]+ of 1200 episodes")
                if number == signal.SIGTERM:
                    self.assertEqual(process.returncode, 85, log)
                    self.assertIn("stopped by a signal: the same command continues", log)
                self.assertIn("3 of 3 runs finished", self.sweep(file, out).stderr)
                for identifier in ids:
                    self.assert_equal_files(self.run_of("whole", identifier), self.run_of(out, identifier))

    def test_two_sweeps_do_not_share_a_folder(self):
        file = self.write(BASE.replace("192", "100000000"))
        process = start(["sweep", file, "--out", self.out("a")])
        self.addCleanup(end, process.pid)
        while process.poll() is None and not os.path.exists(os.path.join(self.out("a"), "sweep.json")):
            time.sleep(0.01)
        path = self.run_of("a", self.table("a")["runs"][0]["id"])
        while process.poll() is None and not os.path.exists(path):
            time.sleep(0.01)
        said = run(["sweep", "status", self.out("a")]).stdout
        self.assertRegex(said, f"running, [0-9]+ of 100000000 episodes, process {process.pid} on host ")
        for more in ([], ["--index", "0"]):
            self.assert_one_line_error(run(["sweep", file, "--out", self.out("a"), *more]), "sweep.json is being written by process ",
                                       "choose another --out")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85)

    def test_the_script_of_an_array_quotes_what_it_is_given(self):
        file, out = self.write(BASE + AXES, "a'b $(touch pwned).toml"), 'o "u\'t'
        done = run(["sweep", file, "--out", out, "--slurm", "--concurrent", "2", "--slurm-option", "time=01:00:00", "--slurm-option",
                    "mem=2G"], cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        script = os.path.join(self.folder, out, "sweep.sbatch")
        with open(script) as text:
            lines = text.read().splitlines()
        for line in ("#SBATCH --array=0-3%2", "#SBATCH --time=01:00:00", "#SBATCH --mem=2G"):
            self.assertIn(line, lines)
        # The shell's own reading of the two paths.
        assignments = "\n".join(line for line in lines if line.startswith(("file=", "folder=")))
        said = subprocess.run(["bash", "-c", assignments + '\nprintf "%s\\n" "$file" "$folder"'], capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(said.stdout, f"{file}\n{os.path.join(os.path.realpath(self.folder), out)}\n")
        self.assertFalse(os.path.exists(self.out("pwned")))
        self.assertEqual(subprocess.run(["bash", "-n", script]).returncode, 0)
        for options, fragment in ((["--slurm", "--slurm-option", "time=$(x)"], "--slurm-option: 'time=$(x)'"),
                                  (["--slurm", "--slurm-option", "array=3"], "the sweep's script says that itself"),
                                  (["--concurrent", "3"], "--concurrent: has no effect without --slurm"),
                                  (["--slurm", "--index", "1"], "--index excludes --slurm")):
            self.assert_one_line_error(run(["sweep", file, *options], cwd=self.folder), fragment)

    def test_bad_sweeps_are_one_line(self):
        for text, fragment in (("[grid]\nstrateg = ['ppo']\n", "[grid]: unknown key 'strateg'"), ("x = [", "cannot be read as TOML")):
            file = self.write(text)
            self.assert_one_line_error(run(["sweep", file]), file, fragment)
            errors = errors_in(run(["sweep", file], 2).stderr)
            self.assertEqual(len(errors), 1, errors)
            self.assertIn(fragment, errors[0])
        self.assert_one_line_error(run(["sweep", self.out("none.toml")]), "none.toml")
        self.assert_one_line_error(run(["sweep"]), "sweep: expected the name of a sweep file")
        self.assert_one_line_error(run(["sweep", "status", self.folder]), "sweep.json: No such file")
        file = self.write(BASE)
        self.assert_one_line_error(run(["sweep", file, "--index", "1", "--out", self.out("a")]), "--index: expected 0 to 0, found 1")


if __name__ == "__main__":
    unittest.main()
