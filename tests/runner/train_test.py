"""triseg train from outside: whose work it continues, and how it stops."""
import os
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy

from program import (PROGRAM, ProgramTest, end, environment, held, let_go, result_file, run, run_file, start,
                     write_few_images)


class Train(ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.out("few of 'them'")
        write_few_images(self.data, 1200, 100)

    def command(self, out, *more):
        options = {"--model": "lenet5", "--data": self.data, "--epochs": "3", "--qat-epochs": "1", "--batch-size": "50",
                   "--lr": "0.02", "--threads": "1", "--device": "cpu", "--out": self.out(out)}
        return ["train", *more, *(x for pair in options.items() if pair[0] not in more for x in pair)]

    def train(self, out, *more, expect=0):
        done = run(self.command(out, *more))
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def alter_data(self):
        """Other labels under the same name."""
        shutil.rmtree(self.data)
        write_few_images(self.data, 1200, 100, relabel=lambda label: (label + 1) % 10)

    def assert_same_model(self, one, two):
        def arrays(name):
            found = {}
            with h5py.File(self.out(name), "r") as file:
                file.visititems(lambda key, item: found.update({key: item[()].tolist()})
                                if isinstance(item, h5py.Dataset) else None)
            return found
        self.assertGreater(len(arrays(one)), 5)
        self.assertEqual(arrays(one), arrays(two))

    def stop(self, out, number):
        """Ends a training by this signal, once it has finished an epoch more than there were."""
        def written():
            path = self.out(out) + ".checkpoint"
            return os.stat(path).st_mtime_ns if os.path.exists(path) else None
        before, checkpoint = written(), self.out(out) + ".checkpoint"
        kept = shutil.copy(checkpoint, self.out("kept")) if before else None

        def begin():
            if os.path.exists(self.out(out)):
                os.remove(self.out(out))
                if kept:
                    shutil.copy(kept, checkpoint)
            return start(self.command(out, "--epochs", "12"))
        process, _ = held(begin, lambda: written() not in (None, before), lambda: os.path.exists(checkpoint))
        process.send_signal(number)
        let_go([process.pid])
        return process.communicate()[1], process.returncode

    def test_a_model_is_of_its_options_and_images_whatever_the_command_is_called(self):
        self.train("it's a model.h5")
        self.assertIn("nothing to do", self.train("it's a model.h5").stderr)
        other_name = [os.path.join(os.path.dirname(PROGRAM), "triseg-train"), *self.command("it's a model.h5")]
        done = subprocess.run(other_name, env=environment(), capture_output=True, text=True, timeout=60)
        self.assertIn("nothing to do", done.stderr)
        made = [other_name[0], *self.command("other.h5", "--epochs", "1", "--qat-epochs", "0")]
        subprocess.run(made, env=environment(), capture_output=True, timeout=60, check=True)
        self.assertIn("nothing to do", self.train("other.h5", "--epochs", "1", "--qat-epochs", "0").stderr)
        self.assert_one_line_error(self.train("other.h5", "--qat-epochs", "2", expect=1), "other.h5",
                                   "another configuration: --epochs (1 "
                                   "instead of 3), --qat-epochs (0 instead of 2); remove it")
        moved = self.out("moved")
        os.rename(self.data, moved)
        self.data = moved
        self.assertIn("nothing to do", self.train("it's a model.h5").stderr)
        self.alter_data()
        self.assert_one_line_error(self.train("it's a model.h5", expect=1), "it's a model.h5",
                                   "--data (other images or labels)")

    def test_two_trainings_do_not_write_one_file(self):
        process = start(self.command("a.h5", "--epochs", "1000"))
        self.addCleanup(end, process.pid)
        while process.poll() is None and not os.path.exists(self.out("a.h5") + ".checkpoint"):
            time.sleep(0.01)
        self.assert_one_line_error(run(self.command("a.h5")), "a.h5", "is being written by process ",
                                   "choose another --out")
        self.assert_one_line_error(run(self.command("b.h5", "--checkpoint", self.out("a.h5") + ".checkpoint")),
                                   "a.h5.checkpoint", "is being written by process ", "choose another --checkpoint")
        process.send_signal(signal.SIGTERM)
        self.assertEqual((process.communicate(timeout=60), process.returncode)[1], 85)
        self.assertFalse([name for name in os.listdir(self.out("")) if name.endswith(".lock")])

    def test_a_signal_stops_it_and_the_same_command_continues(self):
        self.train("whole.h5", "--epochs", "12")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            with self.subTest(number):
                text, code = self.stop("parts.h5", number)
                self.assertEqual(code, 85, text)
                self.assertRegex(text, "Stopped by a signal: .*parts.h5.checkpoint holds [0-9]+ of 13 epochs; the same "
                                 "command continues\n$")
                self.assertFalse(os.path.exists(self.out("parts.h5")))
        self.assertIn("Continuing", self.train("parts.h5", "--epochs", "12").stderr)
        self.assert_same_model("whole.h5", "parts.h5")

    def test_a_checkpoint_is_of_its_images(self):
        self.stop("a.h5", signal.SIGTERM)
        with open(self.out("a.h5.checkpoint"), "rb") as file:
            before = file.read()
        self.alter_data()
        self.assert_one_line_error(self.train("a.h5", "--epochs", "12", expect=1), "a.h5.checkpoint",
                                   "another configuration: --data (other images or labels); remove it")
        with open(self.out("a.h5.checkpoint"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_the_network_has_a_logit_for_every_class_of_the_data(self):
        shutil.rmtree(self.data)
        write_few_images(self.data, 1200, 100, relabel=lambda label: 255 if label == 9 else label)
        self.train("a.h5", "--epochs", "1", "--qat-epochs", "0")
        with h5py.File(self.out("a.h5"), "r") as file:
            self.assertEqual(file["/network"].attrs["classes"], 256)
        self.search("a", "--data", self.data, "--teacher", self.out("a.h5"))
        for engine in ("auto", "reference"):
            evaluated = run(["evaluate", result_file(self.out("a")), "--teacher", self.out("a.h5"), "--engine", engine])
            self.assertEqual(evaluated.returncode, 0, evaluated.stderr)

    def test_a_new_network_is_one_file(self):
        """A branch, an addition, a concatenation: trained, searched, evaluated, known again by its nodes."""
        recipe = self.out("small.toml")
        text = """name = "small"
attention = ["block"]
nodes = [
  {name = "conv1", channels = 8, kernel = 5, stride = 2, padding = 2, batch_norm = true, relu = true, pool = 2},
  {name = "conv2", channels = 8, kernel = 3, padding = 1, batch_norm = true},
  {name = "block", op = "add", inputs = ["conv2", "conv1.pool"], relu = true},
  {name = "dw", op = "depthwise", kernel = 3, padding = 1, batch_norm = true, relu = true},
  {name = "both", op = "concatenate", inputs = ["block", "dw"]},
  {name = "pool", op = "average"},
  {name = "fc", op = "fc", channels = "classes"},
]
"""
        with open(recipe, "w") as file:
            file.write(text)
        done = self.train("small.h5", "--model", recipe)
        self.assertIn("Search it with: triseg search --model small ", done.stderr)
        with h5py.File(self.out("small.h5"), "r") as file:
            self.assertEqual(list(file["/network/nodes/name"].asstr()),
                             ["conv1", "conv1.pool", "conv2", "block", "dw", "both", "pool", "fc"])
        self.assertIn("nothing to do", self.train("small.h5", "--model", recipe).stderr)
        searched = run(["search", "--data", self.data, "--teacher", self.out("small.h5"), "--episodes", "64",
                        "--calib-batches", "2", "--top-k", "4", "--out", self.out("a")])
        self.assertEqual(searched.returncode, 0, searched.stderr)
        evaluated = run(["evaluate", result_file(self.out("a"), "small"), "--teacher", self.out("small.h5")])
        self.assertEqual(evaluated.returncode, 0, evaluated.stderr)
        with open(recipe, "w") as file:
            file.write(text.replace("kernel = 5, stride = 2, padding = 2", "kernel = 3, stride = 2, padding = 1"))
        self.assert_one_line_error(self.train("small.h5", "--model", recipe, expect=1), "small.h5",
                                   "another configuration: --model (another network); remove it")
        with open(recipe, "w") as file:
            file.write(text.replace("kernel = 5", "kernal = 5"))
        self.assert_one_line_error(self.train("b.h5", "--model", recipe, expect=1),
                                   "small.toml: node conv1: line 4: unknown key 'kernal'")

    def test_hundreds_of_classes_on_a_wide_plane(self):
        """Labels of 16 bits, and a plane that is not a square, from an HDF5 file to a search and its check."""
        data, recipe, classes = self.out("wide.h5"), self.out("wide.toml"), 300
        with h5py.File(data, "w") as file:
            for part, count in (("train", 720), ("test", 60)):
                labels = numpy.arange(count) * 7 % classes
                columns = numpy.arange(72)[None, None, None, :] * (1 + labels[:, None, None, None] % 9)
                file[part + "/labels"] = labels.astype("u2")
                file[part + "/images"] = numpy.broadcast_to(columns % 256, (count, 3, 40, 72)).astype("u1")
            file["class_names"] = numpy.array([f"class {i}" for i in range(classes)], "S")
        with open(recipe, "w") as file:
            file.write("""name = "wide"
input = [3, 40, 72]
nodes = [
  {name = "conv1", channels = 8, kernel = 7, stride = 2, padding = 3, batch_norm = true, relu = true},
  {name = "pool1", op = "maximum", kernel = 3, stride = 2, padding = 1},
  {name = "conv2", channels = 16, kernel = [3, 5], stride = [1, 2], padding = [1, 2], batch_norm = true, relu = true},
  {name = "pool", op = "average"},
  {name = "fc", op = "fc", channels = "classes"},
]
""")
        self.train("wide.h5.model", "--model", recipe, "--data", data, "--epochs", "1", "--qat-epochs", "0")
        for strategy in ("random", "ste"):
            done = run(["search", "--data", data, "--teacher", self.out("wide.h5.model"), "--strategy", strategy,
                        "--episodes", "64", "--batch-size", "16", "--calib-batches", "4", "--top-k", "2",
                        "--threads", "1", "--out", self.out(strategy)])
            self.assertEqual(done.returncode, 0, done.stderr)
            verified = run(["verify", run_file(self.out(strategy), "wide"), "--engine", "reference"])
            self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def loaded_kib(self):
        """The address space of the program with its libraries [KiB], of which a LibTorch with CUDA takes many GiB."""
        process, largest = start(["train", "--epochs", "0"]), 0
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status") as file:
                largest = max([largest, *(int(line.split()[1]) for line in file if line.startswith("VmSize:"))])
            time.sleep(0.001)
        process.communicate()
        return largest

    def test_it_ends_at_once_where_its_threads_cannot_start(self):
        """An address space for some of them, or for LibTorch alone; limits of processes end it in the same way."""
        loaded = self.loaded_kib()
        for limit in (loaded + more for more in (500_000, 900_000, 1_300_000)):
            with self.subTest(limit):
                done = subprocess.run(["bash", "-c", f'ulimit -v {limit}; exec "$@"', "bash", PROGRAM,
                                       *self.command("a.h5", "--threads", "64")],
                                      env=environment(), capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr.splitlines()[-1],
                                 "^triseg: error: (cannot start 256 threads, only [0-9]+: |out of memory)")
                self.assertFalse(os.path.exists(self.out("a.h5")))

    def test_a_dead_training_ends_in_one_line_and_leaves_nothing_to_continue(self):
        done = self.train("a.h5", "--lr", "1000", expect=1)
        self.assertRegex(done.stderr.splitlines()[-1],
                         r"^triseg: error: training died in epoch \d: .*; choose a smaller --lr \(found 1000\)$")
        self.assertEqual(os.listdir(self.folder), [os.path.basename(self.data)])


if __name__ == "__main__":
    unittest.main()
