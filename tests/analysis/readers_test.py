"""Readers of HDF5 that are not ours: docs/reading-runs.md as it stands, on a run file. Those that are not installed are
skipped."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import h5py
import numpy

from scripts import SOURCE, RunFile

with open(os.path.join(SOURCE, "docs", "reading-runs.md")) as documented:
    PAGE = documented.read()


def examples(language):
    return re.findall(rf"(?s)```{language}\n(.*?)```", PAGE)


def has_rhdf5():
    return shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(rhdf5)"],
                                                      capture_output=True).returncode == 0


class Readers(RunFile):
    def setUp(self):
        super().setUp()
        with h5py.File(self.run_file) as file:
            self.kd, self.codes, self.tmax = (file["episodes/" + name][()] for name in ("kd", "codes", "tmax"))
            self.selected, self.histogram = file["selected/codes"][()], file["sites/histogram"][()]

    def output(self, *command, more=""):
        """What a program says in the folder of the run file, with `more` on its standard input."""
        done = subprocess.run(command, input=more, cwd=self.folder, capture_output=True, text=True, timeout=60,
                              env=os.environ | {"MPLBACKEND": "agg"})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def numbers(self, text):
        """Lines "NAME: numbers" as arrays by name."""
        return {name: numpy.array(values.split(), dtype=float)
                for name, values in re.findall(r"(?m)^(\w+):(.*)$", text)}

    def assert_read(self, text):
        """kd, codes, t1, selected as column-major readers print them."""
        found = self.numbers(text)
        numpy.testing.assert_array_equal(found["kd"], self.kd)
        numpy.testing.assert_array_equal(found["shape"], self.codes.shape[::-1])
        numpy.testing.assert_array_equal(found["codes"], self.codes.ravel())
        numpy.testing.assert_array_equal(found["t1"], self.codes[:, 0, 0])
        numpy.testing.assert_array_equal(found["selected"], self.selected.ravel())
        return found

    def test_python(self):
        os.symlink(os.path.join(SOURCE, "analysis"), os.path.join(self.folder, "analysis"))
        try:
            import matplotlib  # noqa: F401
            plots = True
        except ModuleNotFoundError:
            plots = False
        blocks = examples("python")
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            lines = [line for line in block.splitlines() if plots or ".plot." not in line]
            self.output(sys.executable, "-B", "-",
                        more="\n".join([*lines, 'assert len(best) and "kd" in dir()' if "h5py" in block else
                                       "assert codes.shape[2] == 5 and best.kd == run.episodes.kd.min()"]))

    @unittest.skipUnless(shutil.which("octave") and shutil.which("h5copy"), "octave or hdf5-tools is not installed")
    def test_octave(self):
        block, = examples("octave")
        text = self.output("octave", "--no-gui", "--norc", "--quiet", more=block + r"""
            printf('kd:'); printf(' %.17g', kd); printf('\nshape:'); printf(' %d', size(codes));
            printf('\ncodes:'); printf(' %d', codes);
            printf('\nt1:'); printf(' %d', t1); printf('\nselected:'); printf(' %d', selected.codes);
            printf('\nhistogram:'); printf(' %d', selected.histogram);
            printf('\nclip:'); printf(' %.17g', run.updates.clip_fraction); printf('\n');""")
        found = self.assert_read(text)
        numpy.testing.assert_array_equal(found["histogram"], self.histogram.ravel())
        numpy.testing.assert_array_equal(found["clip"], 0.25 * numpy.ones(3))

    @unittest.skipUnless(has_rhdf5(), "r-bioc-rhdf5 is not installed")
    def test_r(self):
        block, = examples("r")
        text = self.output("Rscript", "-", more=block + r"""
            line <- function(name, x) cat(name, ": ", paste(format(x, digits = 17), collapse = " "), "\n", sep = "")
            line("kd", episodes$kd); line("shape", dim(codes)); line("codes", as.vector(codes))
            line("t1", episodes$conv1.t1); line("selected", as.vector(selected)); cat("text", model, names)""")
        self.assert_read(text)
        self.assertTrue(text.endswith("text lenet5 conv1 conv2 fc1 fc2"), text)

    @unittest.skipUnless(shutil.which("h5dump"), "hdf5-tools is not installed")
    def test_h5dump(self):
        block = examples("sh")[-1]
        text = self.output("bash", "-e", more=block)
        with open(os.path.join(self.folder, "kd.txt")) as file:
            numpy.testing.assert_allclose([float(x.strip(",")) for x in file.read().split()], self.kd,
                                          rtol=1e-5)  # six digits
        with open(os.path.join(self.folder, "codes.txt")) as file:
            self.assertEqual([int(x.strip(",")) for x in file.read().split()], self.codes[0].ravel().tolist())
        self.assertIn("episodes-per-update = 2", text)
        self.assertRegex(text, r"/selected/top_index +Dataset")
        dumped = text.split('DATASET "/selected/codes"')[1].split("DATASET")[0]
        self.assertEqual([int(x) for row in re.findall(r"\(\d+,0\): ([\d, ]+)", dumped)
                          for x in row.strip(", ").split(", ")],
                         self.selected.ravel().tolist())


if __name__ == "__main__":
    unittest.main()
