"""triseg search from outside: what it writes, what it logs, and that its options do what they promise."""
import csv
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
import unittest

import h5py
import numpy

from program import (FEW_DATA, FEW_TEACHER, QUICK, SOURCE, VALIDATION_IMAGES, ProgramTest, passed,
                     quick, result_file, run, run_file, start, wait_for_episodes)


class Files(ProgramTest):
    def test_json_and_hdf5_tell_the_same_and_are_valid(self):
        done = self.search("a")
        with open(result_file(self.out("a"))) as file:
            text = file.read()
        result = json.loads(text)
        self.assertEqual(sum("tmax_code" in line for line in text.splitlines()), 4)
        self.assertEqual(list(result["layers"]), ["conv1", "conv2", "fc1", "fc2"])
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(file["/episodes/codes"].shape, (192, 4, 4))
            self.assertEqual(file.attrs["status"], b"finished")
            for i, codes in enumerate(result["layers"].values()):
                self.assertEqual([codes[k] for k in ("t1_code", "v1_code", "t2_code", "v2_code")],
                                 list(file["/selected/codes"][i]))
                self.assertEqual(codes["tmax_code"], file["/sites/tmax"][i])
            self.assertTrue((file["/episodes/tmax"][()] == file["/sites/tmax"][()]).all())
            self.assertLess(abs(file["/updates/pass_share"][()] - passed(file, file["/sites/tmax"][()])[0]).max(),
                            1e-12)
            codes, tmax = file["/episodes/codes"][()].astype(int), file["/sites/tmax"][()]
            t1, v1, t2, v2 = (codes[..., k] for k in range(4))
            self.assertTrue(((1 <= t1) & (t1 < v1) & (v1 <= t2) & (t2 < v2) & (v2 <= tmax)).all())
            kd, attention, reward = (file["/episodes/" + k][()] for k in ("kd", "attention", "reward"))
            self.assertLess(abs(reward + kd + 0.1 * attention).max(), 1e-12)
        checked = run(["validate", run_file(self.out("a"))])
        self.assertEqual(checked.returncode, 0, checked.stdout)
        for name, path in (("JSON", result_file(self.out("a"))), ("HDF5", run_file(self.out("a")))):
            self.assertIn(f"{name}: {path}", done.stdout)
        self.assertIn("teacher accuracy", done.stdout)

    def test_candidates_are_compared_in_pairs(self):
        done = self.search("a", "--data", "fashion-mnist", "--max-acc-drop", "100")
        with h5py.File(run_file(self.out("a"))) as file:
            records, images = file["/top/validation_record_rewards"][()], file["/top/validation_images"][()].astype(int)
            self.assertEqual((records.shape, images[0]), ((9, 80), 10000))
            self.assertEqual(sorted(images, reverse=True), list(images))
            self.assertLess(images[-1], 10000, "a race drops some, and their rows end in NaN")
            self.assertEqual(list((~numpy.isnan(records)).sum(axis=1)), list(images // 125))
            self.assertTrue(set(file["/pareto/top_index"][()]) <= set(numpy.flatnonzero(images == 10000)))
            rewards = -(file["/top/validation_kd"][()] + 0.1 * file["/top/validation_attention"][()])
            self.assertLess(abs(numpy.nansum(records, axis=1) / images - rewards).max(), 1e-9)
            for images_of_rows in set(images):
                self.assertTrue((numpy.diff(rewards[images == images_of_rows]) <= 0).all(), "best first")
            paired = (records - records[0]) / 125
            mean, error = numpy.nanmean(paired, axis=1), numpy.nanstd(paired, axis=1, ddof=1) / (images / 125)**0.5
            self.assertLess(abs(file["/top/validation_difference"][()] - mean).max(), 1e-12)
            self.assertLess(abs(file["/top/validation_difference_error"][()] - error).max(), 1e-12)
            self.assertLess(error[1], (records[1] / 125).std(ddof=1) / 80**0.5, "pairing takes out the images")
            within = int((mean >= -1.96 * error).sum())
            self.assertEqual(file["/selected/within_error_of_best"][()], within)
            b, c = (int(file["/selected/test_" + k][()]) for k in ("teacher_only", "student_only"))
            p = min(1.0, 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2**(b + c))
            self.assertAlmostEqual(file["/selected/test_mcnemar_p"][()], p, delta=1e-9 * p)
            gap = file["/selected/test_kd"][()] - file["/top/validation_kd"][0]
            self.assertAlmostEqual(file["/selected/gap_kd"][()], gap, places=12)
        with open(result_file(self.out("a"))) as file:
            result = json.load(file)
        self.assertEqual(result["selected"]["within_error_of_best"], within)
        self.assertEqual(result["selected"]["difference_to_best"], 0)
        self.assertAlmostEqual(result["metrics"]["mcnemar_p"], p, delta=1e-9 * p)
        self.assertIn(f"{within} of 9 candidates are not told from the best on validation", done.stdout)

    def test_costs_and_the_pareto_front(self):
        done = self.search("a")
        self.assertIn("energy", done.stdout)
        with open(result_file(self.out("a"))) as file:
            cost = json.load(file)["cost"]
        with h5py.File(run_file(self.out("a"))) as file:
            for key, name in (("coverage", "coverage"), ("energy_pj", "energy"), ("energy_exact_pj", "energy_exact")):
                self.assertEqual(cost[key], file["/selected/" + name][()])
            shares = sum(file["/selected/site_" + k][()] for k in ("zero", "v1", "v2", "passed"))
            self.assertLess(abs(shares - 1).max(), 1e-12)
            front = list(file["/pareto/top_index"][()])
            coverage, kd, energy = (file["/top/" + k][()] for k in ("coverage", "validation_kd", "energy"))
            accuracy = file["/top/validation_accuracy"][()]
            self.assertIn(kd.argmin(), front)
            for i in front:
                self.assertFalse(((coverage > coverage[i]) & (kd < kd[i]) & (accuracy > accuracy[i]) & (energy <
                                                                                                        energy[
                                                                                                            i])).any())
        with open(os.path.join(self.out("a"), "tri_ppo_int_codes", "quick.pareto.csv")) as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([int(row["top_index"]) for row in rows], front)
        self.assertEqual([float(row["validation_kd"]) for row in rows], [kd[i] for i in front])

    def test_analysis_scripts_read_it(self):
        self.search("a")
        summary = subprocess.run([sys.executable, os.path.join(SOURCE, "analysis", "read_run.py"),
                                  run_file(self.out("a"))],
                                 capture_output=True, text=True)
        for done, fragment in ((summary, "conv2"),
                               (run(["table", run_file(self.out("a"))]), "| lenet5, 4 sites | 1 |")):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(fragment, done.stdout)

    def test_evaluate_repeats_the_report(self):
        self.search("a")
        result = result_file(self.out("a"))
        evaluated = json.loads(run(["evaluate", result, "--format", "json"]).stdout)
        with open(result) as file:
            metrics = json.load(file)["metrics"]
        for key in ("acc_teacher", "acc_student", "acc_drop"):
            self.assertAlmostEqual(evaluated[key], metrics[key], places=9)
        self.assertEqual((evaluated["kd"], evaluated["attention"]), (metrics["kd"], metrics["attention"]),
                         "to the last bit")
        for shares in evaluated["shares"].values():
            self.assertAlmostEqual(sum(shares.values()), 100.0, places=6)
        table = run(["evaluate", result, "--split", "validation"])
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertEqual(table.stderr, "")
        self.assertEqual(table.stdout.splitlines()[0],
                         f"LeNet-5 on {FEW_DATA} (fbgemm), teacher {FEW_TEACHER}, split validation")
        with open(FEW_TEACHER, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.assertEqual([evaluated[k] for k in ("backend", "teacher", "teacher_sha256")],
                         ["fbgemm", FEW_TEACHER, digest])
        self.assertIn(f"{VALIDATION_IMAGES} validation images", table.stdout)

    def test_evaluate_says_what_it_takes_where_the_result_names_no_model(self):
        with open(self.out("b.json"), "w") as file:
            json.dump({"layers": {"classifier.fc1.out": {k: 5 * i for i, k in enumerate(
                ("t1_code", "v1_code", "t2_code", "v2_code", "tmax_code"))}}}, file)
        done = run(["evaluate", "b.json", "--model", "lenet5", "--data", FEW_DATA], cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        process = start(["evaluate", "b.json"], cwd=self.folder)
        self.assertIn("b.json names no model: taking alexnet; --model changes it", process.stderr.readline())
        process.kill()  # AlexNet would take a while
        process.communicate()

    def test_evaluate_agrees_between_engines(self):
        self.search("a")
        outputs = [run(["evaluate", result_file(self.out("a")), "--format", "json", "--engine", e]).stdout
                   for e in ("auto", "reference")]
        self.assertEqual(outputs[0], outputs[1])
        self.assertIn("acc_student", outputs[0])


class Log(ProgramTest):
    def test_says_network_sites_and_attention(self):
        arguments = ["search", "--episodes", "2", "--episodes-per-update", "2", "--batch-size", "2",
                     "--calib-batches", "2", "--top-k", "1", "--eval-every", "0", "--out", self.out("a"),
                     "--result-file", "a.json"]
        process = start(arguments)
        try:
            wait_for_episodes(run_file(self.out("a"), "a"), 2, process)
        finally:
            process.terminate()  # the log is complete before the final scoring, which would take a minute
            _, log = process.communicate()
        self.assertIn("Using AlexNet with 7 layers (5 conv + 2 fc)", log)
        for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2"):
            four = r"t1=\d+, v1=\d+, t2=\d+, v2=\d+, tmax=\d+"
            self.assertRegex(log, rf"(?m)^[\d:]+ \[init\] {layer}: +{four} +\(p90\+10\)  \[start\] {four}$")
        self.assertIn("Attention Transfer: 3 layers (conv3, conv4, fc1)", log)
        self.assertRegex(log, r"episodes: 2/2, .* episodes/s, ETA .*, gain [+-][\d.]+, best [+-]")


    def test_quiet_says_nothing_but_warnings(self):
        loud, quiet_one = self.search("a"), self.search("b", "--quiet")
        self.assertEqual(quiet_one.stderr, "")
        with h5py.File(run_file(self.out("a"))) as file:
            gain = (file["/updates/best_reward"][()] - file["/updates/reference_reward"][()]).max()
        self.assertIn(f"Best gain of an episode: {gain:+.4f} (its reward less that of the start on the same images)\n",
                      loud.stderr)
        self.assertEqual(quiet_one.stdout, loud.stdout.replace(self.out("a"), self.out("b")))
        self.assert_same_run(self.out("a"), self.out("b"))

    def test_the_log_as_json_has_every_line_and_iteration(self):
        done = self.search("a", "--log-json", self.out("log.json"), ranks=2)
        with open(self.out("log.json"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        logged = [event["message"] for event in events if event["event"] == "log"]
        self.assertEqual(logged, [line[9:] for line in done.stderr.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)])
        iterations = [event for event in events if event["event"] == "iteration"]
        with h5py.File(run_file(self.out("a"))) as file:
            for name in ("iteration", "mean_reward", "best_reward", "reference_reward"):
                self.assertEqual([event[name] for event in iterations], file["/updates/" + name][()].tolist())
            with open(os.path.join(SOURCE, "docs", "terminal.md"), encoding="utf-8") as page:
                documented = [set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", part, re.MULTILINE))))
                              for part in re.split("Of an iteration:|Of the end:|## Exit codes", page.read())[1:3]]
            self.assertEqual(set.union(*map(set, iterations)), documented[0] | {"time", "event"})
            self.assertEqual([event["event"] for event in events].index("end"), len(events) - 1)
            end, selected = events[-1], file["/selected"]
            self.assertEqual(set(end), (documented[1] | {"time", "event"}) - {"message"})
            self.assertEqual([end[name] for name in ("reason", "exit_code", "episodes", "run_file", "result_file")],
                             ["finished", 0, 192, run_file(self.out("a")), result_file(self.out("a"))])
            self.assertEqual([end[name] for name in ("top_index", "kd", "kd_mse", "accuracy_student")],
                             [selected[name][()] for name in
                              ("top_index", "test_kd", "test_mse_kd", "test_accuracy_student")])
            for event in iterations:
                self.assertTrue(0 <= event["least_rank_use"] <= event["rank_use"] <= 1)
            self.assertGreater(max(event["rank_use"] for event in iterations), 0)
            self.assertEqual([event["validation_kd"] for event in iterations if "validation_kd" in event],
                             file["/evaluations/validation_kd"][()].tolist())
        self.assert_one_line_error(run(quick("--out", self.out("b"), "--log-json", "/nowhere/log.json")),
                                   "--log-json", "/nowhere/log.json")

    def test_the_log_as_json_says_how_a_quiet_search_ends(self):
        long = ["--quiet", "--episodes", "64000", "--time-limit", "0.5"]
        for name, more, code, expected in (("finished", ["--quiet"], 0, ["finished", 0]),
                                           ("stopped", long, 85, ["time-limit", 85]),
                                           ("stopped", [*long, "--lr", "0.01"], 1, ["failed", 1])):
            done = run(quick("--out", self.out(name), "--log-json", self.out(name + ".log"), *more))
            self.assertEqual(done.returncode, code, done.stderr)
            with open(self.out(name + ".log"), encoding="utf-8") as file:
                events = [json.loads(line) for line in file]
            self.assertEqual([events[-1][key] for key in ("event", "reason", "exit_code")], ["end", *expected])
            self.assertIn("Using LeNet-5 with 4 layers (2 conv + 2 fc)", [event.get("message") for event in events])
        self.assertIn("--lr (0.0003 instead of 0.01)", events[-1]["message"])

    def test_the_final_scoring_shows_its_progress(self):
        all_images = f"{9 * VALIDATION_IMAGES}/{9 * VALIDATION_IMAGES}"
        self.assertRegex(self.search("a").stderr,
                         rf"student images: {all_images}, [\d.]+ student images/s, ETA 0:00, 9 candidates")


class Options(ProgramTest):
    def test_every_strategy_searches_resumes_and_is_part_of_the_configuration(self):
        codes = {}
        for strategy in ("ppo", "cma-es", "coordinate", "random"):
            with self.subTest(strategy=strategy):
                self.search(strategy, "--strategy", strategy)
                with h5py.File(run_file(self.out(strategy))) as file:
                    codes[strategy] = file["/episodes/codes"][()].tobytes()
                process, _ = self.hold(strategy + "-killed", 64, 192, "--strategy", strategy, "--checkpoint-every", "0")
                process.kill()
                process.communicate()
                self.search(strategy + "-killed", "--strategy", strategy, "--checkpoint-every", "0", ranks=2)
                self.assert_same_run(self.out(strategy), self.out(strategy + "-killed"))
        self.assertEqual(len(set(codes.values())), 4)
        self.assert_one_line_error(run(quick("--out", self.out("ppo"), "--strategy", "random")),
                                   "--strategy (ppo instead of random)")

    def test_the_mse_optimum_needs_no_episode(self):
        done = self.search("a", "--strategy", "mse", "--threads", "1")
        self.assertIn(f"Scoring 6 candidates on {VALIDATION_IMAGES} validation images", done.stderr)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(file.attrs["status"], b"finished")
            self.assertEqual((file.attrs["episodes_total"], file.attrs["student_images"]), (0, 0))
            self.assertEqual((len(file["/episodes/reward"]), len(file["/updates/iteration"])), (0, 0))
            origins = list(file["/top/origin"])
            self.assertEqual(sorted(origins),
                             [b"balanced-1", b"balanced-10", b"balanced-3", b"balanced-30", b"init", b"mse"])
            self.assertEqual(file["/top/codes"][()][origins.index(b"mse")].tobytes(),
                             file["/sites/mse_codes"][()].tobytes())
        self.assertEqual(run(["validate", run_file(self.out("a"))]).returncode, 0)
        self.assertIn("nothing to do", self.search("a", "--strategy", "mse").stderr)
        summary = subprocess.run([sys.executable, os.path.join(SOURCE, "analysis", "read_run.py"),
                                  run_file(self.out("a"))],
                                 capture_output=True, text=True)
        for read in (summary, run(["table", run_file(self.out("a"))])):
            self.assertEqual((read.returncode, read.stderr), (0, ""))
        process = start(quick("--out", self.out("b"), "--strategy", "mse", "--threads", "1", "--checkpoint-every", "0"))
        while not os.path.exists(run_file(self.out("b"))) and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.communicate()
        self.search("b", "--strategy", "mse", "--checkpoint-every", "0", ranks=2)
        self.assert_same_run(self.out("a"), self.out("b"))

    # Every option that changes results, with a value that must show in the run file.
    CHANGES = [("--sites", "conv"), ("--seed", "2"), ("--episodes", "160"), ("--episodes-per-update", "48"),
               ("--batch-size", "8"), ("--calib-batches", "2"), ("--kd-T", "4"), ("--attention-layers", "conv2"),
               ("--attention-weight", "1"), ("--tmax-mode", "fixed"), ("--tmax-percentile", "50"),
               ("--tmax-offset", "20"), ("--warm-start", "init"),
               ("--warm-start", "none"), ("--warm-start-tolerance", "2"), ("--mean-rate", "0.1"),
               ("--width-rate", "0.1"), ("--lr", "0.01"), ("--ppo-epochs", "2"), ("--clip", "0.001"),
               ("--gamma", "0.5"), ("--value-coef", "0"), ("--entropy-coef", "1"), ("--lag", "1"), ("--top-k", "1"),
               ("--tmax-mode", "search"), ("--eval-every", "1"), ("--repair", "layer"), ("--repair", "channel")]

    def content(self, name):
        with h5py.File(run_file(self.out(name))) as file:
            return {path: file[path][()].tobytes() for path in
                    ("/sites/tmax", "/episodes/codes", "/episodes/reward", "/episodes/images", "/updates/entropy",
                     "/updates/value_loss", "/updates/clip_fraction", "/evaluations/iteration", "/top/reward")}

    def test_every_option_changes_the_run(self):
        self.search("base")
        before = self.content("base")
        for i, (option, value) in enumerate(self.CHANGES):
            with self.subTest(option=option, value=value):
                self.search(str(i), option, value)
                self.assertNotEqual(self.content(str(i)), before)

    def test_max_acc_drop_decides_what_is_selected(self):
        shown = [self.search(name, "--data", data, "--strategy", "mse", "--max-acc-drop", limit).stdout
                 for name, limit, data in (("a", "0", "fashion-mnist"), ("b", "100", FEW_DATA))]
        self.assertTrue(shown[0].startswith("no candidate stayed within --max-acc-drop"), shown[0])
        self.assertTrue(shown[1].startswith("site "), shown[1])
        with h5py.File(run_file(self.out("a"))) as a, h5py.File(run_file(self.out("b"))) as b:
            self.assertEqual(b["/selected/top_index"][()], 0)
            self.assertEqual(b["/selected/within_max_acc_drop"][()], 1)
            self.assertEqual(a["/selected/within_max_acc_drop"][()], 0)
            self.assertEqual(a.attrs["selection"], b"best validation reward: no candidate met --max-acc-drop 0")
            self.assertEqual(b.attrs["selection"], b"best validation reward with --max-acc-drop 100")
        for name, within in (("a", False), ("b", True)):
            with open(result_file(self.out(name))) as file:
                result = json.load(file)
            self.assertEqual(result["selected"]["within_max_acc_drop"], within)
            self.assertEqual("no candidate" in result["selection"], not within)

    def test_an_energy_table_replaces_the_published_figures(self):
        table, other = self.out("table.toml"), self.out("other.toml")
        for path, text in ((table, "multiply8 = 3.5\nadd32 = 1e-1\n"), (other, "# the same\nmultiply8 = 3.50\n")):
            with open(path, "w") as file:
                file.write(text)
        few = ["--strategy", "mse"]
        self.search("a", *few)
        self.search("b", *few, "--energy-table", table)
        with h5py.File(run_file(self.out("a"))) as a, h5py.File(run_file(self.out("b"))) as b:
            self.assertEqual((a.attrs["energy_multiply8"], b.attrs["energy_multiply8"], b.attrs["energy_add32"]),
                             (0.2, 3.5, 0.1))
            multiplications = b["/selected/multiplications"][()]
            self.assertAlmostEqual(b["/selected/energy_exact"][()] - a["/selected/energy_exact"][()],
                                   3.3 * multiplications, places=2)
            self.assertGreater(b["/selected/energy"][()], a["/selected/energy"][()])
        self.assertIn("nothing to do", self.search("b", *few, "--energy-table", other).stderr)
        self.assert_one_line_error(run(quick("--out", self.out("b"), *few)), "--energy-table (other energies)")
        for text, fragment in (("multiply16 = 1", "unknown key 'multiply16'"),
                               ("add8 = -1", "key 'add8': expected a number of pJ"),
                               ("[x]\nadd8 = 1", "key 'x': expected lines name = pJ alone"),
                               ("add8 = [1, 2]", "found a list of 2"), ("add8 =", "cannot be read as TOML")):
            with open(table, "w") as file:
                file.write(text)
            self.assert_one_line_error(run(quick("--out", self.out("c"), "--energy-table", table)),
                                       "--energy-table: " + table, fragment)
        self.assert_one_line_error(run(quick("--out", self.out("c"), "--energy-table", self.out("no.toml"))), "no.toml")

    def test_fixed_tmax_and_update_timestep(self):
        arguments = [a for a in QUICK if a not in ("--episodes-per-update", "32")]
        done = run(arguments +
                   ["--tmax-mode", "fixed", "--tmax-fixed", "255", "--update-timestep", "127", "--out", self.out("a")])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(list(file["/sites/tmax"]), [255] * 4)
            self.assertEqual(list(file["/episodes/iteration"]).count(0), 32, "ceil(127 / 4 sites)")

    def test_sites_left_out_stay_exact(self):
        self.search("a", "--sites", "conv1,fc2")
        with open(result_file(self.out("a"))) as file:
            result = json.load(file)
        self.assertEqual(list(result["layers"]), ["conv1", "fc2"])
        evaluated = json.loads(run(["evaluate", result_file(self.out("a")), "--format", "json"]).stdout)
        self.assertAlmostEqual(evaluated["acc_student"], result["metrics"]["acc_student"], places=9)

    def test_config_file_and_precedence_of_the_command_line(self):
        config = self.out("c.toml")
        with open(config, "w") as file:
            file.write(f'# a comment\nmodel = "lenet5"\ndata = "{FEW_DATA}"\nepisodes = 64\nbatch-size = '
                       '16\ncalib-batches = 4\ntop-k = 1\nseed = 9\n')
        done = run(["search", "--config", config, "--seed", "5", "--out", self.out("a"), "--result-file", "quick.json"])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(file.attrs["seed"], 5)
            self.assertEqual(len(file["/episodes/reward"]), 64)
            stored = file.attrs["config"].decode()
        with open(self.out("again.toml"), "w") as file:
            file.write(stored)
        again = run(["search", "--config", self.out("again.toml")])
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("nothing to do", again.stderr)

    def test_shipped_configurations_are_accepted(self):
        folder = os.path.join(SOURCE, "configs")
        names = sorted(name for name in os.listdir(folder) if not name.startswith("sweep-"))
        self.assertGreaterEqual(len(names), 4)
        for name in names:
            # A teacher is looked for after the file has been read and checked: all keys and values were right.
            done = run(["search", "--config", os.path.join(folder, name), "--teacher", self.out("none"),
                        "--out", self.out("a")])
            self.assert_one_line_error(done, self.out("none") + ": no such file")

    def test_the_default_model_is_found_from_any_working_directory(self):
        for name in ("triseg", "new", "models"):  # names that are nobody's business but the user's
            open(self.out(name), "w").close()
        done = run(quick("--out", "here"), cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(run_file(self.out("here"))))


if __name__ == "__main__":
    unittest.main()
