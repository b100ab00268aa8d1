"""The Python package triseg: its docstrings' examples, on files that the program and h5py have written, and what it
refuses."""
import doctest
import fcntl
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy
import pandas

SOURCE, PROGRAM, FEW = (os.environ[name] for name in ("TRISEG_SOURCE_DIR", "TRISEG_PROGRAM", "TRISEG_FEW_IMAGES"))
sys.dont_write_bytecode = True
sys.path += [os.path.join(SOURCE, "analysis"), os.path.join(SOURCE, "tests", "runner")]
import triseg  # noqa: E402  behind its folder
from program import quick, sweep_base  # noqa: E402

MODULES = ("codes", "model", "result", "run", "score", "scorer", "sweep")
SWEEP = ("seeds = 2\n" +
         sweep_base(quick("--episodes", "32", "--episodes-per-update", "16", "--calib-batches", "2",
                          "--eval-every", "0")) +
         '[grid]\nstrategy = ["mse", "random"]\n')


def program(*arguments):
    return subprocess.run([PROGRAM, *arguments], env=os.environ | {"TRISEG_MODELS": FEW}, capture_output=True,
                          text=True, timeout=60)


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        writer, documentation = (os.path.join(SOURCE, name)
                                 for name in ("tests/learner/files/write_run.py", "docs/run-file.md"))
        subprocess.run([sys.executable, "-B", writer, documentation, cls.at("run.h5")], check=True)
        shutil.copy(os.path.join(FEW, "lenet5-few.h5"), cls.at("model.h5"))
        with open(cls.at("sweep.toml"), "w") as file:
            file.write(SWEEP)
        for arguments in (["sweep", cls.at("sweep.toml"), "--out", cls.at("sweep")],
                          ["sweep", "collect", cls.at("sweep")]):
            done = program(*arguments)
            if done.returncode != 0:
                raise AssertionError(done.stderr)
        cls.run_file = next(iter(triseg.Sweep(cls.at("sweep")))).path
        shutil.copy(cls.run_file.replace(".h5", ".json"), cls.at("result.json"))

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder, name)

    def test_examples(self):
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        os.environ["TRISEG_MODELS"] = FEW
        self.addCleanup(os.environ.pop, "TRISEG_MODELS")
        count = 0
        for name in MODULES:
            module = importlib.import_module(f"triseg.{name}")
            done = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE,
                                   extraglobs={"program": PROGRAM, "data": os.path.join(FEW, "few")})
            self.assertEqual(done.failed, 0, name)
            count += done.attempted
        self.assertGreater(count, 30)

    def test_a_run_is_what_h5py_reads(self):
        for path in (self.at("run.h5"), self.run_file,
                     os.path.join(SOURCE, "tests/runner/files/version-5-finished.h5")):
            run = triseg.Run(path)
            with h5py.File(path) as file:
                for group in ("episodes", "updates", "evaluations", "finalists", "top", "pareto"):
                    frame = getattr(run, group)
                    for name, dataset in file[group].items():
                        if dataset.ndim == 1:
                            values = dataset.asstr()[:] if dataset.dtype.kind == "S" else dataset[:]
                            numpy.testing.assert_array_equal(frame[name].to_numpy(), values, f"{group}/{name}")
                    if "codes" not in file[group]:
                        continue
                    codes, tmax = file[group]["codes"][()], file[group]["tmax"][()]
                    sites = file["sites/name"].asstr()[:]
                    for i, site in enumerate(sites):
                        for j, code in enumerate(("t1", "v1", "t2", "v2")):
                            self.assertEqual(frame[f"{site}.{code}"].tolist(), codes[:, i, j].tolist())
                        self.assertEqual(frame[f"{site}.tmax"].tolist(), tmax[:, i].tolist())
                    arrays = run.frame(group, codes="arrays").codes
                    self.assertTrue(all((each[:, :4] == row).all() for each, row in zip(arrays, codes)))
                self.assertEqual(run.sites["init.v2"].tolist(), file["sites/init_codes"][:, 3].tolist())
                self.assertEqual(run.sites["state.p90"].tolist(), file["sites/state"][:, 3].tolist())
                numpy.testing.assert_array_equal(run.histograms, file["sites/histogram"])
                selected = run.selected
                numpy.testing.assert_array_equal(selected["codes"][:, :4], file["selected/codes"])
                for name in ("kd", "attention"):
                    self.assertEqual(selected["test"][name], file[f"selected/test_{name}"][()])
                for ours, its in (("accuracy", "student"), ("accuracy_low", "student_low"),
                                  ("accuracy_high", "student_high"), ("accuracy_teacher", "teacher"),
                                  ("accuracy_drop_high", "drop_high")):
                    self.assertAlmostEqual(selected["test"][ours], file[f"selected/test_accuracy_{its}"][()], places=9)

    def test_the_result_is_the_selected_candidate(self):
        run, result = triseg.Run(self.run_file), triseg.Result.read(self.at("result.json"))
        self.assertEqual(result.codes.to_numpy().tolist(), run.selected["codes"].tolist())
        self.assertEqual(list(result.codes.index), list(run.sites.index))
        self.assertEqual(result.metrics["kd"], run.selected["test"]["kd"])
        self.assertEqual(result.metrics["acc_drop"], run.selected["test"]["accuracy_drop"])
        result.write(self.at("copy.json"))
        with open(self.at("copy.json")) as copy, open(self.at("result.json")) as original:
            self.assertEqual(json.load(copy), json.load(original))

    def test_older_versions(self):
        files = os.path.join(SOURCE, "tests", "runner", "files")
        old, stopped = (triseg.Run(os.path.join(files, f"version-4-{name}.h5")) for name in ("finished", "stopped"))
        self.assertEqual((old.schema_version, old.problem.network, len(old.updates.branch)),
                         (4, None, len(old.updates)))
        self.assertEqual((old.finished, stopped.finished, len(stopped.top)), (True, False, 0))
        self.assertEqual(list(stopped.top.columns), list(old.top.columns))
        with self.assertRaisesRegex(triseg.Error, "version-4-stopped.h5: the run is not finished"):
            stopped.selected

    def test_a_run_goes_on_while_it_is_locked(self):
        path = shutil.copy(os.path.join(SOURCE, "tests", "runner", "files", "version-4-stopped.h5"),
                           self.at("stopped.h5"))
        self.assertEqual(triseg.Run(path).status, "stopped")
        lock = self.at(".stopped.h5.lock")
        with open(lock, "w") as file:
            self.assertEqual(triseg.Run(path).status, "stopped", "a lock file that a killed search has left")
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertEqual((triseg.Run(path).status, triseg.Run(path).finished), ("running", False))
        os.unlink(lock)

    def test_what_a_run_does_not_have(self):
        run = triseg.Run(self.at("run.h5"))
        for what, message in ((lambda: run["top/no_such"], "/top/no_such is missing"),
                              (lambda: run["@no_such"], "/@no_such is missing"),
                              (lambda: run.frame("selected"), "/selected is no table"),
                              (lambda: run.codes("updates"), "the rows of /updates have no codes")):
            with self.assertRaises(triseg.Error) as raised:
                what()
            self.assertTrue(str(raised.exception).startswith(f"{run.path}: {message}"), raised.exception)
        with self.assertRaises(ValueError):
            run.frame("top", codes="rows")

    def test_a_damaged_file_is_opened_on_request(self):
        path = shutil.copy(self.at("run.h5"), self.at("damaged.h5"))
        with h5py.File(path, "r+") as file:
            file["episodes/reward"][3] += 1
        with self.assertRaisesRegex(triseg.Error, "damaged.h5: its content does not have the digest"):
            triseg.Run(path)
        run = triseg.Run(path, check=False)
        self.assertNotEqual(run.digest, run.attributes["content_sha256"])
        self.assertEqual(run.episodes.reward[3], triseg.Run(self.at("run.h5")).episodes.reward[3] + 1)

    def test_a_written_model_is_searched_with_and_evaluated(self):
        teacher = os.path.join(FEW, "lenet5-few.h5")
        model, written = triseg.Model.read(teacher), self.at("written.h5")
        model.write(written)
        with h5py.File(teacher) as old, h5py.File(written) as new:
            may_differ = ("content_sha256", "creator", "file_time")
            names = []
            old.visititems(lambda name, _: names.append(name))
            for name in ["/", *names]:
                for attribute, value in old[name].attrs.items():
                    if attribute not in may_differ:
                        self.assertEqual((new[name].attrs[attribute], new[name].attrs[attribute].dtype),
                                         (value, value.dtype)
                                         if isinstance(value, numpy.generic) else
                                         (value, new[name].attrs[attribute].dtype), attribute)
                if isinstance(old[name], h5py.Dataset):
                    self.assertEqual((new[name].dtype, new[name][()].tobytes(), new[name].chunks is None),
                                     (old[name].dtype, old[name][()].tobytes(), False), name)
        arguments = ["--data", os.path.join(FEW, "few"), "--teacher", written]
        evaluated = [program("evaluate", self.at("result.json"), "--format", "json", *more) for more in ([], arguments)]
        reports = [json.loads(done.stdout) if done.returncode == 0 else done.stderr for done in evaluated]
        self.assertEqual(reports[1]["kd"], reports[0]["kd"])
        searched = program("search", *arguments, "--episodes", "16", "--episodes-per-update", "16",
                           "--calib-batches", "2", "--top-k", "1", "--out", self.at("searched"))
        self.assertEqual(searched.returncode, 0, searched.stderr)
        model.nodes["fc3"].bias = model.nodes["fc3"].bias + 0.5
        with self.assertRaisesRegex(triseg.Error, "cannot write .*: expected values of type int32"):
            model.write(written)
        triseg.Model.read(written)  # the one before is still there

    def test_damaged_models(self):
        path = shutil.copy(self.at("model.h5"), self.at("damaged-model.h5"))
        with h5py.File(path, "r+") as file:
            file["nodes/fc3/bias"][0] += 1
        with self.assertRaisesRegex(triseg.Error, "damaged-model.h5: its content does not have the digest"):
            triseg.Model.read(path)
        triseg.Model.read(path, check=False)
        with self.assertRaisesRegex(triseg.Error, "expected a model file, found format 'triseg-run'"):
            triseg.Model.read(self.run_file)

    def test_a_written_result_is_evaluated(self):
        result = triseg.Result({"model": "lenet5", "backend": "fbgemm"})
        run = triseg.Run(self.run_file)
        result.codes = run.sites[["mse.t1", "mse.v1", "mse.t2", "mse.v2", "tmax"]]
        result.write(self.at("mse.json"))
        done = program("evaluate", self.at("mse.json"), "--data", os.path.join(FEW, "few"), "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["kd"], run.selected["mse"]["kd"])

    def test_codes_that_are_none_are_not_taken(self):
        right = pandas.DataFrame([[35, 28, 21, 14, 7]], index=["conv1"], columns=["tmax", "v2", "t2", "v1", "t1"])
        result = triseg.Result({})
        result.codes = right  # columns count by their names
        self.assertEqual(result.codes.loc["conv1"].tolist(), [7, 14, 21, 28, 35])
        for codes in ({"conv1": [7, 14, 21, 28, 35, 99]}, {"conv1": [7, 14]}, {"conv1": None}, {"conv1": 5}, [1],
                      pandas.concat([right] * 2), right.rename(columns={"t1": "t3"}), right.assign(extra=1)):
            with self.assertRaises(triseg.Error):
                result.codes = codes
            self.assertEqual(result.codes.loc["conv1"].tolist(), [7, 14, 21, 28, 35])
        with self.assertRaises(triseg.Error):
            triseg.Result({"layers": [1]}).codes = right
        nested = []
        for _ in range(100_000):
            nested = [nested]
        for values in ({"x": "\udcff"}, {"x": nested}):
            with self.assertRaises(triseg.Error):
                triseg.Result(result.values | values).write(self.at("none.json"))
        for call in (triseg.Result.read, result.write):
            with self.assertRaises(triseg.Error):
                call(self.at("a\0b"))
        self.assertFalse(os.path.exists(self.at("none.json")))

    def test_models_that_are_none_are_not_written(self):
        for change in (lambda m: setattr(m, "seed", -1), lambda m: setattr(m, "epochs", 2**40),
                       lambda m: setattr(m, "epochs", 1.7), lambda m: setattr(m.nodes["fc1"], "output_zero_point", 3.7),
                       lambda m: setattr(m.nodes["fc1"], "output_scale", [0.5, 1]),
                       lambda m: setattr(m.nodes["fc1"], "weights", 3),
                       lambda m: setattr(m.nodes["fc1"], "bias", [1.5]),
                       lambda m: setattr(m, "command_line", "x" * 70_000), lambda m: setattr(m, "float_accuracy", None),
                       lambda m: m.nodes.update({"a/b": m.nodes["fc1"]})):
            model = triseg.Model.read(self.at("model.h5"))
            change(model)
            with self.assertRaisesRegex(triseg.Error, "cannot write .*none.h5: "):
                model.write(self.at("none.h5"))
            self.assertFalse(os.path.exists(self.at("none.h5")))

    def test_results_that_are_none(self):
        codes = {"t1_code": 1, "v1_code": 2, "t2_code": 3, "v2_code": 4, "tmax_code": 5}
        layers = lambda **changed: json.dumps({"layers": {"conv1": codes | changed}})
        for text, fragment in (("{", "expected JSON"), ("[]", "top level"), ("{}", "layers: expected an object"),
                               ('{"layers": {}, "layers": {}}', "the key 'layers' is given twice"),
                               ('{"x": NaN}', "NaN is no number"), ("[" * 100000, "expected JSON"),
                               (layers(t2_code=300), "conv1.t2_code: expected an integer 0..255, found 300"),
                               (layers(t1_code=1.5), "found 1.5"), (layers(t1_code=True), "found true"),
                               (layers(v1_code=9), "v1=9, t2=3, v2=4, tmax=5 make no monotone staircase")):
            with open(self.at("wrong.json"), "w") as file:
                file.write(text)
            with self.subTest(text[:60]), self.assertRaises(triseg.Error) as raised:
                triseg.Result.read(self.at("wrong.json"))
            self.assertIn(fragment, str(raised.exception))
            self.assertTrue(str(raised.exception).startswith(self.at("wrong.json") + ": "))
        with open(self.at("wrong.json"), "w") as file:
            file.write(layers(t1_code=1.0))
        self.assertEqual(triseg.Result.read(self.at("wrong.json")).codes.loc["conv1"].tolist(), [1, 2, 3, 4, 5])
        result = triseg.Result.read(self.at("result.json"))
        before = result.codes
        with self.assertRaises(triseg.Error):
            result.codes = {"conv1": [9, 2, 3, 4, 5]}
        pandas.testing.assert_frame_equal(result.codes, before)

    def test_staircases_are_those_of_the_program(self):
        accepted = {}
        for codes in ((5, 9, 5, 6, 7), (3, 9, 7, 8, 7), (7, 1, 5, 9, 9), (3, 6, 5, 7, 6), (3, 200, 9, 255, 255)):
            result = triseg.Result({"model": "lenet5", "backend": "fbgemm", "layers": {"conv1": {
                f"{name}_code": code for name, code in zip(("t1", "v1", "t2", "v2", "tmax"), codes)}}})
            with open(self.at("codes.json"), "w") as file:
                json.dump(result.values, file)
            try:
                triseg.Result.read(self.at("codes.json"))
                accepted[codes] = True
            except triseg.Error:
                accepted[codes] = False
            done = program("evaluate", self.at("codes.json"), "--data", os.path.join(FEW, "few"))
            self.assertEqual(done.returncode == 0, accepted[codes], f"{codes}: {done.stderr}")
        self.assertEqual(set(accepted.values()), {True, False})

    def test_sweeps_that_are_none(self):
        sweep = triseg.Sweep(self.at("sweep"))
        self.assertEqual(sweep.collected.index.tolist(), sweep.runs.index.tolist())
        id_ = sweep.runs.index[0]
        with self.assertRaisesRegex(triseg.Error, "has no run 123"):
            sweep.run("123")
        copy = shutil.copytree(self.at("sweep"), self.at("begun"))
        os.unlink(triseg.Sweep(copy).run(id_).path)
        os.unlink(os.path.join(copy, "sweep.h5"))
        begun = triseg.Sweep(copy)
        self.assertEqual(len(list(begun)), len(begun.runs) - 1)
        for what, message in ((lambda: begun.run(id_), f"{copy}: the run {id_} has not begun"),
                              (lambda: begun.collected, f"{copy}/sweep.h5: it is not there: triseg sweep collect")):
            with self.assertRaises(triseg.Error) as raised:
                what()
            self.assertTrue(str(raised.exception).startswith(message), raised.exception)
        with self.assertRaisesRegex(triseg.Error, "No such file"):
            triseg.Sweep(self.at("nowhere"))
        with open(os.path.join(copy, "sweep.json"), "w") as file:
            file.write("{}")
        with self.assertRaisesRegex(triseg.Error, "sweep.json: expected the table of a sweep"):
            triseg.Sweep(copy)

    def test_a_scorer_that_does_not_start(self):
        with self.assertRaisesRegex(triseg.Error, "no-such-program: No such file"):
            triseg.Scorer("no-such-program", [])
        with self.assertRaisesRegex(triseg.Error, "lenet6"):
            triseg.Scorer(PROGRAM, ["--model", "lenet6"])
        with triseg.Scorer(PROGRAM,
                           ["--model", "lenet5", "--data", os.path.join(FEW, "few"),
                            "--teacher", os.path.join(FEW, "lenet5-few.h5"),
                            "--calib-batches", "1"]) as scorer, self.assertRaises(triseg.Error):
            scorer.iteration(0, [[[9, 2, 3, 4]] * 4])

    def test_a_scorer_takes_numbers_of_numpy_and_says_when_it_has_ended(self):
        for arguments in ((["/bin/echo", []], [PROGRAM, ["--help"]])):
            with self.assertRaises(triseg.Error):
                triseg.Scorer(*arguments)
        scorer = triseg.Scorer(PROGRAM,
                               ["--model", "lenet5", "--data", os.path.join(FEW, "few"),
                                "--teacher", os.path.join(FEW, "lenet5-few.h5"),
                                "--calib-batches", "2"])
        start = [site["start"] for site in scorer.problem["sites"]]
        self.assertEqual(scorer.iteration(numpy.int64(0), numpy.array([start])), scorer.iteration(0, [start]))
        with self.assertRaises(triseg.Error):
            scorer.iteration(0, [object()])
        scorer.close()
        with self.assertRaisesRegex(triseg.Error, "has ended"):
            scorer.iteration(0, [start])

    def test_the_version_is_that_of_the_program(self):
        with open(os.path.join(SOURCE, "CMakeLists.txt")) as file:
            self.assertEqual(triseg.__version__, re.search(r"project\(triseg VERSION (\S+)", file.read())[1])


if __name__ == "__main__":
    unittest.main()
