"""What looks at finished runs, from outside: sensitivity, analyze, verify, replay, compare and show."""
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

import h5py
import numpy

from program import (FEW_DATA, FEW_TEACHER, SOURCE, TEST_IMAGES, VALIDATION_IMAGES, ProgramTest, quick, result_file,
                     run, run_file)

sys.path.append(os.path.join(SOURCE, "tests", "learner", "files"))
from content_digest import run_digest  # noqa: E402  the tests' own

with open(os.path.join(SOURCE, "docs", "run-file.md"), encoding="utf-8") as documented:
    DOCUMENTATION = documented.read()
CODES = ("t1", "v1", "t2", "v2", "tmax")

DIFFERENT = 3  # exit code of verify, replay and compare
STUDENT_3 = 3.182446305  # 97.5 % quantile of Student's t with 3 degrees of freedom, for 4 records


class Analysis(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.runs = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, cls.runs)
        cls.folders = {}
        starts = ["--strategy", "mse", "--attention-weight", "0", "--final-scoring", "all",
                  "--calib-batches", "13"]  # no episodes
        for name, more in (("a", []), ("b", ["--seed", "2", "--lr", "0.01"]),
                           ("repaired", ["--repair", "layer", "--repair-images", "200"]),
                           ("start", starts), ("lower-tmax", [*starts, "--tmax-percentile", "80"])):
            cls.folders[name] = os.path.join(cls.runs, name)
            done = run(quick("--out", cls.folders[name], *more))
            if done.returncode != 0:
                raise AssertionError(done.stderr)
        cls.run_file, cls.result = run_file(cls.folders["a"]), result_file(cls.folders["a"])

    def json(self, *arguments):
        done = run([*arguments, "--format", "json"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def text(self, *arguments, expect=0):
        done = run(list(arguments))
        self.assertEqual((done.returncode, done.stderr), (expect, ""), done.stdout)
        return done.stdout

    def edited(self, change):
        """A copy of the run with other content, and the digest of that."""
        path = shutil.copy(self.run_file, self.out("edited.h5"))
        with h5py.File(path, "r+") as file:
            change(file)
            file.attrs["content_sha256"] = numpy.bytes_(run_digest(file, DOCUMENTATION))
        return path

    def test_sensitivity_is_what_evaluate_says_of_each_part(self):
        done = run(["sensitivity", self.result, "--out", self.out("s.json")])
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.out("s.json"), encoding="utf-8") as file:
            found = json.load(file)
        self.assertEqual((found["format"], found["split"], found["images"]),
                         ("triseg-sensitivity", "validation", VALIDATION_IMAGES))
        with open(self.result, encoding="utf-8") as file:
            whole = json.load(file)
        self.assertEqual(found["kd"]["value"], whole["selected"]["kd"])
        alone = [site["kd_alone"]["value"] for site in found["sites"]]
        self.assertEqual(alone, sorted(alone, reverse=True))
        self.assertEqual(sorted(site["site"] for site in found["sites"]), ["conv1", "conv2", "fc1", "fc2"])
        for site in found["sites"]:
            self.assertEqual({f"{name}_code": code for name, code in site["codes"].items()},
                             {name: code for name, code in whole["layers"][site["site"]].items()
                              if name != "record_key"})
        shown = [line.split()[0] for line in done.stdout.splitlines()[2:]]
        self.assertEqual(shown, ["all"] + [site["site"] for site in found["sites"]])
        for site in (found["sites"][0], found["sites"][-1]):
            for which, keep in (("alone", lambda key: key.endswith("." + site["site"])  # noqa: B023
                                 or key == site["site"]),
                                ("without", lambda key: not key.split(".")[-1] == site["site"])):  # noqa: B023
                part = whole | {"layers": {key: codes for key, codes in whole["layers"].items()
                                           if keep(codes["record_key"].replace(".out", ""))}}
                with open(self.out("part.json"), "w", encoding="utf-8") as file:
                    json.dump(part, file)
                expected = self.json("evaluate", self.out("part.json"), "--split", "validation")
                self.assertEqual(site[f"kd_{which}"]["value"], expected["kd"])
                self.assertEqual(site[f"acc_drop_{which}"]["value"], expected["acc_drop"])
                self.assertTrue(site[f"kd_{which}"]["low"] < expected["kd"] < site[f"kd_{which}"]["high"])
            self.assertAlmostEqual(site["kd_saved"]["value"], found["kd"]["value"] - site["kd_without"]["value"], 12)

    def test_sensitivity_of_a_repaired_result(self):
        result = result_file(self.folders["repaired"])
        done = run(["sensitivity", result])
        self.assertIn("repair is left out", done.stderr)
        fitted = self.json("sensitivity", result, "--repair", "layer", "--repair-images", "200")
        expected = self.json("evaluate", result, "--split", "validation", "--repair", "layer", "--repair-images", "200")
        self.assertEqual(fitted["kd"]["value"], expected["kd"])
        self.assertNotEqual(fitted["kd"], self.json("sensitivity", result)["kd"])
        self.assert_one_line_error(run(["sensitivity", result, "--repair-images", "200"]), "--repair-images",
                                   "--repair layer or channel")

    def test_percentiles_are_those_of_the_run_s_histograms(self):
        # Less than a record of 125 images, and one and a part.
        for run_of, images in (("a", 4 * 16), ("start", 13 * 16)):
            found = self.json("analyze", "percentiles", "--data", FEW_DATA, "--teacher", FEW_TEACHER,
                              "--images", str(images))
            with h5py.File(run_file(self.folders[run_of])) as file:
                names, histograms = file["/sites/name"].asstr()[:], file["/sites/histogram"][()]
            for name, counts in zip(names, histograms):
                site = found["sites"][name]
                for which, kept in (("all", counts), ("nonzero", numpy.where(numpy.arange(256) > 0, counts, 0))):
                    for percent in (1, 10, 50, 90, 99.9):
                        expected = int(numpy.argmax(100 * kept.cumsum() >= percent * kept.sum()))
                        self.assertEqual(site[which][f"p{percent:g}"], expected, (images, name, which, percent))
                self.assertEqual(site["largest"], counts.nonzero()[0].max())
                self.assertAlmostEqual(site["zero"], 100 * counts[0] / counts.sum(), 9)
        self.assertIn("codes above 0",
                      self.text("analyze", "percentiles", "--data", FEW_DATA, "--teacher", FEW_TEACHER,
                                "--images", "8"))

    def test_variances_are_those_of_weights_and_histograms(self):
        found = self.json("analyze", "variance", "--by-channel", "--data", FEW_DATA, "--teacher", FEW_TEACHER,
                          "--images", "208")
        with h5py.File(run_file(self.folders["start"])) as file, h5py.File(FEW_TEACHER) as model:
            for i, name in enumerate(file["/sites/name"].asstr()[:]):
                layer, counts, scale = found["layers"][name], file["/sites/histogram"][i], file["/sites/scale"][i]
                mean = (numpy.arange(256) * counts).sum() / counts.sum()
                variance = (numpy.arange(256) ** 2 * counts).sum() / counts.sum() - mean ** 2
                self.assertAlmostEqual(layer["activations"]["mean"], scale * mean, 9)
                self.assertAlmostEqual(layer["activations"]["variance"], scale ** 2 * variance, 9)
                group = model["nodes"][name]
                weights = group["weights"][()].astype(float)
                real = weights.reshape(len(weights), -1) * group["weight_scale"][()][:, None]
                self.assertAlmostEqual(layer["weights"]["mean"], real.mean(), 9)
                self.assertAlmostEqual(layer["weights"]["variance"], real.var(), 9)
                self.assertAlmostEqual(layer["channels"][3]["weights"]["variance"], real[3].var(), 9)
                self.assertEqual(len(layer["channels"]), len(weights))
            # A pool has the values of a maximum, and no weights.
            self.assertGreater(found["layers"]["conv1.pool"]["activations"]["mean"],
                               found["layers"]["conv1"]["activations"]["mean"])
            self.assertNotIn("weights", found["layers"]["conv1.pool"])

    def test_coverage_is_what_does_not_pass(self):
        found = self.json("analyze", "coverage", self.result)["coverage"]
        shares = self.json("evaluate", self.result, "--split", "validation")["shares"]
        for name, share in shares.items():
            self.assertAlmostEqual(found[name]["with_zeros"], 100 - share["passed"], 9)
            self.assertLess(found[name]["without_zeros"], found[name]["with_zeros"])
        self.assertIn("without zeros", self.text("analyze", "coverage", self.result))

    def test_verify_finds_a_run_equal_and_names_what_is_not(self):
        shown = self.text("verify", self.run_file, "--all")
        self.assertIn("equal  192 of 192 episodes, in 6 of 6 iterations\n", shown)
        self.assertIn(f"on {VALIDATION_IMAGES} validation images", shown)
        self.assertIn("equal  64 of 192 episodes", self.text("verify", self.run_file, "--episodes", "48"),
                      "two whole iterations of 32")
        self.assertIn("192 of 192",
                      self.text("verify", run_file(self.folders["repaired"]), "--all", "--engine", "reference"))

        self.assert_one_line_error(run(["verify", self.run_file, "--data", "shapes"]), "other images", "--data")
        self.assert_one_line_error(run(["verify", self.run_file,
                                        "--teacher", os.path.join(SOURCE, "models", "alexnet-fashion-mnist.h5")]),
                                   "alexnet")

    def test_verify_finds_an_edit_of_every_group(self):
        """Edits that contradict nothing else in the file, each with what it adds at these places."""
        with h5py.File(self.run_file) as file:
            selected = int(file["/selected/top_index"][()])
        other = selected + 1 if selected == 0 else selected - 1
        in_records = lambda row: {("/top/validation_record_rewards", (row, 0)): 1,
                                  ("/top/validation_record_rewards", (row, 1)): -1}
        for said, edits in (
                ("episode 191: both_right", {("/episodes/both_right", 191): -1, ("/episodes/teacher_only", 191): 1}),
                ("episode 100: kd_sum", {("/episodes/kd_sum", 100): 1, ("/episodes/reward", 100): -1 / 16}),
                ("episode 3: reward", {("/episodes/reward", 3): 1e-15}),
                ("iteration 2: reference_reward", {("/updates/reference_reward", 2): 1}),
                ("iteration 3: mean_reward", {("/updates/mean_reward", 3): 1e-15}),
                ("iteration 4: best_reward", {("/updates/best_reward", 4): 1}),
                (r"site conv2: histogram\[9\]", {("/sites/histogram", (1, 9)): 1}),
                ("site fc1: init_codes", {("/sites/init_codes", (2, 0)): 1}),
                ("site fc1: mse_codes", {("/sites/mse_codes", (2, 3)): 1}),
                ("evaluation 1: attention_sum", {("/evaluations/validation_attention_sum", 1): 1}),
                (f"row {other} of /top: student_only", {("/top/validation_student_only", other): 1}),
                (rf"row {other} of /top: validation_record_rewards\[0\]", in_records(other)),
                (f"row {selected} of /top: student_only", {("/top/validation_student_only", selected): 1}),
                (rf"row {selected} of /top: validation_record_rewards\[0\]", in_records(selected)),
                ("the selected student on the test split: kd_sum", {("/selected/test_kd_sum", ()): 1}),
                ("the MSE optimum on the test split: teacher_only", {("/selected/test_mse_teacher_only", ()): 1})):
            def add(file):
                for (dataset, place), number in edits.items():  # noqa: B023
                    file[dataset][place] = numpy.add(file[dataset][place], number, casting="unsafe",
                                                     dtype=file[dataset].dtype)
            with self.subTest(said):
                shown = self.text("verify", self.edited(add), "--all", expect=DIFFERENT)
                self.assertRegex(shown, rf"(?m)^different  {said} is .* in the file, and .* here$")

    def test_verify_finds_an_edit_of_what_follows_from_other_fields(self):
        for field, change in (("/episodes/kd", lambda kd: kd * 0.1), ("/selected/test_kd", lambda kd: kd * 0.1),
                              ("/top/energy", lambda energy: energy / 2),
                              ("/selected/codes", lambda codes: codes[::-1])):
            def edit(file):
                file[field][()] = change(file[field][()])  # noqa: B023
            with self.subTest(field):
                shown = self.text("verify", self.edited(edit), "--episodes", "1", expect=DIFFERENT)
                self.assertRegex(shown, rf"(?m)^equal  it and the MSE optimum on {TEST_IMAGES} test images\n"
                                        rf"different  {field}: element 0 is not what the stored fields make it$")

    def test_a_file_of_deep_groups_is_refused_at_once(self):
        path = shutil.copy(self.run_file, self.out("deep.h5"))
        with h5py.File(path, "r+") as file:
            group = file
            for _ in range(3000):
                group = group.create_group("g")
        for command in ("validate", "verify", "show"):
            self.assert_one_line_error(run([command, path], timeout=10),
                                       "deep.h5: its groups are nested more than 32 deep")

    def test_validate_names_a_damaged_file_once(self):
        path = shutil.copy(self.run_file, self.out("damaged.h5"))
        with h5py.File(path) as file:
            chunk = file["/episodes/reward"].id.get_chunk_info(0)
        with open(path, "r+b") as file:
            file.seek(chunk.byte_offset + chunk.size // 2)
            file.write(bytes(8))
        shown = self.text("validate", path, expect=1)
        self.assertIn(f"{path}: /episodes/reward: ", shown)
        for line in shown.splitlines():
            self.assertEqual(line.count("damaged.h5"), 1, line)

    def test_replay_has_the_terms_of_an_episode(self):
        found = self.json("replay", self.run_file, "100")
        with h5py.File(self.run_file) as file:
            codes, kd, iteration = file["/episodes/codes"][100], file["/episodes/kd"][100], file["/episodes/iteration"][
                100]
        self.assertEqual((found["equal"], found["iteration"], found["kd"]), (True, iteration, kd))
        self.assertEqual([[site[code] for code in CODES[:4]] for site in found["codes"].values()], codes.tolist())
        self.assertEqual(len(found["images"]), 16)
        with open(os.path.join(FEW_DATA, "train-labels-idx1-ubyte"), "rb") as file:
            labels = file.read()[8:]
        self.assertEqual([image["label"] for image in found["images"]],
                         [labels[image["image"]] for image in found["images"]])
        self.assertAlmostEqual(sum(image["kd"] for image in found["images"]) / 16, kd, 12)
        self.assertIn("equal to the file", self.text("replay", self.run_file, "0"))
        self.assert_one_line_error(run(["replay", self.run_file, "192"]), "192 episodes", "found 192")

    def test_compare_begins_with_the_options(self):
        other = run_file(self.folders["b"])
        shown = self.text("compare", self.run_file, other, expect=DIFFERENT)
        first = shown.split("\n\n")[1].splitlines()
        self.assertEqual(first[0], "options that differ (A, B)")
        self.assertEqual([line.split() for line in first[1:]], [["lr", "0.0003", "0.01"], ["seed", "1", "2"]])
        drops = [self.json("evaluate", path, "--split", "validation")
                 for path in (self.result, result_file(self.folders["b"]))]
        row = next(line.split() for line in shown.splitlines() if line.startswith("  KD [nats]"))
        self.assertAlmostEqual(float(row[4]), drops[1]["kd"] - drops[0]["kd"], 5)
        self.assertRegex(shown, r"content: different in \d+ fields; --all lists them")
        listed = self.text("compare", self.run_file, other, "--all", "--files-only", expect=DIFFERENT)
        self.assertIn("\n  /episodes/codes: ", listed)
        self.assertIn("change only where and how fast", listed)
        same = self.text("compare", self.run_file, self.run_file, "--files-only")
        self.assertIn("no options that change results differ", same)
        self.assertIn("content: equal", same)
        self.assertTrue(same.endswith("\nequal\n"))
        self.assertNotIn("where they differ", same)
        self.assertTrue(listed.endswith("\ndiffer in options, codes, outcomes, content\n"), listed[-80:])

    def test_intervals_are_those_of_the_records(self):
        paths = [run_file(self.folders[name]) for name in ("start", "lower-tmax")]
        sums = []
        for path in paths:
            with h5py.File(path) as file:
                # Of KD: attention has no weight.
                sums.append(-file["/top/validation_record_rewards"][file["/selected/top_index"][()]])
        images = numpy.array([125, 125, 125, VALIDATION_IMAGES - 375])
        difference = sums[1] - sums[0]
        mean = difference.sum() / VALIDATION_IMAGES
        records = len(images)
        error = numpy.sqrt(((difference - images * mean) ** 2).sum() * records / (records - 1)) / VALIDATION_IMAGES
        row = re.search(r"(?m)^  KD \[nats\] +(\S+) +(\S+) +(\S+)  \[(\S+), (\S+)\]$",
                        self.text("compare", *paths, expect=DIFFERENT))
        expected = [*(each.sum() / VALIDATION_IMAGES for each in sums), mean, mean - STUDENT_3 * error,
                    mean + STUDENT_3 * error]
        numpy.testing.assert_allclose([float(value) for value in row.groups()], expected, rtol=1e-5)

    def test_compare_takes_results_too(self):
        shown = self.text("compare", self.result, result_file(self.folders["b"]), expect=DIFFERENT)
        self.assertRegex(shown, r"(?m)^  seed +1 +2$")
        self.assertIn("codes and repair: different", shown)
        mixed = self.text("compare", self.run_file, self.result)
        self.assertRegex(mixed, r"KD \[nats\] +(\S+) +\1 +0 +\[0, 0\]")
        self.assertIn("codes and repair: equal", mixed)

    def test_show_has_codes_and_pictures(self):
        with h5py.File(self.run_file) as file:
            codes = numpy.column_stack([file["/selected/codes"][()], file["/sites/tmax"][()]])
        with open(self.result, encoding="utf-8") as file:
            named = json.load(file)["layers"]
        for path in (self.run_file, self.result):
            shown = self.text("show", path)
            for name, row in zip(named, codes):
                self.assertRegex(shown, rf"(?m)^{name} +{' +'.join(map(str, row))} ")
            t1, _, t2, _, tmax = map(int, codes[0])
            last = int(re.search(r"  0\.\.(\d+)", shown)[1])
            columns = min(last + 1, 64)
            starts = [-(-column * (last + 1) // columns) for column in range(columns)]
            self.assertIn("".join("0" if q <= t1 else "1" if q <= t2 else "2" if q <= tmax else "/" for q in starts) +
                          " ", shown)
        self.assertIn("█", self.text("show", self.run_file))
        self.assertEqual(self.text("show", self.folders["a"]), self.text("show", self.run_file))
        self.assert_one_line_error(run(["show", self.runs]), "is a folder without a search's files")
        self.assertRegex(self.text("show", FEW_TEACHER), r"(?m)^conv2 +conv +6x14x14 +16x10x10 .*yes$")


if __name__ == "__main__":
    unittest.main()
