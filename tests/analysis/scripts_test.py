"""The Python scripts from outside: what they print, and that what they cannot read is one line and an exit status."""
import os
import random
import re
import shutil
import subprocess
import sys
import unittest

import h5py

from scripts import DOCUMENTATION, SOURCE, TABLE, RunFile, run, run_copied
from content_digest import run_digest, tables  # where scripts found it

MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
# What reads run files: of how many, and the exit status of those they cannot read.
READERS = {"analysis/read_run.py": (1, 1), TABLE: (1, 1), "analysis/compare_runs.py": (2, 2)}
# What opens run files, whose digest one of them prints instead of refusing another.
OPENERS = READERS | {"analysis/digest.py": (1, 1)}
BENCHMARKS = ["bench/end_to_end.py", "bench/gpu_scaling.py", "bench/quality/run.py", "bench/quality/table.py"]


class Refusals(RunFile):
    def test_what_is_no_run_is_one_line(self):
        half = os.path.join(self.folder, "half.h5")
        with open(self.run_file, "rb") as source, open(half, "wb") as file:
            file.write(source.read()[:os.path.getsize(self.run_file) // 2])
        digest, whole = "does not have the digest of its attribute content_sha256", "expected a whole HDF5 file"
        retyped = ("x = f['top/episode'][()]", "del f['top/episode']", "f['top/episode'] = x.astype('u4')")
        fifo, irregular = os.path.join(self.folder, "fifo.h5"), "not a regular file"
        os.mkfifo(fifo)
        files = {
            "nowhere.h5": "No such file", self.folder: irregular, fifo: irregular, "/dev/zero": irregular,
            MODEL: "expected a run file", half: whole, __file__: whole,
            self.edited("plain.h5", "del f.attrs['format']"): "found none of triseg's files",
            self.edited("reward.h5", "f['episodes/reward'][3] += 1"): digest,
            self.edited("scalar.h5", "f['selected/test_kd_sum'][()] += 1"): digest,
            self.edited("tensor.h5", "f['checkpoint/tensors/a/b'][0, 0] = 7"): digest,
            self.edited("text.h5", "f.attrs['model'] = numpy.bytes_('alexnet')"): digest,
            self.edited("type.h5", *retyped): "uint32",
            self.edited("lost.h5", "del f['sites']"): digest,
            self.variant("group.h5", "del f['episodes']", "del f['sites']", "del f['selected']"): "is missing",
            self.edited("bare.h5", "del f.attrs['content_sha256']"): "content_sha256",
            self.edited("newer.h5", "f.attrs['schema_version'] = numpy.int32(99)"): "it has schema version 99",
            self.edited("older.h5", "f.attrs['schema_version'] = numpy.int32(3)"): "it has schema version 3",
        }
        for script, (count, status) in OPENERS.items():
            for path, fragment in files.items():
                if path.endswith("group.h5") and script == "analysis/compare_runs.py":
                    continue  # compares whatever there is
                if (path.endswith("group.h5") or fragment == digest) and script == "analysis/digest.py":
                    continue
                if path == self.folder and script == TABLE:
                    fragment = "expected the folder of a sweep or the --out of a search: it has neither"
                with self.subTest(script=script, path=path):
                    self.assert_refused(run_copied(script, *[path] * count), status,
                                        f"{os.path.basename(script)}: error: {path}: ", fragment)

    def test_the_second_file_is_named(self):
        damaged = self.edited("damaged.h5", "f['episodes/reward'][3] += 1")
        self.assert_refused(run("analysis/compare_runs.py", self.run_file, damaged), 2, f"{damaged}: its content")

    def test_whatever_byte_is_damaged_nothing_wrong_is_shown(self):
        import read_run
        from triseg import Error, Run
        from triseg.table import entry

        def shown(path):
            found = Run(path)
            problem, figures = entry(found)
            curve = read_run.learning_curve(found["episodes/iteration"], found["episodes/kd_sum"])
            return repr((problem, figures | {"file": ""}, curve, found.codes("top").tolist()))

        right, refused = shown(self.run_file), 0
        with open(self.run_file, "rb") as file:
            whole = file.read()
        damaged = os.path.join(self.folder, "damaged.h5")
        positions = random.Random(1).sample(range(len(whole)), 50)
        for position in positions:
            with open(damaged, "wb") as file:
                file.write(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1:])
            with self.subTest(position=position):
                try:
                    self.assertEqual(shown(damaged), right)
                except Error as failure:
                    self.assertTrue(str(failure).startswith(damaged), failure)
                    refused += 1
        self.assertGreater(refused, 10)

    def test_derived_fields_are_not_believed(self):
        derived = self.edited("derived.h5", *(f"f['{name}'][()] = 99" for name in (
            "selected/test_kd", "selected/test_mse_kd", "selected/test_accuracy_teacher",
            "selected/test_accuracy_student", "selected/test_accuracy_student_low", "selected/codes", "selected/tmax",
            "selected/test_mse_repaired_kd", "episodes/kd")))
        self.assertEqual(self.read(TABLE, derived).replace(derived, self.run_file),
                         self.read(TABLE, self.run_file))
        self.assertEqual(self.read("analysis/read_run.py", derived), self.read("analysis/read_run.py", self.run_file))

    def test_a_digest_of_the_tests_own(self):
        edited = self.edited("edited.h5", "f['episodes/reward'][3] += 1")
        done = run("tests/learner/files/content_digest.py", edited)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stores another", done.stderr)
        self.assertEqual(run("tests/learner/files/content_digest.py", self.run_file).returncode, 0)

    def test_digests_are_printed_and_compared(self):
        edited = self.edited("edited.h5", "f['episodes/reward'][3] += 1")
        with h5py.File(edited) as file:
            stored, computed = file.attrs["content_sha256"].decode(), run_digest(file, DOCUMENTATION)
        same, other = f"{stored}  {self.run_file}: as stored\n", f"{computed}  {edited}: the file stores {stored}\n"
        self.assertEqual(self.read("analysis/digest.py", self.run_file, self.run_file), same * 2)
        done = run("analysis/digest.py", edited, self.run_file)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, other + same, ""))
        done = run("analysis/digest.py", "nowhere.h5", self.run_file)
        self.assertEqual((done.returncode, done.stdout), (1, same))
        self.assertEqual(done.stderr, "digest.py: error: nowhere.h5: No such file or directory\n")

    def test_without_packages(self):
        bare = (sys.executable, "-B", "-S")  # no installed packages
        for script, (count, _) in OPENERS.items():
            with self.subTest(script):
                done = run(script, *[self.run_file] * count, python=bare)
                self.assertRegex(done.stderr,
                                 r"^needs (\w+): run with /usr/bin/python3 \(Debian package python3-\1\)\n$")
                self.assert_refused(done, 2)
        self.assert_refused(run("bench/end_to_end.py", python=bare), 2, "needs ")

    def test_benchmark_without_its_program(self):
        done = run("bench/end_to_end.py", "--build", self.folder)
        self.assert_refused(done, 2, "triseg_bench_forward", "scripts/build.sh")


class CommandLine(RunFile):
    def test_help_and_usage(self):
        for script in [*OPENERS, *BENCHMARKS]:
            with self.subTest(script):
                for option in ("--help",) if script.startswith("bench") else ("-h", "--help"):
                    self.assertTrue(self.read(script, option,
                                              by=run if script.startswith("bench") else
                                              run_copied).startswith(f"usage: {os.path.basename(script)} "))
                wrong = (run if script.startswith("bench") else run_copied)(script, "--no-such-option")
                self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
                self.assertRegex(wrong.stderr, rf"^{os.path.basename(script)}: error: [^\n]+\n$")
        for script in OPENERS:
            with self.subTest(script):
                nothing = run_copied(script)
                self.assertEqual((nothing.returncode, nothing.stdout), (2, ""))
                self.assertRegex(nothing.stderr, rf"^{os.path.basename(script)}: error: [^\n]+\n$")
        explained = self.read(TABLE, "-h")
        for option in ([], ["--each"]):
            for column in self.read(TABLE, self.run_file, *option).splitlines()[0].strip("| ").split(" | "):
                self.assertRegex(explained, rf"(?m)^  (\w+, )?{re.escape(column)}(, \w+)?  ", "it explains it")

    def commands(self):
        """(script, arguments, exit status of an error) of everything that prints."""
        for script, (count, status) in OPENERS.items():
            yield script, [self.run_file] * count, status
        yield TABLE, ["--help"], 1
        yield from ((script, ["--help"], 1) for script in ("bench/end_to_end.py", "bench/quality/run.py"))

    def test_standard_output_that_is_full_or_closed(self):
        for script, arguments, status in self.commands():
            with self.subTest(script=script, arguments=arguments):
                with open("/dev/full", "w") as full:
                    done = run(script, *arguments, stdout=full)
                self.assert_refused(done, status, ": error: standard output: No space left")
                closed = run(script, *arguments, stdout=None, preexec_fn=lambda: os.close(1))
                self.assert_refused(closed, status, ": error: standard output: it is closed")

    def test_a_reader_that_stops(self):
        for script, arguments, status in self.commands():
            with self.subTest(script=script, arguments=arguments):
                reading, writing = os.pipe()
                os.close(reading)
                with os.fdopen(writing, "wb") as closed:
                    done = run(script, *arguments, stdout=closed)
                self.assertEqual((done.returncode, done.stderr), (status, ""))

    def test_scores_of_no_image_are_not_defined(self):
        scores = ("images", "kd_sum", "both_right", "teacher_only", "student_only")
        path = self.variant("none.h5", *(f"f['{group}{name}'][...] = 0" for name in scores for group in (
            "episodes/", "selected/test_", "selected/test_mse_", "selected/test_mse_repaired_")))
        summary = self.read("analysis/read_run.py", path)
        self.assertIn("least KD - nats", summary)
        self.assertIn("test: teacher - %, student - % (95 %: - to -), KD - nats; MSE codes: - %, KD - nats", summary)
        self.assertNotIn("nan", summary)
        self.assertIn(" | - | - | - | - | - |", self.read(TABLE, path))
        self.assertEqual(self.read("analysis/compare_runs.py", path, path), "equal\n")

    def test_control_characters_are_spelled_out(self):
        odd = "a\rb\x1b[31m\x9bc\t"
        spelled = r"a\x0db\x1b[31m\x9bc\x09"
        path = self.variant(odd + ".h5", *(f"f.attrs['{name}'] = numpy.bytes_({odd.encode()!r})" for name in (
            "model", "model_display_name", "data")), "f['sites/record_key'][0] = b'k\\x1b'")
        for script, (count, status) in READERS.items():
            with self.subTest(script):
                self.assert_refused(run_copied(script, *[odd] * count), status, f"error: {spelled}: No such file")
                self.assertIn(f"unrecognized arguments: --{spelled}",
                              run_copied(script, *[path] * count, "--" + odd).stderr)
        summary, table = self.read("analysis/read_run.py", path), self.read(TABLE, "--each", path)
        self.assertIn(f"{spelled} on {spelled}, ", summary)
        self.assertIn(r"  k\x1b ", summary)
        self.assertIn(f"| {spelled}, 4 sites | ", table)
        self.assertIn(f"/{spelled}.h5 |", table)
        with h5py.File(path, "r+") as file:
            file.create_dataset(odd, data=1)
        self.assertIn(f"/{spelled}: only in the first file",
                      run("analysis/compare_runs.py", path, self.run_file).stdout)

    def test_text_that_is_no_utf_8(self):
        path = self.variant("latin.h5", "f.attrs['config'] = numpy.bytes_(b'data = \"/data/caf\\xe9\"')",
                            *(f"f.attrs['{name}'] = numpy.bytes_(b'/data/caf\\xe9')" for name in (
                                "data", "command_line", "model_display_name", "engine")))
        self.assertIn("/data/caf\ufffd", self.read("analysis/read_run.py", path))
        self.assertIn("| lenet5, 4 sites |", self.read(TABLE, path))
        self.assertEqual(self.read("analysis/compare_runs.py", path, path), "equal\n")
        moved = os.path.join(os.fsencode(self.folder), b"caf\xe9.h5")
        os.rename(path, moved)
        self.assertIn("caf?.h5 |", self.read(TABLE, "--each", moved))
        other = run("analysis/compare_runs.py", moved, self.run_file)
        self.assertEqual((other.returncode, other.stderr), (1, ""))
        self.assertIn("/@model_display_name: ", other.stdout)


class Schema(RunFile):
    def test_stored_fields_are_those_of_the_documentation(self):
        from triseg.schema import STORED
        documented = [path for path, *_, kind in tables(DOCUMENTATION) if kind.startswith("stored")]
        self.assertEqual([path for path in STORED if path in documented], documented)
        older = {"/updates/part"} | {f"/network/{name}" for name in (
            "input_side", "name", "kind", "in_channels", "out_channels", "kernel", "stride", "padding", "pool", "relu")}
        self.assertLessEqual(set(STORED) - set(documented), older)

    def test_versions_4_and_5(self):
        files = os.path.join(SOURCE, "tests", "runner", "files")
        for path in (self.run_file, os.path.join(files, "version-4-finished.h5"),
                     os.path.join(files, "version-4-stopped.h5")):
            with self.subTest(path=path):
                self.assertEqual(run_copied("analysis/read_run.py", path).returncode, 0)
                self.assertEqual(run_copied("analysis/compare_runs.py", path, path).stdout, "equal\n")
                self.assertEqual(run_copied(TABLE, path).returncode, 1 if "stopped" in path else 0)


if __name__ == "__main__":
    unittest.main()
