"""bench/quality from outside: a small matrix of runs, its results and the table made of them."""
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ["TRISEG_SOURCE_DIR"]
PROGRAM = os.environ["TRISEG_PROGRAM"]
QUALITY = os.path.join(SOURCE, "bench", "quality")
FEW = os.environ["TRISEG_FEW_IMAGES"]
BUILD = os.path.dirname(os.path.dirname(PROGRAM))
SMALL = ["--models", "lenet5", "--modes", "percentile", "--budgets", "128", "--seeds", "1", "2"]
CALIBRATION = 4 * 16  # images
QUICK = ["--", "--data", os.path.join(FEW, "few"), "--teacher", os.path.join(FEW, "lenet5-few.h5"), "--top-k", "2",
         "--calib-batches", "4", "--batch-size", "16"]


def script(name, *arguments):
    return subprocess.run([sys.executable, "-B", os.path.join(QUALITY, name), *arguments], capture_output=True,
                          text=True, timeout=280)


def rows(table):
    """Cells by the name of the row."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
             if line.startswith("| ")]
    return {cells[0]: cells for cells in lines[1:]}


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def matrix(self, *arguments, quick=QUICK, expect=0):
        done = script("run.py", "--build", BUILD, "--out", self.folder, *SMALL, *arguments, *quick)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def result(self, searcher, seed):
        with open(os.path.join(self.folder, f"lenet5-percentile-128-{searcher}-{seed}.json")) as file:
            return json.load(file)


class Matrix(Folder):
    def test_runs_tables_and_goes_on(self):
        first = self.matrix("--searchers", "random", "ppo")
        self.assertIn("4 runs, 0 of them finished", first.stderr)
        self.assertIn("**lenet5, percentile, 128 episodes**", first.stdout)
        table = rows(first.stdout)
        self.assertEqual(sorted(table), ["MSE optimum", "ppo", "random"])
        for searcher in ("ppo", "random"):
            runs = [self.result(searcher, seed) for seed in (1, 2)]
            for run in runs:
                self.assertEqual(run["student_images"], (128 + 2) * 16 + 6 * CALIBRATION,
                                 "episodes, the references of two iterations, six starts")
                self.assertLess(run["kd"], 1.1 * run["kd_mse_codes"])
                self.assertAlmostEqual(run["acc_drop"], run["acc_teacher"] - run["acc_student"])
            self.assertTrue(table[searcher][2].startswith(f"{(runs[0]['kd'] + runs[1]['kd']) / 2:.4f} ± "),
                            table[searcher])
        self.assertEqual(table["ppo"][6], "")
        self.assertRegex(table["random"][6], r"^[+-]\d\.\d{4} ± \d\.\d{4}$")

        os.remove(os.path.join(self.folder, "lenet5-percentile-128-random-2.json"))
        again = self.matrix("--searchers", "random", "ppo")
        self.assertIn("4 runs, 3 of them finished", again.stderr)
        self.assertEqual(rows(again.stdout)["random"][2], table["random"][2])

        other = self.matrix("--searchers", "ppo", quick=[*QUICK, "--kd-T", "3"], expect=1)
        self.assertIn("lenet5-percentile-128-ppo-1.json was made with other options", other.stderr)
        self.assertEqual(script("table.py", self.folder, "--baseline", "random").stdout.count("against random"), 1)

    def test_a_repair_follows_the_search(self):
        done = self.matrix("--seeds", "1", "--searchers", "ppo", "ppo-repaired", "--repair-epochs", "2")
        plain, repaired = self.result("ppo", 1), self.result("ppo-repaired", 1)
        self.assertLess(repaired["kd"], 0.9 * plain["kd"])
        self.assertEqual(repaired["kd_mse_codes"], plain["kd_mse_codes"])
        self.assertLess(repaired["validation_passed"], 1.3 * repaired["validation_passed_before"])
        self.assertEqual(repaired["student_images"], plain["student_images"] + 2 * 2167, "twice the search split")
        self.assertEqual(list(rows(done.stdout)), ["ppo-repaired", "ppo", "MSE optimum"])

    def test_a_file_that_is_no_result_is_one_line(self):
        for content in (b"{", b"3", b"caf\xe9"):
            path = os.path.join(self.folder, "lenet5-percentile-128-ppo-1.json")
            with open(path, "wb") as file:
                file.write(content)
            done = self.matrix("--searchers", "ppo", expect=1)
            refusal = f"run.py: error: {path} is not a result of run.py: remove it or give another --out\n"
            self.assertEqual((done.stdout, done.stderr), ("", refusal))

    def test_a_file_that_is_not_regular_is_one_line(self):
        path = os.path.join(self.folder, "lenet5-percentile-128-ppo-1.json")
        for make, remove in ((os.mkfifo, os.remove), (os.mkdir, os.rmdir)):
            make(path)
            done = self.matrix("--searchers", "ppo", expect=1)
            self.assertEqual((done.stdout, done.stderr), ("", f"run.py: error: {path}: not a regular file\n"))
            remove(path)
        os.symlink("nowhere", os.path.join(self.folder, "other.json"))
        done = self.matrix("--seeds", "1", "--searchers", "mse", expect=1)
        self.assertRegex(done.stderr,
                         r"finished\nrun.py: error: .*No such file.*other.json': remove it or give another --out\n$")

    def test_what_cannot_run_is_refused_before_anything_runs(self):
        done = script("run.py", "--build", BUILD, "--out", self.folder, "--searchers", "ppo", "cma-es-tmax")
        self.assertEqual((done.returncode, done.stdout, os.listdir(self.folder)), (2, "", []))
        self.assertIn("cma-es-tmax: a searched tmax is for --modes percentile alone", done.stderr)

    def test_ctrl_c_stops_it_all(self):
        process = subprocess.Popen([sys.executable, "-B", os.path.join(QUALITY, "run.py"), "--build", BUILD,
                                    "--out", self.folder, *SMALL, "--budgets", "1000000", "--jobs", "1",
                                    "--searchers", "ppo", "cma-es", "random", *QUICK], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not os.path.exists(os.path.join(self.folder, "runs", "tri_ppo_int_codes")) and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, output), (130, ""), errors)
        self.assertIn("the same command continues", errors)
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".json")])

    def test_variants(self):
        self.matrix("--seeds", "1", "--searchers", "ppo", "ppo-moments-layer", "cma-es-tmax",
                    quick=[*QUICK, "--warm-start", "init"])
        kds = [self.result(searcher, 1)["kd"] for searcher in ("ppo", "ppo-moments-layer", "cma-es-tmax")]
        self.assertEqual(len(set(kds)), 3, "all are searched for, differently")

    def test_a_run_that_fails_is_named_and_the_others_finish(self):
        done = self.matrix("--seeds", "1", "--searchers", "random", "--models", "lenet5", "vgg16", expect=1)
        self.assertRegex(done.stderr, r"vgg16-percentile-128-random-1: .*triseg: error: ")
        self.assertIn("random", rows(done.stdout))


class Results(Folder):
    def write(self, searcher, seed, kd, mse=0.2, budget=10):
        run = {"model": "m", "mode": "percentile", "budget": budget, "searcher": searcher, "seed": seed, "kd": kd,
               "kd_mse_codes": mse, "acc_teacher": 90.0, "acc_student": 89.0 + seed / 10, "acc_mse_codes": 80.0,
               "acc_drop": 1.0 - seed / 10, "student_images": 20000, "seconds": 3.0}
        with open(os.path.join(self.folder, f"{searcher}-{budget}-{seed}.json"), "w") as file:
            json.dump(run, file)


class Table(Results):
    def test_means_intervals_and_paired_differences(self):
        for seed, (ppo, other) in enumerate(((0.10, 0.11), (0.12, 0.14), (0.14, 0.17)), 1):
            self.write("ppo", seed, ppo)
            self.write("other", seed, other)
        self.write("lonely", 2, 0.08)
        table = rows(script("table.py", self.folder).stdout)
        self.assertEqual(list(table), ["lonely", "ppo", "other", "MSE optimum"], "best first")
        # t(2 degrees of freedom) = 4.3027; deviation of 0.10, 0.12, 0.14 is 0.02: 4.3027 * 0.02 / sqrt(3) = 0.0497
        self.assertEqual(table["ppo"], ["ppo", "3", "0.1200 ± 0.0497", "0.600", "89.20", "0.80 ± 0.25", "", "20", "3"])
        # differences 0.01, 0.02, 0.03: deviation 0.01
        self.assertEqual(table["other"][6], "+0.0200 ± 0.0248")
        self.assertEqual(table["lonely"], ["lonely", "1", "0.0800", "0.400", "89.20", "0.80", "-0.0400", "20", "3"])
        self.assertEqual(table["MSE optimum"][2:6], ["0.2000", "1.000", "80.00", "10.00"])

    def test_runs_as_one_file_say_the_same(self):
        for seed in (1, 2):
            self.write("ppo", seed, 0.1 + 0.0123456789 * seed)
            self.write("other", seed, 0.1)
        path = os.path.join(self.folder, "runs.csv")
        made = script("table.py", self.folder, "--csv", path)
        with open(path) as file:
            self.assertEqual([line.split(",")[:6] for line in file][1:3],
                             [["m", "percentile", "10", "other", "1", "0.1"],
                              ["m", "percentile", "10", "other", "2", "0.1"]])
        again = script("table.py", path)
        self.assertEqual((again.returncode, again.stdout), (0, made.stdout))
        with open(path, "a") as file:
            file.write("m,percentile,ten\n")
        broken = script("table.py", path)
        self.assertEqual((broken.returncode, broken.stdout, broken.stderr.count("\n")), (2, "", 1), broken.stderr)
        self.assertIn("line 6, is not a result", broken.stderr)
        with open(path, "w") as file:
            file.write("model,kd\n")
        self.assertIn("does not name the columns", script("table.py", path).stderr)
        for content in ("{", "3", "{}"):
            with open(os.path.join(self.folder, "other.json"), "w") as file:
                file.write(content)
            other = script("table.py", self.folder)
            self.assertEqual((other.returncode, other.stderr),
                             (2, f"table.py: error: {self.folder}/other.json is not a result of run.py\n"))

    def test_runs_of_different_problems_do_not_compare(self):
        self.write("ppo", 1, 0.1)
        self.write("other", 1, 0.1, mse=0.3)
        done = script("table.py", self.folder)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("of different problems: kd_mse_codes is 0.2 for ppo, seed 1, and 0.3 for other, seed 1",
                      done.stderr)

    def test_searchers_that_are_not_there(self):
        self.write("ppo", 1, 0.1)
        for option in ("--searchers", "--baseline"):
            done = script("table.py", self.folder, option, "pop")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("no runs of pop, only of ppo", done.stderr)
        self.write("other", 1, 0.1)
        self.assertEqual(list(rows(script("table.py", self.folder, "--searchers", "other").stdout)),
                         ["other", "MSE optimum"])
        shutil.copy(os.path.join(self.folder, "ppo-10-1.json"), os.path.join(self.folder, "copy.json"))
        self.assertIn("the run m, percentile, 10, ppo, 1 is there twice", script("table.py", self.folder).stderr)

    def test_recorded_tables_are_those_of_the_recorded_runs(self):
        with open(os.path.join(SOURCE, "bench", "results", "quality-cuda.md")) as file:
            recorded = file.read()
        commands = [line.split()[1:] for line in recorded.splitlines()
                    if line.startswith("bench/quality/table.py bench/results/")]
        self.assertGreater(len(commands), 3)
        for runs, *options in commands:
            made = script("table.py", os.path.join(SOURCE, runs), *options)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertIn(f"{' '.join([runs, *options])}\n```\n\n{made.stdout.strip()}\n", recorded)

    def test_a_file_that_is_not_regular_is_one_line(self):
        for name, make in (("a\x1b.json", os.mkfifo), ("a\r.csv", os.mkfifo), ("b.csv", os.mkdir)):
            path = os.path.join(self.folder, name)
            make(path)
            done = script("table.py", self.folder if name.endswith("json") else path)
            shown = path.replace("\x1b", r"\x1b").replace("\r", r"\x0d")
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (1, "", f"table.py: error: {shown}: not a regular file\n"))

    def test_a_multiple_of_nothing_is_not_defined(self):
        self.write("ppo", 1, 0.0, mse=0.0)
        self.write("other", 1, 0.1, mse=0.0)
        table = rows(self.table_of(self.folder))
        self.assertEqual([table[name][3] for name in ("ppo", "other", "MSE optimum")], ["-", "-", "-"])

    def test_standard_output_that_is_full(self):
        self.write("ppo", 1, 0.1)
        for arguments in ([], ["--csv", "/dev/full"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([sys.executable, "-B", os.path.join(QUALITY, "table.py"), self.folder,
                                       *arguments],
                                      stdout=full, stderr=subprocess.PIPE, text=True)
            where = "/dev/full" if arguments else "standard output"
            self.assertEqual((done.returncode, done.stderr),
                             (1, f"table.py: error: {where}: No space left on device\n"))

    def test_text_that_is_no_utf_8(self):
        path = os.path.join(self.folder, "runs.csv")
        self.write("ppo", 1, 0.1)
        self.assertEqual(script("table.py", self.folder, "--csv", path).returncode, 0)
        with open(path, "rb") as file:
            latin = file.read().replace(b"ppo", b"caf\xe9")
        with open(path, "wb") as file:
            file.write(latin)
        self.assertIn("caf\ufffd", rows(self.table_of(path)))

    def table_of(self, path):
        done = script("table.py", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_an_empty_folder(self):
        done = script("table.py", self.folder)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("holds no results", done.stderr)


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "python3-matplotlib is not installed")
class Plot(Results):
    def plot(self, *arguments, expect=0):
        done = script("plot.py", *arguments, "--out", os.path.join(self.folder, "plot.svg"))
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def svg(self):
        with open(os.path.join(self.folder, "plot.svg")) as file:
            return file.read()

    def test_budgets(self):
        for budget, kd in ((10, 0.12), (100, 0.06)):
            for seed in (1, 2):
                self.write("ppo", seed, kd + seed / 100, budget=budget)
        self.write("other", 1, 0.13)
        self.plot("budgets", self.folder)
        first = self.svg()
        for text in ("ppo", "other", "MSE optimum", "m, percentile", "test KD"):
            self.assertIn(text, first)
        self.plot("budgets", self.folder)
        self.assertEqual(self.svg(), first, "equal results make equal bytes")
        self.plot("budgets", self.folder, "--searchers", "ppo")
        self.assertNotIn("other", self.svg())
        self.assertIn("no runs of pop", self.plot("budgets", self.folder, "--searchers", "pop", expect=1).stderr)
        self.write("ppo", 1, 0.2)
        self.plot("budgets", self.folder)
        self.assertNotEqual(self.svg(), first)
        self.assertIn("no results", self.plot("budgets", os.path.join(self.folder, "none"), expect=1).stderr)

    def test_fronts(self):
        import h5py
        import numpy
        path = os.path.join(self.folder, "run.h5")
        writer, documentation = (os.path.join(SOURCE, name)
                                 for name in ("tests/learner/files/write_run.py", "docs/run-file.md"))
        subprocess.run([sys.executable, "-B", writer, documentation, path], check=True)
        # Coverage 0.8 is beaten by 0.9, which has a lower KD; the last one is of fewer images.
        images, kd = numpy.array([100, 100, 100, 50]), [0.1, 0.3, 0.2, 0]
        columns = {"coverage": [0.9, 1, 0.8, 1], "validation_kd_sum": kd * images,
                   "validation_both_right": [92, 90, 91, 50], "validation_student_only": 0, "validation_images": images}
        sys.path.insert(0, os.path.join(SOURCE, "analysis"))
        import triseg
        with h5py.File(path, "r+") as file:
            for name, old in {name: dataset[()] for name, dataset in file["top"].items()}.items():
                del file["top"][name]
                column = numpy.resize(columns.get(name, old), (4, *old.shape[1:]))
                file["top"].create_dataset(name, data=column.astype(old.dtype))
        digest = triseg.Run(path, check=False).digest
        with h5py.File(path, "r+") as file:
            file.attrs.modify("content_sha256", numpy.bytes_(digest))
        self.plot("fronts", f"the front={path}")
        self.assertIn("the front", self.svg())
        sys.path.insert(0, QUALITY)
        import plot
        self.assertEqual(plot.front_of(path).round(9).tolist(), [[0, 0.3, 90], [10, 0.1, 92]])
        self.assertIn("expected NAME=RUN.h5", self.plot("fronts", path, expect=1).stderr)
        os.mkfifo(os.path.join(self.folder, "fifo.csv"))
        for what, name in (("budgets", ""), ("fronts", "front=")):
            irregular = self.plot(what, f"{name}{self.folder}/fifo.csv", expect=1)
            self.assertEqual(irregular.stderr, f"plot.py: error: {self.folder}/fifo.csv: not a regular file\n")
        self.assertIn("none.h5: No such file", self.plot("fronts", "front=none.h5", expect=1).stderr)
        with h5py.File(path, "r+") as file:
            file["/top/validation_kd_sum"][0] += 1
        self.assertIn(f"plot.py: error: {path}: its content", self.plot("fronts", f"front={path}", expect=1).stderr)


# Prints the draws of TPE on a problem without triseg, with or without fast_tpe.
DRAWS = """
import json, optuna, sys
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "fast":
    import fast_tpe
    fast_tpe.install()
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(direction="maximize",
                            sampler=optuna.samplers.TPESampler(seed=3, constant_liar=True,
                                                               multivariate=sys.argv[3] == "multivariate"))
space = {f"x{i}": optuna.distributions.IntDistribution(1, 30 + i) for i in range(5)}
abandoned = study.ask(space)
for _ in range(8):
    trials = [study.ask(space) for _ in range(12)]
    study.tell(trials[3], state=optuna.trial.TrialState.FAIL)
    for trial in trials[4:] + trials[:3]:
        study.tell(trial, -sum((x - 9) ** 2 for x in trial.params.values()))
study.tell(abandoned, -100)
for _ in range(3):
    study.tell(study.ask(space), -50)
print(json.dumps([trial.params for trial in study.trials]))
"""


@unittest.skipUnless(importlib.util.find_spec("optuna"), "python3-optuna is not installed")
class OptunaSearchers(Folder):
    @unittest.skipUnless(importlib.util.find_spec("scipy"), "python3-scipy is not installed")
    def test_fast_tpe_draws_what_optuna_draws(self):
        for sampler in ("multivariate", "univariate"):
            with self.subTest(sampler):
                draws = [subprocess.run([sys.executable, "-B", "-W", "ignore", "-c", DRAWS, QUALITY, how, sampler],
                                        capture_output=True, text=True) for how in ("fast", "plain")]
                self.assertEqual(draws[0].stderr, "")
                self.assertEqual(draws[0].stdout, draws[1].stdout)
                self.assertGreater(len({str(trial) for trial in json.loads(draws[0].stdout)}), 80)

    def test_they_spend_the_same_budget_by_the_same_rules(self):
        done = self.matrix("--seeds", "1", "--searchers", "random", "optuna-tpe", "optuna-cmaes")
        self.assertEqual(sorted(rows(done.stdout)), ["MSE optimum", "optuna-cmaes", "optuna-tpe", "random"])
        random = self.result("random", 1)
        for searcher in ("optuna-tpe", "optuna-cmaes"):
            run = self.result(searcher, 1)
            for name in ("student_images", "kd_mse_codes", "acc_teacher", "acc_mse_codes"):
                self.assertEqual(run[name], random[name], name)
            self.assertLess(run["kd"], 1.1 * run["kd_mse_codes"])
            for t1, v1, t2, v2 in run["codes"].values():
                self.assertTrue(1 <= t1 < v1 <= t2 < v2)

    def test_options_of_the_other_sampler(self):
        for options in (["tpe", "--separable"], ["cma-es", "--multivariate"]):
            done = script("optuna_search.py", "--program", PROGRAM, "--sampler", *options)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("--sampler", done.stderr.splitlines()[-1])

    def test_a_problem_that_does_not_exist_is_one_line(self):
        done = script("optuna_search.py", "--program", PROGRAM, "--sampler", "tpe", "--", "--model", "lenet6")
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        self.assertIn("lenet6", done.stderr)


if __name__ == "__main__":
    unittest.main()
