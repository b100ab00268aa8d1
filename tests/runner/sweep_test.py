"""triseg sweep from outside: the same files by every way to run it, failures, kills, two at once."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy
import pandas

from program import (FEW_TEACHER, PROGRAM, SOURCE, TEST_IMAGES, VALIDATION_IMAGES, ProgramTest, end, environment,
                     errors_in, held, let_go, quick, run, run_file, start, sweep_base)

BASE = "\n" + sweep_base(quick())
# Two episodes, the policy's codes and six starts; the report.
FINAL_IMAGES = (2 + 7) * VALIDATION_IMAGES + 2 * TEST_IMAGES
ALL_BY_INDEX = ("--index", "0", "--index-step", "1")  # as one task of an array, which looks at nothing before its runs
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
        self.assertIn("2 groups of ranks", self.sweep(file, "pairs", "--ranks-per-run", "2", ranks=3).stderr,
                      "two ranks, and the one left over")
        runs = self.table("one")["runs"]
        self.assertEqual(len(runs), 4)
        self.assert_leaderboard("one", runs)
        frame = self.collected("one")
        self.assertEqual([list(row) for row in frame[["strategy", "tmax-percentile", "seed"]].values],
                         [[each["values"][0], float(each["values"][1]), 3] for each in runs])
        with h5py.File(os.path.join(self.out("one"), "sweep.h5")) as collected:
            self.assertEqual([collected["runs"][name].dtype.kind for name in ("strategy", "tmax-percentile", "seed")],
                             ["S", "f", "u"])
        for index in (1, 3):
            self.assertIn(f"Sweep of 4 runs into {self.out('tasks')}, 1 of them here",
                          self.sweep(file, "tasks", "--index", str(index)).stderr)
            self.assert_equal_files(self.run_of("one", runs[index]["id"]), self.run_of("tasks", runs[index]["id"]))
        for each in runs:
            for out in ("threads", "groups", "pairs"):
                self.assert_equal_files(self.run_of("one", each["id"]), self.run_of(out, each["id"]))
        alone = quick("--out", self.out("alone"), "--strategy", runs[2]["values"][0],
                      "--tmax-percentile", runs[2]["values"][1], "--seed", runs[2]["values"][2],
                      "--result-file", "run.json")
        self.assertEqual(run(alone).returncode, 0)
        self.assert_equal_files(self.run_of("one", runs[2]["id"]), run_file(self.out("alone"), "run"))
        options = os.path.join(self.out("one"), "runs", runs[2]["id"], "options.toml")
        self.assertEqual(run(["search", "--config", options, "--out", self.out("again")]).returncode, 0)
        self.assert_equal_files(run_file(self.out("alone"), "run"), run_file(self.out("again"), "lenet5"))

    def test_halving_has_one_outcome_and_its_survivors_are_searches_alone(self):
        plain = self.write(BASE + AXES)
        file = self.write(BASE + AXES + "[halving]\nrungs = [90]\n", "h.toml")
        said = run(["sweep", file, "--dry-run"]).stdout.splitlines()
        self.assertEqual(said[-2:], ["[halving]: 2 of them go on at 90 episodes, measured at 96",
                                     f"4 runs, {(4 * 96 + 2 * 96) * 16} student images in their episodes, at most "
                                     f"{2 * FINAL_IMAGES} in their final scoring, and 4 times the first 1000 "
                                     "validation images at rungs"])
        self.sweep(plain, "plain")
        self.assertIn("2 of 4 runs finished, 2 stopped by [halving]",
                      self.sweep(file, "one", "--runs-at-once", "1").stderr)
        self.sweep(file, "ranks", ranks=2)
        begin = lambda: (shutil.rmtree(self.out("killed"), ignore_errors=True),
                         start(["sweep", file, "--out", self.out("killed")]))[1]
        ids = [each["id"] for each in self.table("plain")["runs"]]
        rungs = lambda out, identifier: os.path.join(self.out(out), "runs", identifier, "rungs.json")
        measured = lambda out: [identifier for identifier in ids if os.path.exists(rungs(out, identifier))]
        process, pids = held(begin, lambda: measured("killed"), lambda: len(measured("killed")) < 4)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        self.sweep(file, "killed", "--runs-at-once", "3")
        # Two tasks of an array: the first waits for the second, and in a second array goes on.
        tasks = [["--index", str(i), "--index-step", "2"] for i in (0, 1)]
        self.assertIn("2 waiting at a rung for others: the same command continues",
                      self.sweep(file, "tasks", *tasks[0]).stderr)
        for task in reversed(tasks):
            self.sweep(file, "tasks", *task)
        # What is measured is what the search itself evaluates there.
        kd = {}
        for identifier in ids:
            with h5py.File(self.run_of("plain", identifier)) as alone, open(rungs("one", identifier)) as text:
                first = json.load(text)[0]
                self.assertEqual(alone["evaluations/iteration"][0], 2)
                self.assertEqual([first[key] for key in ("rung", "episodes", "images")],
                                 [90, 96, alone["evaluations/validation_images"][0]])
                self.assertEqual(first["validation_kd"], alone["evaluations/validation_kd"][0])
                kd[identifier] = first["validation_kd"]
        best = sorted(ids, key=kd.get)
        for out in ("one", "ranks", "killed", "tasks"):
            stopped = {}
            for identifier in ids:
                with contextlib.suppress(FileNotFoundError), open(os.path.join(self.out(out), "runs", identifier,
                                                                               "stopped.txt")) as text:
                    stopped[identifier] = text.read()
            self.assertEqual(stopped, {best[place]: f"at 90 episodes: its KD, {kd[best[place]]:.5f}, is in place "
                                       f"{place + 1} of 4; 2 went on\n"
                                       for place in (2, 3)}, out)
            for survivor in best[:2]:
                self.assert_equal_files(self.run_of("plain", survivor), self.run_of(out, survivor))
        said = run(["sweep", "status", self.out("one")]).stdout
        self.assertTrue(said.startswith("4 runs: 2 finished, 2 stopped\n"), said)
        self.assertIn(": stopped at 90 episodes: its KD, ", said)
        rows = [line.split() for line in run(["sweep", "top", self.out("one")]).stdout.splitlines()]
        self.assertEqual([row[2:4] for row in rows[1:]], [["1", "192"], ["1", "192"], ["0", "96"], ["0", "96"]])
        frame = self.collected("one")
        self.assertEqual(sorted(frame.episodes_scored), [96, 96, 192, 192])
        self.assertEqual(frame.validation_kd.isna().sum(), 2)
        self.assertEqual(set(frame.state), {"finished", "stopped"})
        # A folder whose runs are past a rung that they were not measured at: none is touched.
        self.assertIn("is finished, and was not measured at 90 episodes: leave out [halving]",
                      self.sweep(file, "plain", expect=1).stderr)

    def test_a_run_that_ends_at_a_rung_is_judged_before_it_goes_on(self):
        file = self.write("seeds = 2\n" + BASE +
                          "[grid]\nstrategy = [\"ppo\", \"mse\"]\n[halving]\nrungs = [170]\neta = 4\n")
        self.assertIn("1 of 4 runs finished, 3 stopped by [halving]", self.sweep(file, "end").stderr)
        self.assertIn("--ranks-per-run 2: there is 1 rank: start 2 or more",
                      self.sweep(file, "end", "--ranks-per-run", "2", expect=1).stderr)

    def test_the_number_of_a_job_is_found_in_what_sbatch_says(self):
        # Warnings, and the cluster that sites of several name: this machine's Slurm says neither.
        os.mkdir(self.out("bin"))
        with open(os.path.join(self.out("bin"), "sbatch"), "w") as script:
            script.write('#!/bin/sh\necho "$@" >> "$0.log"\necho sbatch: warning: 2 nodes are down >&2\necho '
                         '"4711;cluster"\n')
        os.chmod(script.name, 0o755)
        file = self.write(BASE + AXES + "[halving]\nrungs = [90]\n")
        done = subprocess.run([PROGRAM, "sweep", file, "--out", self.out("jobs"), "--submit"], capture_output=True,
                              text=True, env=environment() | {"PATH": self.out("bin") + ":" + os.environ["PATH"]})
        self.assertEqual((done.returncode, done.stdout.count("Job 4711: ")), (0, 2), done.stderr)
        with open(script.name + ".log") as log:
            self.assertIn("--dependency=afterany:4711 ", log.read().splitlines()[1])

    def collected(self, out):
        """The table that `sweep collect` writes, read by h5py and by pandas, from where the folder was moved to."""
        done = run(["sweep", "collect", self.out(out)])
        self.assertEqual(done.returncode, 0, done.stderr)
        moved = self.out("moved")
        shutil.copytree(self.out(out), moved)
        self.addCleanup(shutil.rmtree, moved, ignore_errors=True)
        os.rename(self.out(out), self.out("away"))
        try:
            frame = pandas.read_csv(os.path.join(moved, "sweep.csv"), float_precision="round_trip")
            with h5py.File(os.path.join(moved, "sweep.h5")) as file:
                self.assertEqual((file.attrs["format"], file.attrs["schema_version"]), (b"triseg-sweep", 1))
                columns = file["runs"].attrs["columns"].decode().split(",")
                self.assertEqual(columns, list(frame.columns))
                self.assertEqual(sorted(columns), sorted(file["runs"]))
                digest = hashlib.sha256()
                types = {"S": "string", "f": "f64", "i": "s32", "u": "u64"}
                for name in columns:
                    values = file["runs"][name][()]
                    self.assertTrue(file["runs"][name].attrs["long_name"])
                    digest.update(f"/runs/{name} {types[values.dtype.kind]} {len(values)}\n".encode())
                    digest.update(b"".join(value + b"\0" for value in values)
                                  if values.dtype.kind == "S" else values.tobytes())
                    if values.dtype.kind == "S":
                        self.assertEqual([value.decode() for value in values], list(frame[name]))
                    else:
                        numpy.testing.assert_array_equal(values, frame[name], name)
                self.assertEqual(file.attrs["content_sha256"].decode(), digest.hexdigest())
                for row, identifier in enumerate(frame.id):
                    self.assertEqual(identifier in file["files"], frame.state[row] != "failed")
                    if frame.state[row] == "failed":
                        continue
                    linked = file["files"][identifier]
                    self.assertEqual(linked.attrs["status"] == b"finished", frame.state[row] == "finished")
                    self.assertEqual(frame.episodes_scored[row], len(linked["episodes/reward"]))
                    self.assertEqual(frame.student_images[row], linked.attrs["student_images"])
                    self.assertAlmostEqual(frame.seconds[row], linked["updates/iteration_seconds"][()].sum())
                    final = [linked[name][()].sum()
                             for name in ("selected/test_images", "selected/test_mse_images", "top/validation_images")
                             if name in linked]
                    self.assertEqual(frame.final_images[row], sum(final))
                    self.assertLessEqual(frame.final_images[row], FINAL_IMAGES)
                    if frame.state[row] == "finished":
                        self.assertEqual(len(final), 3)
                        chosen = linked["selected/top_index"][()]
                        for name in ("validation_kd", "validation_accuracy", "coverage", "energy"):
                            self.assertEqual(frame[name][row], linked["top"][name][chosen], name)
                        self.assertAlmostEqual(frame.validation_accuracy_drop[row],
                                               linked["top/validation_accuracy_teacher"][chosen]
                                               - linked["top/validation_accuracy"][chosen])
        finally:
            os.rename(self.out("away"), self.out(out))
        return frame

    def assert_leaderboard(self, out, runs):
        """The settings by the KD that their run files have, one seed each."""
        kd = {}
        for each in runs:
            with h5py.File(self.run_of(out, each["id"])) as file:
                kd[tuple(each["values"][:2])] = file["top/validation_kd"][file["selected/top_index"][()]]
        rows = [line.split() for line in run(["sweep", "top", self.out(out)]).stdout.splitlines()]
        best = sorted(kd, key=kd.get)
        self.assertEqual([tuple(row[:2]) for row in rows[1:]], best)
        self.assertEqual([row[2:4] for row in rows[1:]], [["1", "192"]] * len(best))
        self.assertEqual([row[4] for row in rows[1:]], [f"{kd[setting]:.5f}" for setting in best])
        self.assertEqual([row[-1] for row in rows[1:]],
                         ["-", *(f"{kd[setting] - kd[best[0]]:.5f}" for setting in best[1:])])
        rows = run(["sweep", "top", self.out(out), "--where", "strategy=random", "--sort", "coverage",
                    "--limit", "1"]).stdout.splitlines()
        self.assertEqual(len(rows), 2)
        self.assertTrue(rows[1].startswith("random "))
        numbers = run(["sweep", "top", self.out(out), "--where", "tmax-percentile=8.5e1",
                       "--where", "seed=3"]).stdout.splitlines()
        self.assertEqual([row.split()[1] for row in numbers[1:]], ["85", "85"])
        for options, fragment in ((["--where", "tmax-percentile=84.0"],
                                   "no run has tmax-percentile = 84.0: expected one of 85, 95"),
                                  (["--where", "strategy=ppo", "--where", "strategy=random"],
                                   "--where: no run has strategy = ppo and strategy = random"),
                                  (["--sort", "luck"], "--sort: expected one of kd, "),
                                  (["--where", "lr=1"], "--where: lr does not vary"),
                                  (["--where", "strategy=mse"], "--where: no run has strategy = mse"),
                                  (["--where", "x"], "OPTION=VALUE")):
            self.assert_one_line_error(run(["sweep", "top", self.out(out), *options]), fragment)

    def test_a_dry_run_prints_the_table_and_does_nothing(self):
        file = self.write("seeds = 2\n" + BASE + AXES + '[[zip]]\nkd-T = [2, 2.0]\n')
        done = run(["sweep", file, "--dry-run", "--out", self.out("none")])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0].split(), ["index", "id", "strategy", "tmax-percentile", "kd-T", "seed"])
        self.assertEqual(len(lines), 1 + 8 + 2)
        self.assertEqual(lines[-2], "8 of 16 combinations equal another: each is done once")
        self.assertEqual(lines[-1], f"8 runs, {8 * 192 * 16} student images in their episodes, at most "
                         f"{8 * FINAL_IMAGES} in their final scoring")
        self.assertFalse(os.path.exists(self.out("none")))
        self.assertEqual(run(["sweep", file, "--dry-run"], 2).stdout, done.stdout)

    def test_what_runs_read_is_looked_at_before_the_first(self):
        for text, fragment in (('"sites" = ["all", "conv1, nosuch"]', "run with sites = conv1, nosuch: "),
                               ('"teacher" = ["none.h5"]', "run with teacher = none.h5: --teacher: none.h5"),
                               ('"calib-batches" = [4, 5000]',
                                "run with calib-batches = 5000: --calib-batches: 5000 batches of 16 images"),
                               ('"start" = ["none.json"]', "run with start = none.json: "),
                               ('"energy-table" = ["none.toml"]', "--energy-table: none.toml")):
            file = self.write(BASE.replace("calib-batches = 4\n", "") + f"[grid]\n{text}\n")
            done = run(["sweep", file, "--dry-run"])
            self.assert_one_line_error(done, file + ": run with ", fragment)
            self.assertTrue(done.stdout.startswith("index  id "))
        for ranks, command in ((None, []), (None, ["--slurm"]), (2, [])):
            errors = errors_in(self.sweep(file, "a", *command, ranks=ranks, expect=1).stderr)
            self.assertEqual(len(errors), 1, errors)
            self.assertIn("--energy-table: none.toml", errors[0])
            self.assertFalse(os.path.exists(os.path.join(self.out("a"), "runs")))

    def test_the_shipped_sweeps_are_read(self):
        configs = os.path.join(SOURCE, "configs")
        names = [name for name in os.listdir(configs) if name.startswith("sweep-")]
        self.assertTrue(names)
        for name in names:
            done = run(["sweep", os.path.join(configs, name), "--dry-run"])
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_failed_run_leaves_the_next_ones_as_they_are(self):
        """What a rank keeps from one run to the next, where a run in between fails on its way to other sites."""
        file = self.write(BASE.replace("batch-size = 16\n", "") +
                          '[grid]\nseed = [1, 2]\n[[zip]]\nsites = ["all", "conv"]\nbatch-size = [16, 100000]\n')
        self.assertIn("2 of 4 runs finished, 2 failed",
                      self.sweep(file, "a", "--runs-at-once", "1", *ALL_BY_INDEX, expect=1).stderr)
        third = self.table("a")["runs"][2]["id"]
        self.assertTrue(self.finished("a", third))
        self.sweep(file, "b", "--index", "2")
        self.assert_equal_files(self.run_of("a", third), self.run_of("b", third))

    def test_a_run_that_fails_is_recorded_and_the_others_go_on(self):
        missing = self.out("missing.h5")
        text = BASE + f'[[zip]]\nteacher = ["{FEW_TEACHER}", "{missing}"]\n'
        file = self.write(text + "[grid]\nseed = [1, 2]\n")
        done = self.sweep(file, "a", *ALL_BY_INDEX, expect=1)
        self.assertIn("2 of 4 runs finished, 2 failed", done.stderr)
        for each in self.table("a")["runs"]:
            failure = os.path.join(self.out("a"), "runs", each["id"], "failed.txt")
            self.assertEqual(os.path.exists(failure), missing in each["values"], each)
            if os.path.exists(failure):
                with open(failure) as reason:
                    self.assertIn(missing, reason.read())
            else:
                self.assertTrue(os.path.exists(self.run_of("a", each["id"])))
        said = run(["sweep", "status", self.out("a")]).stdout.splitlines()
        self.assertEqual(said[0], "4 runs: 2 finished, 2 failed")
        self.assertEqual(len(said), 3)
        self.assertIn(f"failed: --teacher: {missing}", said[1])
        self.assert_one_line_error(run(["sweep", "top", self.out("a"), "--where", f"teacher={missing}"]),
                                   f"no run with teacher = {missing} is finished yet")
        frame = self.collected("a")
        self.assertEqual(list(frame.state == "failed"), list(frame.teacher == missing))
        self.assertEqual(list(frame.validation_kd.isna()), list(frame.teacher == missing))
        # It is tried again, and what is finished is not done again.
        before = {each["id"]: os.stat(self.run_of("a", each["id"])).st_mtime_ns for each in self.table("a")["runs"]
                  if missing not in each["values"]}
        shutil.copy(FEW_TEACHER, missing)
        said = self.sweep(file, "a").stderr
        self.assertRegex(said, "Continuing .*: 2 of 4 runs finished, 384 episodes, 0 images of final scoring")
        self.assertEqual(said.count(": KD "), 2)
        self.assertIn("4 of 4 runs finished", said)
        for identifier, modified in before.items():
            self.assertEqual(os.stat(self.run_of("a", identifier)).st_mtime_ns, modified)
        # Nothing of a finished sweep is loaded, and what is missing beside a finished run is written again.
        os.remove(missing)
        result = self.run_of("a", identifier).replace(".h5", ".json")
        self.assertNotIn(": KD ", self.sweep(file, "a").stderr)
        with open(result, "rb") as opened:
            written = opened.read()
        os.remove(result)
        self.assertEqual(self.sweep(file, "a").stderr.count(": KD "), 1)
        with open(result, "rb") as opened:
            self.assertEqual(opened.read(), written)
        # A run that stands for another is not taken.
        seed_of = {each["id"]: each["values"][0] for each in self.table("a")["runs"]}
        other = next(each for each, seed in seed_of.items() if seed != seed_of[identifier])
        shutil.copy(self.run_of("a", identifier), self.out("kept"))
        shutil.copy(self.run_of("a", other), self.run_of("a", identifier))
        self.assertIn(f"{self.run_of('a', identifier)} was made with another configuration, ",
                      self.sweep(file, "a", expect=1).stderr)
        shutil.copy(self.out("kept"), self.run_of("a", identifier))
        # One that grows does not mix models.
        with h5py.File(self.run_of("a", identifier), "r+") as file_of_run:
            file_of_run.attrs["model_sha256"] = numpy.bytes_("0" * 64)
        shutil.copy(FEW_TEACHER, missing)
        grown = self.write(text + "[grid]\nseed = [1, 2, 3]\n", "grown.toml")
        self.assertIn(f"{self.run_of('a', identifier)} was finished with another model file than there is now",
                      self.sweep(grown, "a", expect=1).stderr)
        with h5py.File(self.run_of("a", identifier), "r+") as file_of_run:
            file_of_run.attrs["status"] = numpy.bytes_("running")
        self.assertIn(f"{identifier} seed=2 teacher={FEW_TEACHER}: waiting, 192 of 192 episodes, final scoring",
                      run(["sweep", "status", self.out("a")]).stdout)

    def test_a_stopped_or_killed_sweep_continues_to_the_same_bytes(self):
        file = self.write(BASE.replace("192", "1200") + "checkpoint-every = 0\n[grid]\nseed = [1, 2]\n")
        self.sweep(file, "whole")
        ids = [each["id"] for each in self.table("whole")["runs"]]
        for number, ranks in ((signal.SIGTERM, None), (signal.SIGKILL, None), (signal.SIGTERM, 2)):
            with self.subTest(number=number, ranks=ranks):
                out = f"parts{number}{ranks}"
                process, pids = held(lambda: start(["sweep", file, "--out", self.out(out), "--runs-at-once", "1"],
                                                   ranks),
                                     lambda: os.path.exists(self.run_of(out, ids[0])),
                                     lambda: not self.finished(out, ids[0]))
                for pid in pids:
                    os.kill(pid, number)
                let_go(pids)
                _, log = process.communicate(timeout=60)
                said = run(["sweep", "status", self.out(out)]).stdout
                self.assertRegex(said, "waiting, [0-9]+ of 1200 episodes"
                                 if number == signal.SIGTERM else "stale, [0-9]+ of 1200 episodes")
                if number == signal.SIGTERM:
                    self.assertEqual(process.returncode, 85, log)
                    self.assertIn("stopped by a signal: the same command continues", log)
                self.assertIn("2 of 2 runs finished", self.sweep(file, out).stderr)
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
            self.assert_one_line_error(run(["sweep", file, "--out", self.out("a"), *more]),
                                       f"a sweep is under way in {self.out('a')} by process ",
                                       "choose another --out")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85)

    def test_the_script_of_an_array_quotes_what_it_is_given(self):
        file, out = self.write(BASE + AXES, "a'b $(touch pwned).toml"), 'o "u\'t'
        words = ["--engine", "reference", "--threads", "3", "--transport", "mpi", "--rank-timeout", "77",
                 "--dedicated-learner", "--runs-at-once", "3"]
        done = run(["sweep", file, "--out", out, "--slurm", "--concurrent", "2", "--slurm-option", "time=01:00:00",
                    "--slurm-option", "exclusive", "--ranks-per-run", "2", "--tasks", "3", *words], cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        script = os.path.join(self.folder, out, "sweep.sbatch")
        with open(script) as text:
            lines = text.read().splitlines()
        for line in ("#SBATCH --array=0-2%2", "#SBATCH --time=01:00:00", "#SBATCH --exclusive", "#SBATCH --ntasks=2",
                     "##SBATCH --mem-per-cpu=2G"):
            self.assertIn(line, lines)
        self.assertNotIn("##SBATCH --time=04:00:00", lines)
        self.assertIn("an array of 3 tasks for 4 runs: task I does runs I, I + 3, I + 6, ...", lines[1])
        # The shell's own reading of the words.
        said = subprocess.run(["bash", "-c", 'through_limits() { printf "%s\\n" "$@"; }\n' + lines[-1]],
                              capture_output=True, text=True, cwd=self.folder,
                              env=os.environ | {"SLURM_ARRAY_TASK_ID": "7"})
        found = said.stdout.splitlines()
        self.assertEqual(found[:8],
                         ["sweep", file, "--out", os.path.join(os.path.realpath(self.folder), out), "--index", "7",
                          "--index-step", "3"])
        self.assertEqual(sorted(found[8:]), sorted(words))
        # Without --ntasks Slurm would take one node for one task.
        for option, expected in (("nodes=2", None), ("mem=2G", "#SBATCH --ntasks=1")):
            self.assertEqual(run(["sweep", file, "--out", out, "--slurm", "--slurm-option", option],
                                 cwd=self.folder).returncode, 0)
            with open(script) as text:
                self.assertEqual([line for line in text.read().splitlines() if line.startswith("#SBATCH --ntasks")],
                                 [expected] if expected else [])
        with open(script) as text:
            lines = text.read().splitlines()
        self.assertIn("an array of 4 tasks, a run each", lines[1])
        with open(os.path.join(SOURCE, "slurm", "through_limits.sh")) as text:
            self.assertIn(text.read(), "\n".join(lines), "the script has what slurm/*.sbatch share")
        self.assertFalse(os.path.exists(self.out("pwned")))
        self.assertEqual(subprocess.run(["bash", "-n", script]).returncode, 0)
        for options, fragment in ((["--slurm", "--slurm-option", "time=$(x)"], "--slurm-option: 'time=$(x)'"),
                                  (["--slurm", "--slurm-option", "array=3"], "the sweep's script says that itself"),
                                  (["--slurm", "--out", "a\\b"],
                                   "Slurm writes no logs into a folder whose name has a backslash"),
                                  (["--concurrent", "3"], "--concurrent: has no effect without --slurm"),
                                  (["--tasks", "3"], "--tasks: has no effect without --slurm"),
                                  (["--index", "0", "--ranks-per-run", "2"],
                                   "--ranks-per-run: has no effect with --index"),
                                  (["--slurm", "--ranks-per-run", "2", "--slurm-option", "ntasks=4"],
                                   "--slurm-option ntasks=4 says how many"),
                                  (["--slurm", "--index", "1"], "--index excludes --slurm")):
            self.assert_one_line_error(run(["sweep", file, *options], cwd=self.folder), fragment)

    def test_bad_sweeps_are_one_line(self):
        for text, fragment in (("[grid]\nstrateg = ['ppo']\n", "[grid]: unknown key 'strateg'"),
                               ("x = [", "cannot be read as TOML")):
            file = self.write(text)
            self.assert_one_line_error(run(["sweep", file]), file, fragment)
            errors = errors_in(run(["sweep", file], 2).stderr)
            self.assertEqual(len(errors), 1, errors)
            self.assertIn(fragment, errors[0])
        self.assert_one_line_error(run(["sweep", self.out("none.toml")]), "none.toml")
        self.assert_one_line_error(run(["sweep"]), "sweep: expected the name of a sweep file")
        self.assert_one_line_error(run(["sweep", "status", "."], cwd=self.folder),
                                   ". is no folder of a sweep: there is no ./sweep.json")
        file = self.write(BASE)
        self.assert_one_line_error(run(["sweep", file, "--index", "1", "--out", self.out("a")]),
                                   "--index: expected 0 to 0, found 1")
        self.assert_one_line_error(run(["sweep", file, "--index-step", "2"]),
                                   "--index-step: has no effect without --index")
        self.assert_one_line_error(run(["sweep", file, "--dry-run=no"]), "--dry-run: expected no value")
        self.assert_one_line_error(run(["sweep", "status", self.folder, "--wtach"]),
                                   "unknown option '--wtach': did you mean '--watch'? triseg sweep status --help")
        self.assert_one_line_error(run(["sweep", "collect", self.folder]), "is no folder of a sweep")
        os.mkdir(self.out("a"))
        with open(os.path.join(self.out("a"), "sweep.json"), "w") as table:
            table.write('{"format": "triseg-sweep 1", "varied": ["lr"], "runs": [{"id": "00", "values": ["quick"]}]}')
        self.assert_one_line_error(run(["sweep", "collect", self.out("a")]),
                                   "sweep.json: --lr: expected a number, found 'quick'")
        # An index counts in the table that was written when the array was submitted.
        self.assert_one_line_error(run(["sweep", file, "--index", "0", "--out", self.out("a")]),
                                   "sweep.json is not the table of the sweep file")


if __name__ == "__main__":
    unittest.main()
