"""--repair from outside: what it changes, what it stores, and that ranks, engines and kills change nothing."""
import json
import unittest

import h5py

from program import (FEW_DATA, SEARCH_IMAGES, TEST_IMAGES, VALIDATION_IMAGES, ProgramTest, quick, result_file, run,
                     run_file)


class Repair(ProgramTest):
    FEW = ["--repair", "channel", "--repair-images", "500"]

    def test_ranks_threads_and_engines_change_no_byte(self):
        small = self.FEW + ["--episodes", "24", "--episodes-per-update", "12", "--top-k", "1"]
        self.search("a", *small)
        for name, more, ranks in (("two", [], 2), ("three", ["--dedicated-learner", "--threads", "1"], 3),
                                  ("reference", ["--engine", "reference", "--threads", "2"], None)):
            with self.subTest(name):
                self.search(name, *small, *more, ranks=ranks)
                self.assert_same_run(self.out("a"), self.out(name))
        self.assertEqual(run(["validate", run_file(self.out("a"))]).returncode, 0)

    def test_killed_runs_end_in_the_bytes_of_an_uninterrupted_one(self):
        long = self.FEW + ["--episodes", "960", "--checkpoint-every", "0"]
        self.search("whole", *long)
        for after, resumed_on in ((32, 2), (512, None)):
            process, _ = self.hold(f"killed{after}", after, 960, *long)
            process.kill()
            process.communicate()
            self.search(f"killed{after}", *long, ranks=resumed_on)
            self.assert_same_run(self.out("whole"), self.out(f"killed{after}"))

    def test_it_brings_the_mse_optimum_nearer_to_its_teacher(self):
        for mode in ("layer", "channel"):
            shown = self.search(mode, "--repair", mode, "--warm-start", "mse").stdout
            with h5py.File(run_file(self.out(mode))) as file:
                self.assertEqual(file.attrs["repair"], mode.encode())
                mse, repaired = file["/selected/test_mse_kd"][()], file["/selected/test_mse_repaired_kd"][()]
                self.assertIn(f"the MSE optimum with a repair of its own: KD {repaired:.5f}, student accuracy ", shown)
                self.assertEqual(file["/selected/test_mse_repaired_images"][()], TEST_IMAGES)
                origins, kd = file["/top/origin"].asstr()[:], file["/top/validation_kd"][:]
            self.assertLess(repaired, 0.95 * mse, mode)
        self.search("none", "--warm-start", "mse")
        with h5py.File(run_file(self.out("none"))) as file:
            self.assertEqual(file["/selected/test_mse_kd"][()], mse,
                             "the MSE optimum is also reported without a repair")
            unrepaired = file["/top/validation_kd"][:][file["/top/origin"].asstr()[:] == "mse"][0]
        self.assertLess(kd[origins == "mse"][0], 0.95 * unrepaired, "finalists have the start's repair")

    def test_the_result_file_has_what_the_run_file_has(self):
        self.search("a", *self.FEW)
        with open(result_file(self.out("a"))) as file:
            repair = json.load(file)["repair"]
        self.assertEqual(repair["mode"], "channel")
        with h5py.File(run_file(self.out("a"))) as file:
            names, channels = list(file["/selected/repair_layer"].asstr()), list(file["/selected/repair_channels"])
            self.assertEqual(names, list(repair["layers"]))
            self.assertEqual(dict(zip(names, channels)), {"conv2": 16, "fc1": 120, "fc2": 84, "fc3": 10})
            for key in ("multiplier", "bias"):
                joined = [x for layer in repair["layers"].values() for x in layer[key]]
                self.assertEqual(joined, [float(x) for x in file["/selected/repair_" + key]])
            images = file.attrs["student_images"]
        # 6 starts on 64 images, 4 passes around the start, 192 + 6 scored students on 16 images, 2 evaluations
        self.assertEqual(images, 6 * 64 + 4 * 500 + (192 + 6) * 16 + 2 * VALIDATION_IMAGES)

    def test_evaluate_takes_the_repair_or_fits_one(self):
        self.search("a", *self.FEW)
        result = result_file(self.out("a"))
        with open(result) as file:
            metrics = json.load(file)["metrics"]
        evaluate = lambda *more: json.loads(run(["evaluate", result, "--format", "json", *more]).stdout)
        stored = evaluate()
        self.assertEqual((stored["kd"], stored["attention"], stored["repair"]),
                         (metrics["kd"], metrics["attention"], "channel"))
        none, layer, channel = (evaluate("--repair", mode) for mode in ("none", "layer", "channel"))
        self.assertEqual((none["repair"], layer["repair"], channel["repair"]), ("none", "layer", "channel"))
        self.assertEqual(len({each["kd"] for each in (stored, none, layer, channel)}), 4,
                         "the stored one is the start's")

        with open(result) as file:
            content = json.load(file)
        with h5py.File(run_file(self.out("a"))) as file:
            for layer, codes in zip(content["layers"].values(), file["/sites/mse_codes"][()]):
                layer.update({name: int(code)
                              for name, code in zip(("t1_code", "v1_code", "t2_code", "v2_code"), codes)})
        with open(result, "w") as file:
            json.dump(content, file)
        self.assertEqual(evaluate("--repair", "channel", "--repair-images", "500")["kd"],
                         metrics["kd_mse_codes_repaired"])
        self.assertEqual(evaluate("--repair", "none")["kd"], metrics["kd_mse_codes"])

    def test_what_it_cannot_do_is_refused(self):
        self.assert_one_line_error(run(quick("--out", self.out("a"), "--repair", "glue")),
                                   "--repair: expected one of none, layer, channel, found 'glue'")
        done = run(quick("--out", self.out("a"), "--repair", "layer", "--repair-images", str(SEARCH_IMAGES + 1)))
        self.assert_one_line_error(done,
                                   f"--repair-images: {SEARCH_IMAGES + 1} images, but the search split of {FEW_DATA} "
                                         f"has {SEARCH_IMAGES}")


if __name__ == "__main__":
    unittest.main()
