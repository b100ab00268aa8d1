"""Data sets in one HDF5 file: a search of it is that of the same images elsewhere, and takes the memory of pieces."""
import gzip
import json
import os
import subprocess
import sys
import unittest

import h5py
import numpy

from program import (FEW_DATA, FEW_TEACHER, SOURCE, ProgramTest, command, environment, errors_in, quick, result_file,
                     run, run_file)

LIMIT = 64 << 20  # bytes of a part that triseg holds in memory


def few_images():
    """The images of FEW_DATA as a NumPy file has them."""
    arrays = {}
    for part, name in (("train", "train"), ("t10k", "test")):
        for kind, header, key in (("images-idx3", 16, "x"), ("labels-idx1", 8, "y")):
            with open(os.path.join(FEW_DATA, f"{part}-{kind}-ubyte"), "rb") as file:
                values = numpy.frombuffer(file.read()[header:], numpy.uint8)
            arrays[f"{key}_{name}"] = values.reshape(-1, 28, 28) if key == "x" else values
    return arrays


class DataFile(ProgramTest):
    def write_few(self, name):
        """FEW_DATA as the file that python3 -m triseg.images makes."""
        numpy.savez(self.out("few.npz"), **few_images())
        variables = os.environ | {"PYTHONPATH": os.path.join(SOURCE, "analysis")}
        subprocess.run([sys.executable, "-B", "-m", "triseg.images", "--from-npz", self.out("few.npz"), self.out(name)],
                       check=True, env=variables, capture_output=True)

    def write_large(self, name, train, test=600):
        """Colour images of low contrast, some of which repeat."""
        some = numpy.random.default_rng(1).integers(0, 4, (2000, 3, 32, 32), numpy.uint8) * 60
        with h5py.File(self.out(name), "w") as file:
            for part, count in (("train", train), ("test", test)):
                images = file.create_dataset(f"{part}/images", (count, 3, 32, 32), "u1", chunks=(16, 3, 32, 32),
                                             compression="gzip", compression_opts=1)
                for begin in range(0, count, 2000):
                    images[begin:begin + 2000] = some[:min(2000, count - begin)]
                file[f"{part}/labels"] = numpy.arange(count) % 10

    def model_for(self, name):
        """The shipped model as an old one, which goes with any data that are called fashion-mnist."""
        script = os.path.join(SOURCE, "tests", "learner", "files", "rewrite_model.py")
        model = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
        subprocess.run([sys.executable, "-B", script, model, self.out(name), "1"], check=True)
        return self.out(name)

    def test_a_search_is_that_of_the_idx_files(self):
        self.write_few("few.h5")
        self.search("idx", "--teacher", FEW_TEACHER)
        for ranks in (None, 2):
            self.search(f"file{ranks}", "--teacher", FEW_TEACHER, "--data", self.out("few.h5"), ranks=ranks)
            self.assert_equal_files(run_file(self.out("idx")), run_file(self.out(f"file{ranks}")))
            results = []
            for folder in ("idx", f"file{ranks}"):
                with open(result_file(self.out(folder))) as file:
                    results.append(json.load(file))
            self.assertEqual([r.pop("data") for r in results], [FEW_DATA, self.out("few.h5")])
            self.assertEqual(*results)
        evaluated = run(["evaluate", result_file(self.out("fileNone")), "--teacher", FEW_TEACHER])
        self.assertEqual(evaluated.returncode, 0, evaluated.stderr)

    def test_pieces_give_the_bits_of_idx_files(self):
        """Of a part that is too large to be held, in compressed chunks and contiguous."""
        count = LIMIT // 3072 + 2000
        self.write_large("packed.h5", count)
        os.mkdir(self.out("fashion-mnist"))
        with h5py.File(self.out("packed.h5")) as file, h5py.File(self.out("plain.h5"), "w") as plain:
            for part, name in (("train", "train"), ("test", "t10k")):
                images, labels = file[f"{part}/images"][()], file[f"{part}/labels"][()]
                plain[f"{part}/images"], plain[f"{part}/labels"] = images, labels.astype("<u2")
                for kind, magic, values in (("images-idx3", 0x804, images),
                                            ("labels-idx1", 0x801, labels.astype("u1"))):
                    with open(self.out(f"fashion-mnist/{name}-{kind}-ubyte"), "wb") as out:
                        out.write(numpy.array([magic, *values.shape], ">u4").tobytes() + values.tobytes())
        teacher = self.model_for("old.h5")
        self.search("idx", "--data", self.out("fashion-mnist"), "--teacher", teacher)
        for layout in ("packed", "plain"):
            os.rename(self.out(layout + ".h5"), self.out("fashion-mnist.h5"))
            self.search(layout, "--data", self.out("fashion-mnist.h5"), "--teacher", teacher, "--threads", "2")
            self.assert_equal_files(run_file(self.out("idx")), run_file(self.out(layout)))

    def test_memory_does_not_grow_with_the_data_set(self):
        teacher, sizes = self.model_for("old.h5"), []
        for count in (23000, 45000):  # 71 MB, 138 MB
            self.write_large("fashion-mnist.h5", count)
            arguments = quick("--data", self.out("fashion-mnist.h5"), "--teacher", teacher, "--out",
                              self.out(str(count)), "--episodes", "64", "--threads", "1")
            with open(self.out("log"), "w") as log:
                process = subprocess.Popen(command(arguments, None), env=environment(), stdout=log, stderr=log)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            with open(self.out("log")) as log:
                self.assertEqual(process.returncode, 0, log.read())
            sizes.append(usage.ru_maxrss >> 10)  # MiB
            os.remove(self.out("fashion-mnist.h5"))
        self.assertLess(sizes[1], sizes[0] + 40, f"MiB of resident memory: {sizes}")

    def test_bad_files_are_refused_in_one_line(self):
        self.write_few("few.h5")
        with h5py.File(self.out("few.h5"), "r+") as file:
            del file["test"]
        done = run(quick("--data", self.out("few.h5"), "--out", self.out("a")))
        self.assert_one_line_error(done, self.out("few.h5"), "has no /test/images: a search reports on test images")
        with gzip.open(self.out("text.h5"), "w") as file:
            file.write(b"images")
        done = run(quick("--data", self.out("text.h5"), "--out", self.out("a")))
        self.assert_one_line_error(done, self.out("text.h5"), "expected a whole HDF5 file")
        with h5py.File(self.out("whole.h5"), "w") as file:
            images = numpy.zeros((30000, 3, 32, 32), "u1")
            file.create_dataset("train/images", data=images, chunks=images.shape, compression="gzip")
            file["train/labels"] = numpy.zeros(30000, "u1")
            file["test/images"], file["test/labels"] = numpy.zeros((6, 3, 32, 32), "u1"), numpy.zeros(6, "i8")
        done = run(quick("--data", self.out("whole.h5"), "--out", self.out("a")))
        self.assert_one_line_error(done,
                                   "/train/images: its chunks have 87 MiB and are compressed, expected at most 64")
        self.assertFalse(os.path.exists(self.out("a")))

    def test_validate_names_what_is_wrong(self):
        self.write_few("few.h5")
        self.assertEqual(run(["validate", self.out("few.h5")]).stdout, self.out("few.h5") + ": valid\n")
        with h5py.File(self.out("few.h5"), "r+") as file:
            file["test/labels"][5] += 1
        done = run(["validate", self.out("few.h5")])
        self.assertEqual((done.returncode, errors_in(done.stderr)), (1, []))
        self.assertIn("attribute content_sha256 is ", done.stdout)


if __name__ == "__main__":
    unittest.main()
