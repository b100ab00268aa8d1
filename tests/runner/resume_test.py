"""Ranks, kills and signals: the bytes are the same, and nothing is lost."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy

from program import (VALIDATION_IMAGES, ProgramTest, children, command, environment, episodes_in, held, let_go, quick,
                     result_file, run, run_file, start, wait_for_episodes)


LONG = ["--episodes", "960", "--checkpoint-every", "0"]
STOPPING = "triseg: stopping after this iteration; Ctrl-C ends it at once\n"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def scored_in(path):
    """The most images that a finalist is scored on so far, 0 while there is no run file or no finalist in it."""
    if not os.path.exists(path):
        return 0
    with h5py.File(path) as file:
        return max(file["/finalists/images"][()], default=0)


class Ranks(ProgramTest):
    def test_any_number_of_ranks_writes_the_same_bytes(self):
        self.search("alone")
        for ranks in (None, 1, 2, 3, 4):  # None: started by hand
            with self.subTest(ranks=ranks):
                done = self.search(f"r{ranks}", "--transport", "mpi", ranks=ranks)
                self.assertIn(f"transport mpi: {ranks or 1} rank", done.stderr)
                self.assert_same_run(self.out("alone"), self.out(f"r{ranks}"))

    def test_a_dedicated_learner_changes_no_byte(self):
        self.search("a")
        for ranks in (None, 3):
            self.search(f"b{ranks}", "--dedicated-learner", ranks=ranks)
            self.assert_same_run(self.out("a"), self.out(f"b{ranks}"))

    def test_threads_and_engine_change_no_byte(self):
        few = ["--episodes", "64"]  # the reference takes its time
        self.search("a", "--threads", "1", *few)
        for name, more in (("b", ["--threads", "3"]), ("c", ["--threads", "2", "--engine", "reference"])):
            self.search(name, *few, *more)
            self.assert_same_run(self.out("a"), self.out(name))

    def test_with_a_lag_the_policy_is_one_iteration_behind_on_any_number_of_ranks(self):
        frozen = ["--mean-rate", "0", "--width-rate", "0"]
        self.search("frozen", *frozen, "--episodes", "96")
        self.search("lag0", "--episodes", "96")
        self.search("lag1", "--lag", "1")
        codes = {}
        for name in ("frozen", "lag0", "lag1"):
            with h5py.File(run_file(self.out(name))) as file:
                codes[name] = [file["/episodes/codes"][i:i + 32].tobytes() for i in (0, 32, 64)]
                self.assertTrue((file["/updates/update_seconds"][()] > 0).all())
        same = {name: [a == b for a, b in zip(codes[name], codes["frozen"])] for name in ("lag0", "lag1")}
        self.assertEqual(same, {"lag0": [True, False, False], "lag1": [True, True, False]})
        for ranks, more in ((2, []), (3, ["--dedicated-learner"])):
            self.search(f"r{ranks}", "--lag", "1", *more, ranks=ranks)
            self.assert_same_run(self.out("lag1"), self.out(f"r{ranks}"))


class Resume(ProgramTest):
    def interrupted(self, name, signal_number, ranks, after, target):
        process, held = self.hold(name, after, 960, *LONG, ranks=ranks)
        os.kill(target(process), signal_number)
        let_go(held)
        _, log = process.communicate(timeout=120)
        return process.returncode, log

    def test_killed_runs_end_in_the_bytes_of_an_uninterrupted_one(self):
        self.search("whole", *LONG)
        for after, resumed_on in ((32, None), (320, 3)):
            name = f"killed{after}"
            code, _ = self.interrupted(name, signal.SIGKILL, None, after, lambda p: p.pid)
            self.assertEqual(code, -signal.SIGKILL)
            self.assertLess(episodes_in(run_file(self.out(name))), 960)
            self.search(name, *LONG, ranks=resumed_on)
            self.assert_same_run(self.out("whole"), self.out(name))

    def test_with_a_lag_a_checkpoint_has_what_is_not_learned_from_yet(self):
        lag = LONG + ["--lag", "1"]
        self.search("whole", *lag)
        for after, resumed_on in ((32, 3), (320, None)):
            name = f"killed{after}"
            process, _ = self.hold(name, after, 960, *lag)
            process.kill()
            process.communicate()
            with h5py.File(run_file(self.out(name))) as file:
                self.assertEqual(file["/checkpoint/tensors/search/unlearned_log_probability"].shape, (32, 4))
                self.assertEqual(file["/updates/update_seconds"][-1], 0)
            self.search(name, *lag, ranks=resumed_on)
            self.assert_same_run(self.out("whole"), self.out(name))

    def test_a_dead_rank_ends_all_and_loses_nothing(self):
        self.search("whole", *LONG)
        code, _ = self.interrupted("dead", signal.SIGKILL, 2, 96, lambda p: children(p.pid)[-1])
        self.assertEqual(code, 128 + signal.SIGKILL)
        done = self.search("dead", *LONG)
        self.assertIn("Continuing", done.stderr)
        self.assert_same_run(self.out("whole"), self.out("dead"))

    def test_a_failing_learner_ends_all_ranks_with_one_line(self):
        process = start(quick("--out", self.out("a"), "--episodes", "100000", "--checkpoint-every", "0"), 2)
        wait_for_episodes(run_file(self.out("a")), 32, process)
        os.rename(self.out("a"), self.out("gone"))  # the folder disappears: the next commit fails
        _, log = process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        errors = [line for line in log.splitlines() if line.startswith("triseg: error: ")]
        self.assertEqual(len(errors), 1, log)
        self.assertIn(run_file(self.out("a")), errors[0])
        self.assertGreaterEqual(episodes_in(run_file(self.out("gone"))), 32, "what was committed is whole")

    def test_two_searches_do_not_write_one_run(self):
        for ranks in (None, 2):
            with self.subTest(ranks=ranks):
                name = f"a{ranks}"
                process = start(quick("--out", self.out(name), "--episodes", "100000", "--checkpoint-every", "0"),
                                ranks)
                wait_for_episodes(run_file(self.out(name)), 32, process)
                writer = process.pid if ranks is None else children(process.pid)[0]
                for more in ([], ["--seed", "2"]):
                    self.assert_one_line_error(run(quick("--out", self.out(name), *more)), run_file(self.out(name)),
                                               "is being written by process ", " on host ", "--result-file")
                self.search(name, "--result-file", "other.json")
                os.kill(writer, signal.SIGKILL)
                process.communicate(timeout=60)
                lock = os.path.join(os.path.dirname(run_file(self.out(name))), ".quick.h5.lock")
                self.assertTrue(os.path.exists(lock), "a killed process leaves its lock file")
                os.remove(run_file(self.out(name)))
                self.search(name)
                self.assertFalse(os.path.exists(lock), "which locks nobody out, and is removed")

    def test_a_file_system_without_locks_is_no_obstacle(self):
        with open(self.out("flock.c"), "w") as file:
            file.write("#include <errno.h>\nint flock(int fd, int how) { (void)fd; (void)how; errno = ENOLCK; return "
                       "-1; }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.out("flock.so"), self.out("flock.c")], check=True)
        preloaded = {"LD_PRELOAD": self.out("flock.so"),
                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        done = subprocess.run(command(quick("--out", self.out("a")), None), env=environment() | preloaded,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cannot be locked", done.stderr)

    def test_the_result_of_another_is_not_overwritten(self):
        foreign = '{"layers": {}, "model": "LeNet5", "backend": "fbgemm"}'
        os.makedirs(os.path.dirname(result_file(self.out("a"))))
        for expected in ("belongs to no run beside it", "belongs to another run than the one beside it"):
            with open(result_file(self.out("a")), "w") as file:
                file.write(foreign)
            self.assert_one_line_error(run(quick("--out", self.out("a"))), result_file(self.out("a")), expected,
                                       "--result-file")
            with open(result_file(self.out("a"))) as file:
                self.assertEqual(file.read(), foreign)
            os.remove(result_file(self.out("a")))
            self.search("a")
        os.remove(run_file(self.out("a")))
        self.search("a")  # its own JSON is in nobody's way
        for path in (result_file(self.out("a")), result_file(self.out("a")).replace(".json", ".pareto.csv")):
            with self.subTest(path):
                with open(path) as file:
                    mine = file.read().replace("conv", "kept").replace("tmax", "kept")
                with open(path, "w") as file:
                    file.write(mine)
                os.remove(run_file(self.out("a")))
                self.assertIn(f"warning: {path} is not what this version makes of the run", self.search("a").stderr)
                with open(path) as file:
                    self.assertEqual(file.read(), mine, "what was edited stays")
                os.remove(path)
                self.search("a")

    def test_a_foreign_front_is_found_before_the_search(self):
        pareto = result_file(self.out("a")).replace(".json", ".pareto.csv")
        os.makedirs(os.path.dirname(pareto))
        with open(pareto, "w") as file:
            file.write("mine\n")
        self.assert_one_line_error(run(quick("--out", self.out("a"))), pareto, "no finished run beside it",
                                   "--result-file")
        self.assertEqual(os.listdir(os.path.dirname(pareto)), [os.path.basename(pareto)])

    def test_a_finished_run_is_left_alone(self):
        self.search("a")
        with open(run_file(self.out("a")), "rb") as file:
            before = file.read()
        done = self.search("a")
        self.assertIn("nothing to do", done.stderr)
        self.assertIn("student accuracy", done.stdout)
        with open(run_file(self.out("a")), "rb") as file:
            self.assertEqual(file.read(), before)
        written = self.results_of("a")
        self.assertEqual(sorted(written), ["quick.json", "quick.pareto.csv"])
        for name in written:
            os.remove(os.path.join(os.path.dirname(result_file(self.out("a"))), name))
        self.search("a")
        self.assertEqual(self.results_of("a"), written, "lost files are written again")

    def test_another_configuration_is_refused_by_its_keys(self):
        self.search("a")
        with open(run_file(self.out("a")), "rb") as file:
            before = file.read()
        done = run(quick("--out", self.out("a"), "--lr", "0.01", "--seed", "4"))
        self.assert_one_line_error(done, "--lr (0.0003 instead of 0.01)",
                                   "--seed (1 instead of 4)", run_file(self.out("a")))
        self.assertNotIn("--episodes", done.stderr)
        with open(run_file(self.out("a")), "rb") as file:
            self.assertEqual(file.read(), before)
        close = run(quick("--out", self.out("b"), "--seed", "12345678901234567"))
        self.assertEqual(close.returncode, 0, close.stderr)
        close = run(quick("--out", self.out("b"), "--seed", "12345678901234569"))
        self.assert_one_line_error(close, "--seed (12345678901234567 instead of 12345678901234569)")
        same = run(quick("--out", self.out("a"), "--lr", "3e-4"))
        self.assertEqual(same.returncode, 0, same.stderr)

class Longer(ProgramTest):
    """Runs that go on beyond their end, and what is taken from runs that have not come to it."""

    def test_more_episodes_make_the_run_that_had_them_from_the_start(self):
        kinds = {name: ["--strategy", name] for name in ("ppo", "cma-es", "coordinate", "random", "mse")}
        kinds |= {"repair": ["--repair", "layer", "--repair-images", "200"],
                  "tmax": ["--tmax-mode", "search", "--objective", "pareto", "--pass-shares", "0,1,8.0"]}
        for name, more in kinds.items():
            with self.subTest(name):
                whole, longer = name + "-whole", name + "-longer"
                self.search(whole, *more)
                self.search(longer, *more, "--episodes", "96")
                kept = f"quick.{episodes_in(run_file(self.out(longer)))}-episodes"
                shorter = {file.replace("quick", kept): text for file, text in self.results_of(longer).items()}
                for lost in {"cma-es": [".json"], "random": [".json", ".pareto.csv"]}.get(name, []):
                    os.remove(result_file(self.out(longer)).replace(".json", lost))
                done = self.search(longer, *more)
                self.assertIn(kept + ".json", done.stderr)
                self.assertNotIn("warning", done.stderr)
                self.assert_same_run(self.out(whole), self.out(longer))
                self.assertEqual(self.results_of(longer), self.results_of(whole) | shorter)
        done = run(quick("--out", self.out("ppo-longer"), "--episodes", "96"))
        self.assert_one_line_error(done, "--episodes (192 instead of 96)")

    def test_a_stopped_search_is_finished_where_it_is(self):
        """By --finish, or by --episodes that it has not gone beyond: to the bytes of a run that had them from the
        start."""
        for name, more, ranks in (("ppo", [], None), ("lag", ["--lag", "1"], 2),
                                  ("cma-es", ["--strategy", "cma-es"], None),
                                  ("tmax", ["--tmax-mode", "search", "--objective", "pareto", "--pass-shares", "0,1"],
                                   None)):
            with self.subTest(name):
                long = [*more, "--episodes", "64000", "--time-limit", "0.5"]
                self.search(name, *long, expect=85, ranks=ranks)
                done = episodes_in(run_file(self.out(name)))
                shutil.copytree(self.out(name), self.out(name + "-lower"))
                self.assert_one_line_error(run(quick("--out", self.out(name), *more, "--episodes", str(done - 1))),
                                           f"--episodes (64000 instead of {done - 1})")
                ended = self.search(name, *long[:-2], "--finish", ranks=ranks)
                self.assertIn("JSON: " + result_file(self.out(name)), ended.stdout)
                self.search(name + "-lower", *more, "--episodes", str(done))
                self.search(name + "-whole", *more, "--episodes", str(done))
                for other in ("-lower", "-whole"):
                    self.assert_same_run(self.out(name), self.out(name + other))
                self.assertIn("nothing to do", self.search(name, *long, "--finish").stderr)
        self.assert_one_line_error(run(quick("--out", self.out("none"), "--finish")),
                                   "--finish: ", "quick.h5 is not there")

    def test_what_a_longer_run_would_not_have_come_to_is_refused(self):
        for name, episodes, more, expected in (("part", "100", [], "100 episodes and ends within an iteration of 32"),
                                               ("lag", "96", ["--lag", "1"], "--lag 1")):
            self.search(name, "--episodes", episodes, *more)
            before = digest(run_file(self.out(name)))
            done = run(quick("--out", self.out(name), *more))
            self.assert_one_line_error(done, run_file(self.out(name)), expected)
            self.assertEqual(digest(run_file(self.out(name))), before)

    def test_a_time_limit_stops_as_a_signal_does(self):
        long = ["--episodes", "64000", "--eval-every", "0"]
        done = self.search("a", *long, "--time-limit", "0.5", expect=85)
        self.assertIn("Stopped by --time-limit at episode ", done.stderr)
        path = run_file(self.out("a"))
        episodes = episodes_in(path)
        self.search("a", *long, "--time-limit", "0.5", expect=85)
        self.assertGreater(episodes_in(path), episodes)

        picked = run(["pick", path, "--out", self.out("best.json")])
        self.assertEqual(picked.returncode, 0, picked.stderr)
        self.check_picked(path, self.out("best.json"), picked)
        self.assertEqual(run(["pick", path, "--episode", "5"]).returncode, 0)
        self.assert_one_line_error(run(["pick", path, "--episode", "99999999"]), "expected an episode below")

    def check_picked(self, path, result_path, done):
        """The best of some on validation: what it is, what it and the start score there."""
        with open(result_path, encoding="utf-8") as file:
            result = json.load(file)
        selected = result["selected"]
        with h5py.File(path) as file:
            gain = file["/episodes/reward"][()] - file["/updates/reference_reward"][()][
                file["/episodes/iteration"][()].astype(int)]
            if selected["origin"] == "episode":
                self.assertGreaterEqual(gain[selected["episode"]], numpy.unique(gain)[-8])
                codes = file["/episodes/codes"][selected["episode"]]
            else:
                codes = file["/evaluations/codes"][file["/evaluations/iteration"][()].tolist().index(
                    selected["iteration"])]
        self.assertEqual([[site[f"{code}_code"] for code in ("t1", "v1", "t2", "v2")]
                          for site in result["layers"].values()], codes.tolist())
        for name, changed in (("kd", {}), ("kd_start", self.start_codes(path, result))):
            with open(self.out("judged.json"), "w", encoding="utf-8") as file:
                json.dump(result | changed, file)
            judged = run(["evaluate", self.out("judged.json"), "--split", "validation", "--format", "json"])
            self.assertEqual((judged.returncode, json.loads(judged.stdout)["kd"]), (0, selected[name]), judged.stderr)
        self.assertIn(f"KD {selected['kd']:.5f}; the start has {selected['kd_start']:.5f} on the same images\n",
                      done.stdout)
        self.assertEqual("no better than the start" in done.stderr, selected["kd"] >= selected["kd_start"])

    @staticmethod
    def start_codes(path, result):
        with h5py.File(path) as file:
            codes = numpy.column_stack([file["/sites/start_codes"][()], file["/sites/tmax"][()]]).tolist()
        return {"layers": {site: {f"{name}_code": code for name, code in zip(("t1", "v1", "t2", "v2", "tmax"), row)}
                           for site, row in zip(result["layers"], codes)}}

    def test_what_is_picked_of_a_stopped_search(self):
        """An episode where the policy was never asked, and what is best on validation where it was."""
        origins = set()
        for name, more in (("none", ["--eval-every", "0"]), ("every", ["--eval-every", "1", "--lr", "0.01"])):
            self.search(name, "--episodes", "64000", "--time-limit", "0.5", *more, expect=85)
            path = run_file(self.out(name))
            picked = run(["pick", path, "--out", self.out(name + ".json")])
            self.assertEqual(picked.returncode, 0, picked.stderr)
            self.check_picked(path, self.out(name + ".json"), picked)
            with open(self.out(name + ".json"), encoding="utf-8") as file:
                origins.add(json.load(file)["selected"]["origin"])
        self.assertIn("episode", origins)

        with h5py.File(path) as file:
            gain = file["/episodes/reward"][()] - file["/updates/reference_reward"][()][
                file["/episodes/iteration"][()].astype(int)]
        worst = run(["pick", path, "--episode", str(gain.argmin())])
        self.assertEqual(worst.returncode, 0)
        self.assertIn("no better than the start", worst.stderr)
        self.assert_one_line_error(run(["pick", path, "--data", "shapes", "--out", self.out("x.json")]), "other images",
                                   "--data")

    def test_a_result_is_a_start(self):
        self.search("a", "--repair", "layer", "--repair-images", "200")
        start = ["--start", result_file(self.out("a")), "--repair-images", "200", "--final-scoring", "all"]
        done = self.search("b", *start)
        for option, value in (("--tmax-percentile", "80"), ("--warm-start", "init")):
            self.assert_one_line_error(run(quick("--out", self.out("x"), *start, option, value)),
                                       f"{option}: has no effect here")
        with h5py.File(run_file(self.out("a"))) as a, h5py.File(run_file(self.out("b"))) as b:
            self.assertEqual(b["/sites/start_codes"][()].tolist(), a["/selected/codes"][()].tolist())
            self.assertEqual(b["/sites/tmax"][()].tolist(), a["/sites/tmax"][()].tolist())
            self.assertEqual(b.attrs["repair"], b"layer")
            for name in ("repair_multiplier", "repair_bias"):
                self.assertEqual(b["/selected/" + name][()].tolist(), a["/selected/" + name][()].tolist())
            self.assertIn(b"start", b["/top/origin"][()].tolist())
            chosen = a["/selected/top_index"][()]
            of_start = b["/top/origin"][()].tolist().index(b"start")
            self.assertEqual([file["/top/validation_images"][row] for file, row in ((a, chosen), (b, of_start))],
                             [VALIDATION_IMAGES] * 2)
            self.assertEqual(b["/top/validation_kd"][of_start], a["/top/validation_kd"][chosen])
        self.search("two", *start, ranks=2)
        self.assert_same_run(self.out("b"), self.out("two"))
        self.assert_one_line_error(run(quick("--out", self.out("x"), "--start", run_file(self.out("a")))),
                                   "--start: ", "NAME.json", "triseg pick")

        other = self.out("other.json")
        with open(result_file(self.out("a")), encoding="utf-8") as file:
            result = json.load(file)
        result["layers"]["conv1"]["t1_code"] = 1
        with open(other, "w", encoding="utf-8") as file:
            json.dump(result, file)
        self.assert_one_line_error(run(quick("--out", self.out("b"), "--start", other, *start[2:])),
                                   "--start (other codes or another repair)")
        result["layers"]["conv1"]["t1_code"] = 0
        with open(other, "w", encoding="utf-8") as file:
            json.dump(result, file)
        self.assert_one_line_error(run(quick("--out", self.out("c"), "--start", other)), "codes of conv1 are not legal")
        for more, expected in ((["--sites", "conv"], "give the same with --sites"),
                               (["--tmax-mode", "search"], "--tmax-mode search looks for"),
                               (["--warm-start", "none"], "--warm-start: has no effect here"),
                               (["--repair", "channel"], "a repair of mode layer")):
            self.assert_one_line_error(run(quick("--out", self.out("c"), "--start", result_file(self.out("a")), *more)),
                                       "--", expected)


class Stopping(ProgramTest):
    def test_stop_signals_commit_and_exit_with_85(self):
        self.search("whole", *LONG)
        own = lambda p: p.pid
        resumed = ("term", "rank1", "mpirun")  # the others take the same way
        for name, number, ranks, target, notices in (("term", signal.SIGTERM, None, own, 1),
                                                     ("int", signal.SIGINT, None, own, 1),
                                                     ("usr1", signal.SIGUSR1, None, own, 1),
                                                     ("usr2", signal.SIGUSR2, None, own, 1),
                                                     ("hup", signal.SIGHUP, None, own, 1),
                                                     ("xcpu", signal.SIGXCPU, None, own, 1),
                                                     ("rank1", signal.SIGUSR2, 2, lambda p: children(p.pid)[-1], 0),
                                                     ("mpirun", signal.SIGUSR2, 3, own, 1)):
            with self.subTest(name):
                # The last checkpoint is the first one here: what comes later was committed because of the signal.
                process, held = self.hold(name, 0, 960, "--episodes", "960", "--checkpoint-every", "1000000",
                                          ranks=ranks)
                os.kill(target(process), number)
                time.sleep(0.1 if ranks else 0)  # mpirun passes it on
                let_go(held)
                _, log = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 85, log)
                self.assertEqual(log.count(STOPPING), notices, log)
                self.assertGreater(episodes_in(run_file(self.out(name))), 0)
                if name in resumed:
                    self.search(name, *LONG)
                    self.assert_same_run(self.out("whole"), self.out(name))

    def long_iteration(self, name, **more):
        """A search whose first iteration has begun and takes minutes, and a function that waits for the next notice."""
        process = start(quick("--episodes", "40000", "--episodes-per-update", "20000", "--batch-size", "64",
                              "--threads", "1", "--out", self.out(name)), **more)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if "[start]" in line:
                break

        def wait_for_notice():
            self.assertIn(STOPPING, iter(process.stderr.readline, ""))

        while not os.path.exists(run_file(self.out(name))) and process.poll() is None:
            time.sleep(0.01)
        return process, wait_for_notice

    def test_a_second_ctrl_c_ends_it_at_once(self):
        for first in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(first):
                process, wait_for_notice = self.long_iteration(f"a{first}")
                process.send_signal(first)
                wait_for_notice()
                process.send_signal(signal.SIGTERM)  # a batch system's second one ends nothing
                self.assertIsNone(process.poll())
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(60), -signal.SIGINT)

    def test_a_signal_that_is_ignored_from_the_start_stays_ignored(self):
        process, _ = self.long_iteration("a", prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        with open(f"/proc/{process.pid}/status") as file:
            masks = {line.split()[0]: int(line.split()[1], 16) for line in file
                     if line.startswith("Sig") and "/" not in line}
        caught = [s for s in signal.Signals if masks["SigCgt:"] >> (s - 1) & 1 and s < signal.SIGRTMIN]
        self.assertEqual(set(caught), {signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, signal.SIGINT})
        self.assertTrue(masks["SigIgn:"] >> (signal.SIGHUP - 1) & 1)

    def test_ctrl_c_at_mpirun_commits_though_mpirun_ends_with_a_code_of_its_own(self):
        arguments = quick("--episodes", "40000", "--checkpoint-every", "1000000", "--eval-every", "0",
                          "--out", self.out("a"))
        process = start(arguments, 2)
        while not os.path.exists(run_file(self.out("a"))) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=60)
        self.assertNotIn(process.returncode, (0, 85), log)
        self.assertEqual(log.count(STOPPING), 1, log)
        stopped = re.search(r"Stopped by a signal at episode (\d+) of 40000; the same command continues", log)
        self.assertEqual(episodes_in(run_file(self.out("a"))), int(stopped[1]))
        self.assertGreater(int(stopped[1]), 0)
        resumed = start(arguments, 2)
        self.addCleanup(resumed.communicate)
        self.addCleanup(resumed.kill)
        self.assertTrue(any(f"at episode {stopped[1]} of 40000" in line for line in resumed.stderr),
                        "it continues there")

    def test_a_stop_during_the_final_scoring_keeps_what_is_scored_unless_more_episodes_come(self):
        many = ["--data", "fashion-mnist", "--episodes", "64", "--top-k", "3", "--threads", "1",
                "--checkpoint-every", "0"]
        self.search("whole", *many, ranks=2)

        def begin():
            shutil.rmtree(self.out("a"), ignore_errors=True)
            return start(quick("--out", self.out("a"), *many))

        path = run_file(self.out("a"))
        process, held_processes = held(begin, lambda: scored_in(path), lambda: 0 < scored_in(path) < 8000)
        process.send_signal(signal.SIGTERM)
        let_go(held_processes)
        _, log = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85, log)
        shutil.copytree(self.out("a"), self.out("longer"))
        self.assertEqual(run(["validate", path]).returncode, 0)
        with h5py.File(path) as file:
            scored = file["/finalists/images"][()]
            self.assertEqual(scored.shape, (10,))
        done = re.search(r"Scoring 10 candidates on 10000 validation images, (\d+) of 100000 student images done",
                         self.search("a", *many).stderr)
        self.assertEqual(int(done[1]), scored.sum())
        self.assertGreater(int(done[1]), 0)
        self.assert_same_run(self.out("whole"), self.out("a"))

        many[many.index("64")] = "96"
        for name in ("longer", "whole-longer"):
            self.search(name, *many, ranks=2)
        self.assert_same_run(self.out("whole-longer"), self.out("longer"))


if __name__ == "__main__":
    unittest.main()
