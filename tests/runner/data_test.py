"""Data sets are what they hold, whatever their folder is called."""
import itertools
import json
import os
import shutil
import subprocess
import sys
import unittest

from program import FASHION_MNIST, SOURCE, ProgramTest, quick, result_file, run, write_few_images

MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")


class Data(ProgramTest):
    def copy_fashion_mnist(self, name):
        shutil.copytree(FASHION_MNIST, self.out(name))

    def write_other_images(self, name):
        """The first images of Fashion-MNIST, with other labels."""
        write_few_images(self.out(name), 600, 100, relabel=lambda label: 9 - label)

    def write_model_without_digest(self):
        """The shipped model, which then goes with any data that are called fashion-mnist."""
        script = os.path.join(SOURCE, "tests", "learner", "files", "rewrite_model.py")
        subprocess.run([sys.executable, "-B", script, MODEL, self.out("old.h5"), "1"], check=True)
        return self.out("old.h5")

    def test_a_copy_under_another_name_takes_the_shipped_model(self):
        self.copy_fashion_mnist("mine")
        done = run(quick("--data", "mine", "--out", "a"), cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.search("named", "--data", "fashion-mnist")
        results = []
        for name in ("a", "named"):
            with open(result_file(self.out(name))) as file:
                results.append(json.load(file))
        self.assertEqual([r["data"] for r in results], [self.out("mine"), "fashion-mnist"])
        for key in ("data_sha256", "config_hash", "layers", "metrics"):
            self.assertEqual(results[0][key], results[1][key])
        again = run(quick("--data", "fashion-mnist", "--out", "a"), cwd=self.folder)
        self.assertIn("nothing to do", again.stderr)

    def test_other_images_under_its_name_are_refused(self):
        self.write_other_images("fashion-mnist")
        for teacher in ([], ["--teacher", MODEL]):
            done = run(quick("--data", self.out("fashion-mnist"), "--out", self.out("a"), *teacher))
            self.assert_one_line_error(done, f"{MODEL} was trained on fashion-mnist (sha256 9fc08bde62ec...), not on "
                                       "the data in "
                                       + self.out("fashion-mnist"), "triseg train", "--teacher")
        self.assertFalse(os.path.exists(self.out("a")))

    def test_a_model_trained_on_a_folder_goes_with_its_images(self):
        self.write_other_images("fashion-mnist")
        model = self.out("mine.h5")
        trained = run(["train", "--model", "lenet5", "--data", self.out("fashion-mnist"), "--epochs", "1",
                       "--qat-epochs", "0", "--out", model])
        self.assertEqual(trained.returncode, 0, trained.stderr)
        os.rename(self.out("fashion-mnist"), self.out("moved"))
        self.search("a", "--data", self.out("moved"), "--teacher", model)
        self.assert_one_line_error(run(quick("--data", "fashion-mnist", "--out", self.out("b"), "--teacher", model)),
                                   f"{model} was trained on fashion-mnist (sha256 ",
                                   "not on fashion-mnist (sha256 9fc08bde62ec...)")

    def test_models_without_a_digest_go_by_the_name(self):
        old = self.write_model_without_digest()
        self.search("a", "--data", "fashion-mnist", "--teacher", old)
        self.copy_fashion_mnist("mine")
        done = run(quick("--data", self.out("mine"), "--out", self.out("b"), "--teacher", old))
        self.assert_one_line_error(done, f"{old} was trained on fashion-mnist, not on the data in {self.out('mine')}")

    def test_data_sorted_by_class_are_warned_of(self):
        numbers = itertools.count()
        write_few_images(self.out("fashion-mnist"), 600, 100, relabel=lambda label: next(numbers) % 600 // 60)
        model = self.write_model_without_digest()
        expected = ["the search split of fashion-mnist has no image of class 9: are the training images sorted by "
                    "class?",
                    "the validation split of fashion-mnist has no image of the classes 0, 1, 2, 3, 4, 5, 6, 7: are the",
                    "the test split of fashion-mnist has no image of the classes 2, 3, 4, 5, 6, 7, 8, 9"]
        searched = self.search("a", "--data", self.out("fashion-mnist"), "--teacher", model, ranks=2)
        evaluated = run(["evaluate", result_file(self.out("a")), "--teacher", model])
        for done in (searched, evaluated):
            self.assertEqual(done.returncode, 0, done.stderr)
            warnings = [line for line in (done.stdout + done.stderr).splitlines() if "has no image of" in line]
            self.assertEqual(len(warnings), 3, done.stderr)
            for line, text in zip(warnings, expected):
                self.assertIn("warning: " + text, line)

    def test_evaluate_takes_the_data_of_the_search(self):
        self.copy_fashion_mnist("fashion-mnist")
        found = run(quick("--data", "./fashion-mnist", "--out", "a"), cwd=self.folder)
        self.assertEqual(found.returncode, 0, found.stderr)
        result = result_file(self.out("a"))
        evaluated = run(["evaluate", result])
        self.assertEqual(evaluated.returncode, 0, evaluated.stderr)
        self.assertIn(f"LeNet-5 on {self.out('fashion-mnist')} (fbgemm)", evaluated.stdout)
        os.rename(self.out("fashion-mnist"), self.out("moved"))
        self.assert_one_line_error(run(["evaluate", result]), self.out("fashion-mnist"),
                                   "give its folder or file with --data")
        moved = run(["evaluate", result, "--data", self.out("moved")])
        self.assertEqual((moved.returncode, moved.stderr), (0, ""))
        self.write_other_images("fashion-mnist")
        self.assert_one_line_error(run(["evaluate", result]), result, "was found on other data", "--data")


if __name__ == "__main__":
    unittest.main()
