"""The Python scripts from outside: what they cannot read, or run without, is one line and exit status 2."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["TRISEG_SOURCE_DIR"]
MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
READERS = {"analysis/read_run.py": 1, "analysis/table.py": 1, "analysis/compare_runs.py": 2, "tests/learner/files/content_digest.py": 1}


def run(script, *arguments, python=(sys.executable, "-B")):
    return subprocess.run([*python, os.path.join(SOURCE, script), *arguments], capture_output=True, text=True, timeout=60)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.run_file = os.path.join(self.folder, "run.h5")
        written = run("tests/learner/files/write_run.py", os.path.join(SOURCE, "docs/run-file.md"), self.run_file)
        self.assertEqual(written.returncode, 0, written.stderr)

    def assert_refused(self, done, *fragments):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def test_they_read_a_run(self):
        for script, files in READERS.items():
            with self.subTest(script):
                done = run(script, *[self.run_file] * files)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertNotEqual(done.stdout, "")

    def test_what_is_no_run_is_one_line(self):
        half = os.path.join(self.folder, "half.h5")
        with open(self.run_file, "rb") as whole, open(half, "wb") as file:
            file.write(whole.read()[:os.path.getsize(self.run_file) // 2])
        for script, files in READERS.items():
            for path, fragment in (("nowhere.h5", "No such file"), (self.folder, ""), (MODEL, "expected a run file"), (half, ""),
                                   (__file__, "")):
                with self.subTest(script=script, path=path):
                    self.assert_refused(run(script, *[path] * files), path, fragment)

    def test_without_h5py(self):
        for script, files in READERS.items():
            with self.subTest(script):
                done = run(script, *[self.run_file] * files, python=(sys.executable, "-B", "-S"))  # -S: no installed packages
                self.assert_refused(done, "needs h5py: run with /usr/bin/python3 (Debian package python3-h5py)")
        self.assert_refused(run("bench/end_to_end.py", python=(sys.executable, "-B", "-S")), "needs h5py")

    def test_a_reader_that_stops(self):
        for script, files in READERS.items():
            if not script.startswith("analysis/"):
                continue  # prints a single line
            with self.subTest(script):
                reading, writing = os.pipe()
                os.close(reading)
                with os.fdopen(writing, "wb") as closed:
                    done = subprocess.run([sys.executable, "-B", os.path.join(SOURCE, script), *[self.run_file] * files],
                                          stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(done.stderr, "")

    def test_benchmark_without_its_program(self):
        self.assert_refused(run("bench/end_to_end.py", "--build", self.folder), "triseg_bench_forward", "scripts/build.sh")

    def variant(self, name, *statements):
        """A copy of the run file with changes, and its path."""
        path = os.path.join(self.folder, name)
        shutil.copy(self.run_file, path)
        edited = run("tests/learner/files/edit_file.py", path, "; ".join(statements))
        self.assertEqual(edited.returncode, 0, edited.stderr)
        return path

    def table(self, *paths):
        """Cells of the table's rows, from the label to the file."""
        done = run("analysis/table.py", *paths)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
        self.assertEqual((rows[0][:3], rows[0][-1]), (["run", "seed", "ms an episode"], "file"))
        return rows[2:]

    def test_the_table_averages_over_seeds_alone(self):
        config = "f.attrs['config'] = numpy.bytes_('# results\\nclip = {}\\nseed = {}\\ntop-k = 5\\n# speed\\nthreads = {}\\n')"
        one, two = (self.variant(f"{seed}.h5", config.format(1, seed, seed), f"f.attrs['seed'] = {seed}",
                                 f"f['selected/test_kd'][()] = {kd}") for seed, kd in ((1, 0.5), (2, 0.25)))
        other = self.variant("other.h5", config.format(0.2, 1, 1), "f.attrs['seed'] = 1", "f['selected/test_kd'][()] = 8")
        columns = lambda rows: [(r[0], r[1], r[3], r[-1]) for r in rows]
        self.assertEqual(columns(self.table(one, two)), [
            ("lenet5, 4 sites", "1", "0.5000", one), ("lenet5, 4 sites", "2", "0.2500", two),
            ("lenet5, 4 sites", "mean", "0.3750", "of 2")])
        self.assertEqual(columns(self.table(one, other, two)), [
            ("lenet5, 4 sites, clip 1", "1", "0.5000", one), ("lenet5, 4 sites, clip 1", "2", "0.2500", two),
            ("lenet5, 4 sites, clip 1", "mean", "0.3750", "of 2"), ("lenet5, 4 sites, clip 0.2", "1", "8.0000", other)])

    def test_the_table_tells_apart_what_is_not_comparable(self):
        def with_text(name, value):
            return self.variant("other.h5", f"f.attrs['{name}'] = numpy.bytes_('{value}')")

        for other, label in ((lambda: self.variant("other.h5", "f.attrs['episodes_total'] = numpy.uint64(640)"), "episodes 640"),
                             (lambda: self.variant("other.h5", "f.attrs['energy_add8'] = 7.0"), "energy_add8 7 pJ"),
                             (lambda: with_text("backend", "qnnpack"), "backend qnnpack"),
                             (lambda: with_text("data_sha256", "0123456789abcdef"), "data sha256 0123456789ab"),
                             (lambda: with_text("model_sha256", "f"), "teacher sha256 f"),
                             (lambda: with_text("attention_layers", "none"), "attention-layers none")):
            with self.subTest(label):
                rows = self.table(self.run_file, other())
                self.assertNotIn("mean", [r[1] for r in rows])
                self.assertEqual(rows[1][0], "lenet5, 4 sites, " + label)
        rows = self.table(self.run_file, self.variant("other.h5", "f['sites/name'][0] = b'conv9'"))
        self.assertEqual([r[0] for r in rows], [f"lenet5, 4 sites, sites {first},conv2,fc1,fc2" for first in ("conv1", "conv9")])
        rows = self.table(self.run_file, with_text("model", "vgg16"))
        self.assertEqual([r[0] for r in rows], ["lenet5, 4 sites", "vgg16, 4 sites"])
        rows = self.table(self.run_file, with_text("data", "elsewhere"))
        self.assertEqual(rows[-1][1], "mean", "the same images in another folder")

    def test_a_digest_that_does_not_fit(self):
        edited = run("tests/learner/files/edit_file.py", self.run_file, "f['episodes/reward'][3] += 1")
        self.assertEqual(edited.returncode, 0, edited.stderr)
        done = run("tests/learner/files/content_digest.py", self.run_file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stores another", done.stderr)


if __name__ == "__main__":
    unittest.main()
