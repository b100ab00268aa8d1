"""Files that versions before wrote: run files of schema 4, 5 and 6 and a result file with record keys, made by triseg
0.1.0."""
import json
import os
import shutil
import subprocess
import sys

import h5py

from program import SOURCE, ProgramTest, result_file, run, run_file

FILES = os.path.join(SOURCE, "tests", "runner", "files")
COMMON = ["search", "--model", "lenet5", "--episodes", "48", "--episodes-per-update", "8", "--batch-size", "16",
          "--calib-batches", "4", "--top-k", "2", "--eval-every", "2", "--result-file", "version4.json"]
SEARCH = COMMON + ["--tmax-mode", "search", "--objective", "pareto", "--pass-shares", "0.5,2",
                   "--strategy", "coordinate"]
# By file: a checkpoint of several branches, and one of a policy, its optimizer and a repair.
STOPPED = {"version-4-stopped.h5": SEARCH,
           "version-4-stopped-ppo.h5": COMMON + ["--strategy", "ppo", "--repair", "channel", "--repair-images", "64"],
           "version-6-stopped-ppo.h5": COMMON + ["--strategy", "ppo", "--repair", "channel", "--repair-images", "64"]}


class Versions(ProgramTest):
    def copy(self, name, to):
        os.makedirs(os.path.dirname(to))
        shutil.copy(os.path.join(FILES, name), to)
        return to

    def test_versions_4_and_6_are_read(self):
        for name in ("version-4-finished.h5", *STOPPED):
            path = os.path.join(FILES, name)
            with h5py.File(path) as file:
                self.assertEqual(file.attrs["schema_version"], int(name.split("-")[1]))
            self.assertEqual(run(["validate", path]).stdout, path + ": valid\n")
        picked = self.out("picked.json")
        self.assertEqual(run(["pick", os.path.join(FILES, "version-4-finished.h5"), "0", "--out", picked]).returncode,
                         0)
        with open(picked) as file:
            self.assertEqual(list(json.load(file)["layers"]), ["conv1", "conv2", "fc1", "fc2"])

    def test_version_5_is_read_and_its_runs_are_done(self):
        out = self.out("version-5")
        path = self.copy("version-5-finished.h5", run_file(out, "version4"))
        self.assertEqual(run(["validate", path]).stdout, path + ": valid\n")
        search = COMMON + ["--strategy", "random", "--out", out]
        for more in ([], ["--final-scoring", "all"]):
            done = run(search + more)
            self.assertIn("nothing to do", done.stderr)
        new = self.out("new-version-5")
        self.assertEqual(run(search[:-1] + [new, "--final-scoring", "all"]).returncode, 0)
        with h5py.File(path) as a, h5py.File(run_file(new, "version4")) as b:
            self.assertEqual([f.attrs["schema_version"] for f in (a, b)], [5, 7])
            self.assertEqual(a.attrs["config_hash"], b.attrs["config_hash"])
            for name in ("validation_record_rewards", "validation_images", "codes"):
                self.assertEqual(a["/top/" + name][()].tobytes(), b["/top/" + name][()].tobytes(), name)
        # What this version made without a race is no run by its default.
        self.assert_one_line_error(run(search[:-1] + [new]), "--final-scoring (all instead of race)")

    def test_a_stopped_run_continues_to_the_same_bytes(self):
        whole = {}  # the folders of runs of this version, by their options
        for name, search in STOPPED.items():
            with self.subTest(name):
                old, new = self.out("old-" + name), whole.setdefault(tuple(search), self.out("new-" + name))
                scoring = [] if "version-4" in name else ["--final-scoring", "all"]
                self.copy(name, run_file(old, "version4"))
                # Version 4 had no race, so that its runs end without one, whatever the default is now.
                begun = os.path.exists(new)
                for out, said, more in ((old, "Continuing", scoring),
                                        (new, "nothing to do" if begun else "Using LeNet-5",
                                         ["--final-scoring", "all"]),
                                        (old, "nothing to do", scoring)):
                    done = run(search + ["--out", out] + more)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn(said, done.stderr)
                compared = subprocess.run([sys.executable, os.path.join(SOURCE, "analysis", "compare_runs.py"),
                                           run_file(old, "version4"), run_file(new, "version4")], capture_output=True,
                                          text=True)
                self.assertEqual(compared.stdout, "equal\n", compared.stderr)
        # The finished run of version 4 found the same.
        new = self.out("new-version-4-stopped.h5")
        with h5py.File(run_file(new, "version4")) as a, h5py.File(os.path.join(FILES, "version-4-finished.h5")) as b:
            for path in ("/episodes/codes", "/episodes/reward", "/top/codes", "/selected/test_kd"):
                self.assertEqual(a[path][()].tobytes(), b[path][()].tobytes(), path)

    def test_a_result_with_record_keys_is_evaluated_alike(self):
        old = os.path.join(FILES, "version-4.json")
        with open(old) as file:
            self.assertEqual(list(json.load(file)["layers"])[0], "block_output.conv1")
        self.copy("version-4-finished.h5", run_file(self.out("a"), "version4"))
        self.assertEqual(run(SEARCH + ["--out", self.out("a")]).returncode, 0)
        scores = [run(["evaluate", path, "--format", "json"]) for path in (old, result_file(self.out("a"), "version4"))]
        for done in scores:
            self.assertEqual(done.returncode, 0, done.stderr)
        a, b = (json.loads(done.stdout) for done in scores)
        self.assertEqual(a.pop("result") == b.pop("result"), False)
        self.assertEqual(a, b)
