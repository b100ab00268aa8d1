"""The Python scripts from outside: what they cannot read, or run without, is one line and exit status 2."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["TRISEG_SOURCE_DIR"]
MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
READERS = {"analysis/read_run.py": 1, "analysis/table.py": 1, "analysis/compare_runs.py": 2, "tests/learner/content_digest.py": 1}


def run(script, *arguments, python=(sys.executable, "-B")):
    return subprocess.run([*python, os.path.join(SOURCE, script), *arguments], capture_output=True, text=True, timeout=60)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.run_file = os.path.join(self.folder, "run.h5")
        written = run("tests/learner/write_run.py", os.path.join(SOURCE, "docs/run-file.md"), self.run_file)
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

    def test_a_digest_that_does_not_fit(self):
        edited = run("tests/learner/edit_file.py", self.run_file, "f['episodes/reward'][3] += 1")
        self.assertEqual(edited.returncode, 0, edited.stderr)
        done = run("tests/learner/content_digest.py", self.run_file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stores another", done.stderr)


if __name__ == "__main__":
    unittest.main()
