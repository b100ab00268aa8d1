"""Run files to read, and how to run the scripts and programs that read them, for the tests of this folder."""
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
import unittest

import h5py
import numpy

SOURCE = os.environ["TRISEG_SOURCE_DIR"]
TABLE = os.environ["TRISEG_TABLE"]
sys.dont_write_bytecode = True
sys.path += [os.path.join(SOURCE, *folder)
             for folder in (["analysis"], ["tests", "learner", "files"], ["tests", "runner"])]
from content_digest import run_digest  # noqa: E402  the tests' own
import triseg.table  # noqa: E402, F401  with pandas, once for all copies of this process

with open(os.path.join(SOURCE, "docs", "run-file.md")) as documented:
    DOCUMENTATION = documented.read()


def run(script, *arguments, python=(sys.executable, "-B"), **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([*python, os.path.join(SOURCE, script), *arguments], text=True, timeout=60, **options)


def run_copied(script, *arguments):
    """The same in a copy of this process, which has h5py and pandas already: most of what a script takes is to load
    them."""
    path = os.path.join(SOURCE, script)
    with tempfile.TemporaryFile("w+", newline="") as output, tempfile.TemporaryFile("w+", newline="") as errors:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number, file in ((1, output), (2, errors)):
                    os.dup2(file.fileno(), number)
                sys.stdout, sys.stderr, sys.argv = open(1, "w"), open(2, "w"), [path, *map(os.fsdecode, arguments)]
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                status = end.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess([path, *arguments], status, output.read(), errors.read())


def seal(path, documentation=DOCUMENTATION):
    """Gives a run file the digest of its content."""
    with h5py.File(path, "r+") as file:
        file.attrs["content_sha256"] = numpy.bytes_(run_digest(file, documentation))


class RunFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.original = os.path.join(folder, "original.h5")
        written = run("tests/learner/files/write_run.py", os.path.join(SOURCE, "docs/run-file.md"), cls.original)
        if written.returncode != 0:
            raise AssertionError(written.stderr)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.run_file = os.path.join(self.folder, "run.h5")
        shutil.copy(self.original, self.run_file)

    def edited(self, name, *statements):
        """A copy of the run file with changes, and its path. Its digest is that of the original."""
        path = os.path.join(self.folder, name)
        shutil.copy(self.run_file, path)
        with h5py.File(path, "r+") as file:
            exec("; ".join(statements), {"f": file, "numpy": numpy})
        return path

    def variant(self, name, *statements):
        """The same with its own digest."""
        path = self.edited(name, *statements)
        seal(path)
        return path

    def assert_refused(self, done, status, *fragments):
        self.assertEqual(done.returncode, status, f"{done.stdout}{done.stderr}")
        self.assertIn(done.stdout, ("", None))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def read(self, script, *paths, by=run_copied):
        done = by(script, *paths)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout
