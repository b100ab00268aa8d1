"""triseg repair from outside: what it gains, what it writes, and what it refuses."""
import json
import os
import shutil
import signal
import tempfile
import unittest

from program import (FEW_DATA, FEW_TEACHER, SEARCH_IMAGES, ProgramTest, held, let_go, quick, result_file, run,
                     run_file, start)


def load(path):
    with open(path) as file:
        return json.load(file)


def run_or_fail(*arguments):
    done = run(list(arguments))
    if done.returncode != 0:
        raise AssertionError(done.stderr)


class OnTheShippedModel(ProgramTest):
    def test_it_lowers_the_distillation_of_the_analytic_start(self):
        self.search("a", "--data", "fashion-mnist", "--strategy", "mse")
        result, out = result_file(self.out("a")), self.out("repaired.json")
        done = run(["repair", result, "--epochs", "1", "--threads", "2", "--out", out])
        self.assertEqual(done.returncode, 0, done.stderr)
        before, after = load(result), load(out)
        self.assertEqual(after["layers"], before["layers"], "codes stay")
        self.assertLess(after["metrics"]["kd"], 0.85 * before["metrics"]["kd"])
        self.assertLess(after["metrics"]["acc_drop"], before["metrics"]["acc_drop"])
        training = after["repair"]["training"]
        self.assertEqual(training["student_images"], 50000)
        self.assertAlmostEqual(training["validation_before"]["kd"], before["selected"]["kd"], delta=1e-12)
        self.assertLess(training["validation"]["kd"], 0.85 * before["selected"]["kd"])
        self.assertLess(training["validation"]["passed"], 1.1 * training["validation_before"]["passed"])
        self.assertEqual(list(after["repair"]["layers"]), ["conv1", "conv2", "fc1", "fc2", "fc3"])
        self.assertIn(f"{before['selected']['kd']:.4f} before", done.stderr)
        metrics = json.loads(run(["evaluate", out, "--format", "json"]).stdout)
        for key in ("kd", "attention", "acc_student", "acc_teacher", "acc_drop", "images"):
            self.assertEqual(metrics[key], after["metrics"][key], key)
        self.assertEqual(metrics["repair"], "channel")
        with open(self.out("foreign.json"), "w") as file:
            json.dump(before | {"model_sha256": "0" * 64}, file)
        for command in ("evaluate", "repair"):
            self.assert_one_line_error(run([command, self.out("foreign.json")]), "foreign.json", "another teacher",
                                       "--teacher")
        for name in ("gap", "acc_drop_95", "mcnemar_p", "acc_student_95"):
            self.assertIn(name, after["metrics"])
        self.assertFalse(os.path.exists(out + ".checkpoint"))


class OnFewImages(ProgramTest):
    """A teacher of few images and codes for it, so that an epoch takes a second."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, cls.shared)
        run_or_fail(*quick("--strategy", "mse", "--out", cls.shared))
        cls.plain = os.path.join(cls.shared, "plain.json")  # what repair() makes of it without more options
        run_or_fail("repair", result_file(cls.shared), "--teacher", FEW_TEACHER, "--out", cls.plain, "--epochs", "1",
                    "--threads", "1")

    def setUp(self):
        super().setUp()
        self.result = result_file(self.shared)

    def command(self, out, *more):
        options = {"--teacher": FEW_TEACHER, "--out": self.out(out), "--epochs": "1", "--threads": "1"}
        return ["repair", self.result, *more, *(x for pair in options.items() if pair[0] not in more for x in pair)]

    def repair(self, out, *more, expect=0):
        done = run(self.command(out, *more))
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def bytes_of(self, name):
        with open(self.out(name), "rb") as file:
            return file.read()

    def test_the_same_command_gives_the_same_bytes_and_then_does_nothing(self):
        self.repair("one.json")
        first, second = load(self.plain), load(self.out("one.json"))
        for result in (first, second):
            del result["repair"]["training"]["command_line"]  # names --out
        self.assertEqual(first, second)
        before = self.bytes_of("one.json")
        self.assertIn("nothing to do", self.repair("one.json").stderr)
        self.assertEqual(self.bytes_of("one.json"), before)
        refused = self.repair("one.json", "--seed", "2", expect=1)
        self.assert_one_line_error(refused, "--out", "made by other options", "--seed (1 instead of 2)")
        self.assertEqual(self.bytes_of("one.json"), before)

    def test_every_option_that_changes_results_does(self):
        plain = load(self.plain)["repair"]["layers"]
        for name, options in enumerate((["--repair", "layer"], ["--epochs", "2"], ["--batch-size", "100"],
                                        ["--lr", "0.002"], ["--bias-lr", "0.05"], ["--smoothing", "0.4"],
                                        ["--shift", "0"], ["--no-flip"], ["--seed", "9"],
                                        ["--kd-T", "4"])):
            with self.subTest(options):
                self.repair(f"{name}.json", *options)
                self.assertNotEqual(load(self.out(f"{name}.json"))["repair"]["layers"], plain)
        shared = load(self.out("0.json"))
        self.assertEqual(shared["repair"]["mode"], "layer")
        for layer, fitted in shared["repair"]["layers"].items():
            with self.subTest(layer):
                channel = plain[layer]["multiplier"]
                self.assertNotAlmostEqual(fitted["multiplier"][0] / channel[0], fitted["multiplier"][1] / channel[1],
                                          places=6)

    def test_a_killed_repair_goes_on_to_the_same_result(self):
        long = ["--epochs", "3"]
        self.repair("whole.json", *long)
        checkpoint = self.out("killed.json.checkpoint")

        def begin():
            for path in (checkpoint, self.out("killed.json")):
                if os.path.exists(path):
                    os.remove(path)
            return start(self.command("killed.json", *long))
        process, _ = held(begin, lambda: os.path.exists(checkpoint), lambda: os.path.exists(checkpoint))
        process.kill()
        process.communicate()
        self.assertFalse(os.path.exists(self.out("killed.json")), "killed before its end")
        other = self.repair("killed.json", "--epochs", "4", expect=1)
        self.assert_one_line_error(other, "killed.json.checkpoint",
                                   "another configuration: --epochs (3 instead of 4); remove it")
        kept, started = shutil.copy(checkpoint, self.out("kept")), []

        def go_on():
            if os.path.exists(self.out("killed.json")):
                os.remove(self.out("killed.json"))
                shutil.copy(kept, checkpoint)
            started[:] = [start(self.command("killed.json", *long))]
            return started[0]
        # It scores or trains.
        process, _ = held(go_on, lambda: started[0].stderr.readline(), lambda: os.path.exists(checkpoint))
        process.send_signal(signal.SIGTERM)
        let_go([process.pid])
        text = process.communicate()[1]
        self.assertEqual(process.returncode, 85, text)
        self.assertRegex(text, "killed.json.checkpoint holds [0-9]+ of 3 epochs; the same command continues\n$")
        self.assertIn("Continuing", self.repair("killed.json", *long).stderr)
        whole, killed = load(self.out("whole.json")), load(self.out("killed.json"))
        self.assertEqual(killed["repair"]["layers"], whole["repair"]["layers"])
        self.assertEqual(killed["metrics"], whole["metrics"])
        self.assertFalse(os.path.exists(self.out("killed.json.checkpoint")))

    def test_any_candidate_can_be_repaired(self):
        selected = load(result_file(self.shared))["layers"]
        for index in range(2):  # one of them has other codes than the selected one
            picked = self.out(f"picked{index}.json")
            self.assertEqual(run(["pick", run_file(self.shared), str(index), "--out", picked]).returncode, 0)
            if load(picked)["layers"] != selected:
                self.result = picked
        self.repair("mine.json")
        self.assert_evaluates_to_its_metrics("mine.json")
        self.assertEqual(load(self.out("mine.json"))["layers"], load(self.result)["layers"])
        self.assertNotEqual(load(self.result)["layers"], selected)

    def test_it_goes_on_from_the_repair_of_the_result(self):
        once = load(self.plain)
        self.result = self.plain
        self.repair("more.json", "--seed", "2")
        self.assertAlmostEqual(load(self.out("more.json"))["repair"]["training"]["validation_before"]["kd"],
                               once["repair"]["training"]["validation"]["kd"], delta=1e-12)

    def assert_evaluates_to_its_metrics(self, name):
        metrics = load(self.out(name))["metrics"]
        for engine in ("auto", "reference"):
            done = run(["evaluate", self.out(name), "--teacher", FEW_TEACHER, "--engine", engine, "--format", "json"])
            self.assertEqual(done.returncode, 0, done.stderr)
            found = json.loads(done.stdout)
            self.assertNotIn("was found", done.stderr, "with another model or on other images")
            for key in ("kd", "attention", "acc_student", "acc_teacher", "acc_drop", "images"):
                self.assertEqual(found[key], metrics[key], f"{key} by engine {engine}")

    def test_a_result_is_of_its_teacher(self):
        def altered(path, name):
            with open(self.out(name), "w") as file:
                json.dump(load(path) | {"model_sha256": "0" * 64}, file)
            return self.out(name)

        foreign = altered(self.result, "foreign.json")
        for command in (["evaluate", foreign], ["repair", foreign, "--epochs", "1"]):
            asked = run([*command, "--teacher", FEW_TEACHER, "--threads", "1"])
            self.assertEqual(asked.returncode, 0, asked.stderr)
            self.assertIn("warning: ", asked.stderr)
            self.assertIn("found with another teacher", asked.stderr)
        alien = altered(self.plain, "alien.json")
        done = run(["evaluate", alien, "--teacher", FEW_TEACHER, "--threads", "1"])
        self.assert_one_line_error(done, "alien.json", "another teacher", "--teacher")

    def test_the_file_says_what_its_metrics_were_measured_with(self):
        for name, options in (("hot", ["--kd-T", "4"]), ("blind", ["--attention-layers", "conv2"])):
            with self.subTest(name):
                self.repair(name + ".json", *options)
                self.assert_evaluates_to_its_metrics(name + ".json")
        other = run(self.command("blind.json", "--attention-layers", "none"))
        self.assert_one_line_error(other, "made by other options")

    def test_no_more_passes_than_before(self):
        """What passes is exact: KD alone would let ever more pass."""
        self.repair("a.json", "--epochs", "10")
        training = load(self.out("a.json"))["repair"]["training"]
        before, after = training["validation_before"]["passed"], training["validation"]["passed"]
        self.assertGreater(before, 0.005)
        self.assertLess(after, 1.1 * before)
        self.assertGreater(after, 0.5 * before)

    def test_defaults_of_out_and_a_checkpoint_elsewhere(self):
        original = self.out("mine.json")
        shutil.copy(self.result, original)
        options = ["--teacher", FEW_TEACHER, "--epochs", "1", "--threads", "1"]
        with open(self.out("broken"), "w") as file:
            file.write("no checkpoint")
        damaged = run(["repair", original, *options, "--checkpoint", self.out("broken")])
        self.assert_one_line_error(damaged, "broken", "another --checkpoint")
        done = run(["repair", original, *options, "--checkpoint", self.out("state"), "--progress-every", "0.001",
                    "--engine", "reference"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(done.stderr.count("epoch 1/1"), 5)
        self.assertIn("mine.repaired.json", done.stdout)
        self.assertEqual(sorted(os.listdir(self.folder)), ["broken", "mine.json", "mine.repaired.json"])

    def test_codes_of_the_python_original_are_repaired_too(self):
        original = self.out("original.json")
        with open(original, "w") as file:
            json.dump({"layers": load(self.result)["layers"], "backend": "fbgemm", "model": "LeNet5"}, file)
        self.result = original
        self.repair("repaired.json", "--data", FEW_DATA)
        repaired = load(self.out("repaired.json"))
        self.assertEqual(sorted(repaired),
                         ["attention_layers", "backend", "data", "data_sha256", "layers", "metrics", "model",
                          "model_sha256", "repair", "temperature"])
        self.assert_evaluates_to_its_metrics("repaired.json")

    def test_what_cannot_be_is_refused_in_one_line(self):
        for options in (["--repair", "none"], ["--repair", "kernel"], ["--engine", "abacus"]):
            with self.subTest(options):
                done = run(self.command("x.json", *options))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assert_one_line_error(done, f"{options[0]}: expected one of ", f"found '{options[1]}'")
                self.assertFalse(os.path.exists(self.out("x.json")))
        for options, fragments in ((["--out", self.result], ["--out", "the result itself"]),
                                   (["--checkpoint", self.result], ["--checkpoint", "result file"]),
                                   (["--checkpoint", self.folder], ["--checkpoint", "folder"]),
                                   (["--checkpoint", os.path.relpath(self.out("x.json"))],
                                    ["--checkpoint", "result file"]),
                                   (["--batch-size", str(SEARCH_IMAGES + 1)], ["--batch-size", str(SEARCH_IMAGES)]),
                                   (["--shift", "32"], ["--shift", "0 to 31"]),
                                   (["--device", "tpu"], ["--device", "tpu"])):
            with self.subTest(options):
                done = run(self.command("x.json", *options))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assert_one_line_error(done, *fragments)
                self.assertFalse(os.path.exists(self.out("x.json")))
        whole = ["--epochs", "1", "--batch-size", str(SEARCH_IMAGES)]
        for options, fragment in ((["--lr", "2", *whole], "no gain on validation"),
                                  (["--lr", "1e12"], "error: the repair "),
                                  (["--bias-lr", "1e12"], "the repair diverged")):
            with self.subTest(options):
                done = self.repair("x.json", *options, expect=1)
                self.assertEqual(done.stderr.count("error:"), 1, done.stderr)
                self.assertIn(fragment, done.stderr.splitlines()[-1])
                self.assertEqual(os.listdir(self.folder), [])
        for arguments in ([], [self.result, "--epochs", "0"], [self.result, "--lr", "0"]):
            self.assertEqual(run(["repair", *arguments]).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
