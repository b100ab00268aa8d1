"""The Python scripts from outside: what they print, and that what they cannot read is one line and an exit status."""
import importlib.util
import os
import random
import re
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
sys.dont_write_bytecode = True
sys.path += [os.path.join(SOURCE, "analysis"), os.path.join(SOURCE, "tests", "learner", "files")]
from content_digest import run_digest, tables  # noqa: E402  the tests' own

MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
with open(os.path.join(SOURCE, "docs", "run-file.md")) as documented:
    DOCUMENTATION = documented.read()
# The scripts that read run files: of how many, and the exit status of those they cannot read.
READERS = {"analysis/read_run.py": (1, 1), "analysis/table.py": (1, 1), "analysis/compare_runs.py": (2, 2)}
# Those that open run files, whose digest one of them prints instead of refusing another.
OPENERS = READERS | {"analysis/digest.py": (1, 1)}
BENCHMARKS = ["bench/end_to_end.py", "bench/gpu_scaling.py", "bench/quality/run.py", "bench/quality/table.py"]


def run(script, *arguments, python=(sys.executable, "-B"), **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([*python, os.path.join(SOURCE, script), *arguments], text=True, timeout=60, **options)


def run_copied(script, *arguments):
    """The same in a copy of this process, which has h5py and numpy already: most of what a script takes is to load them."""
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
            self.variant("group.h5", "del f['episodes']", "del f['sites']", "del f['selected']"): "doesn't exist",
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
                with self.subTest(script=script, path=path):
                    self.assert_refused(run_copied(script, *[path] * count), status,
                                        f"{os.path.basename(script)}: error: {path}: ", fragment)

    def test_an_error_of_the_reader_is_no_fault_of_the_file(self):
        from run_files import open_run
        from script import Failure
        for error in (ValueError("mine"), KeyError("mine"), OSError("mine"), Failure("mine")):
            with self.assertRaises(type(error)) as raised, open_run(self.run_file) as file:
                raise error
            self.assertIs(raised.exception, error)
            self.assertFalse(file, "it is closed")
        with self.assertRaises(KeyError), open_run(self.run_file) as file:
            file["episodes/no_such"]

    def test_the_second_file_is_named(self):
        damaged = self.edited("damaged.h5", "f['episodes/reward'][3] += 1")
        self.assert_refused(run("analysis/compare_runs.py", self.run_file, damaged), 2, f"{damaged}: its content")

    def test_whatever_byte_is_damaged_nothing_wrong_is_shown(self):
        import read_run
        import table
        from run_files import open_run
        from script import Failure

        def shown(path):
            with open_run(path) as file:
                curve = read_run.learning_curve(file["episodes/iteration"][()], file["episodes/kd_sum"][()])
                return repr((table.row(path)[:-1], curve, file["top/codes"][()].tolist()))

        right, refused = shown(self.run_file), 0
        with open(self.run_file, "rb") as file:
            whole = file.read()
        damaged = os.path.join(self.folder, "damaged.h5")
        positions = random.Random(1).sample(range(len(whole)), 75)
        for position in positions:
            with open(damaged, "wb") as file:
                file.write(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1:])
            with self.subTest(position=position):
                try:
                    self.assertEqual(shown(damaged), right)
                except Failure as failure:
                    self.assertTrue(str(failure).startswith(damaged), failure)
                    refused += 1
        self.assertGreater(refused, 10)

    def test_derived_fields_are_not_believed(self):
        derived = self.edited("derived.h5", *(f"f['{name}'][()] = 99" for name in (
            "selected/test_kd", "selected/test_mse_kd", "selected/test_accuracy_teacher",
            "selected/test_accuracy_student", "selected/test_accuracy_student_low", "selected/codes", "selected/tmax",
            "selected/test_mse_repaired_kd", "episodes/kd")))
        self.assertEqual(self.read("analysis/table.py", derived).replace(derived, self.run_file),
                         self.read("analysis/table.py", self.run_file))
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

    def test_without_h5py(self):
        bare = (sys.executable, "-B", "-S")  # no installed packages
        for script, (count, _) in OPENERS.items():
            with self.subTest(script):
                done = run(script, *[self.run_file] * count, python=bare)
                self.assert_refused(done, 2, "needs h5py: run with /usr/bin/python3 (Debian package python3-h5py)")
        self.assert_refused(run("bench/end_to_end.py", python=bare), 2, "needs h5py")

    def test_benchmark_without_its_program(self):
        done = run("bench/end_to_end.py", "--build", self.folder)
        self.assert_refused(done, 2, "triseg_bench_forward", "scripts/build.sh")


class CommandLine(RunFile):
    def test_help_and_usage(self):
        for script in [*OPENERS, *BENCHMARKS]:
            with self.subTest(script):
                for option in ("-h", "--help"):
                    self.assertTrue(self.read(script, option, by=run_copied if script in OPENERS else run).startswith(f"usage: {os.path.basename(script)} "))
                wrong = run(script, "--no-such-option")
                self.assertEqual((wrong.returncode, wrong.stdout, wrong.stderr[:7]), (2, "", "usage: "))
        for script in OPENERS:
            with self.subTest(script):
                nothing = run(script)
                self.assertEqual((nothing.returncode, nothing.stdout, nothing.stderr[:7]), (2, "", "usage: "))
        columns = self.read("analysis/table.py", self.run_file).splitlines()[0].strip("| ").split(" | ")
        for column in columns:
            self.assertRegex(self.read("analysis/table.py", "-h"), rf"(?m)^  {re.escape(column)}  ", "it explains it")

    def commands(self):
        """(script, arguments, exit status of an error) of everything that prints."""
        for script, (count, status) in OPENERS.items():
            yield script, [self.run_file] * count, status
            yield script, ["--help"], status
        yield from ((script, ["--help"], 1) for script in BENCHMARKS)

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
        self.assertIn(" | - | - | - | - | - |", self.read("analysis/table.py", path))
        self.assertEqual(self.read("analysis/compare_runs.py", path, path), "equal\n")

    def test_control_characters_are_spelled_out(self):
        odd = "a\rb\x1b[31m\x9bc\t"
        spelled = r"a\x0db\x1b[31m\x9bc\x09"
        path = self.variant(odd + ".h5", *(f"f.attrs['{name}'] = numpy.bytes_({odd.encode()!r})" for name in (
            "model", "model_display_name", "data")), "f['sites/record_key'][0] = b'k\\x1b'")
        for script, (count, status) in READERS.items():
            with self.subTest(script):
                self.assert_refused(run_copied(script, *[odd] * count), status, f"error: {spelled}: No such file")
                self.assertIn(f"unrecognized arguments: --{spelled}", run(script, *[path] * count, "--" + odd).stderr)
        summary, table = self.read("analysis/read_run.py", path), self.read("analysis/table.py", path)
        self.assertIn(f"{spelled} on {spelled}, ", summary)
        self.assertIn(r"  k\x1b ", summary)
        self.assertIn(f"| {spelled}, 4 sites | ", table)
        self.assertIn(f"/{spelled}.h5 |", table)
        with h5py.File(path, "r+") as file:
            file.create_dataset(odd, data=1)
        self.assertIn(f"/{spelled}: only in the first file", run("analysis/compare_runs.py", path, self.run_file).stdout)

    def test_text_that_is_no_utf_8(self):
        path = self.variant("latin.h5", *(f"f.attrs['{name}'] = numpy.bytes_(b'/data/caf\\xe9')" for name in (
            "config", "data", "command_line", "model_display_name", "engine")))
        self.assertIn("/data/caf\ufffd", self.read("analysis/read_run.py", path))
        self.assertIn("| lenet5, 4 sites |", self.read("analysis/table.py", path))
        self.assertEqual(self.read("analysis/compare_runs.py", path, path), "equal\n")
        moved = os.path.join(os.fsencode(self.folder), b"caf\xe9.h5")
        os.rename(path, moved)
        self.assertIn("caf?.h5 |", self.read("analysis/table.py", moved))
        other = run("analysis/compare_runs.py", moved, self.run_file)
        self.assertEqual((other.returncode, other.stderr), (1, ""))
        self.assertIn("/@model_display_name: ", other.stdout)


class Schema(RunFile):
    def test_stored_fields_are_those_of_the_documentation(self):
        from digest import STORED
        documented = [path for path, *_, kind in tables(DOCUMENTATION) if kind.startswith("stored")]
        self.assertEqual([path for path in STORED if path in documented], documented)
        self.assertLessEqual(set(STORED) - set(documented), {"/updates/part"})

    def test_versions_4_and_5(self):
        files = os.path.join(SOURCE, "tests", "runner", "files")
        for path in (self.run_file, os.path.join(files, "version-4-finished.h5"), os.path.join(files, "version-4-stopped.h5")):
            with self.subTest(path=path):
                self.assertEqual(run_copied("analysis/read_run.py", path).returncode, 0)
                self.assertEqual(run_copied("analysis/compare_runs.py", path, path).stdout, "equal\n")
                self.assertEqual(run_copied("analysis/table.py", path).returncode, 1 if "stopped" in path else 0)

    def test_columns_of_a_group(self):
        from run_files import columns, open_run
        with open_run(self.run_file) as file:
            for group in ("sites", "episodes", "updates", "evaluations", "finalists", "top", "pareto"):
                found = columns(file[group])
                self.assertEqual({column.ndim for column in found.values()}, {1}, group)
                self.assertEqual(len({len(column) for column in found.values()}), 1, group)
            episodes = columns(file["episodes"])
            codes, tmax = file["episodes/codes"][()], file["episodes/tmax"][()]
            for site in range(codes.shape[1]):
                self.assertEqual(episodes[f"tmax.{site}"].tolist(), tmax[:, site].tolist())
                for i, name in enumerate(("t1", "v1", "t2", "v2")):
                    self.assertEqual(episodes[f"codes.{site}.{name}"].tolist(), codes[:, site, i].tolist())
            self.assertEqual(episodes["kd"].tolist(), file["episodes/kd"][()].tolist())
            sites = columns(file["sites"])
            self.assertEqual(sites["name"].tolist(), ["conv1", "conv2", "fc1", "fc2"])
            self.assertEqual(sites["init_codes.v2"].tolist(), file["sites/init_codes"][:, 3].tolist())
            self.assertEqual(sites["state.p90"].tolist(), file["sites/state"][:, 3].tolist())
            self.assertEqual(sites["histogram.255"].tolist(), file["sites/histogram"][:, 255].tolist())
            for group in ("selected", "checkpoint"):
                with self.assertRaisesRegex(ValueError, "no table"):
                    columns(file[group])

    @unittest.skipUnless(importlib.util.find_spec("pandas") and importlib.util.find_spec("matplotlib"),
                         "python3-pandas or python3-matplotlib is not installed")
    def test_documented_examples(self):
        os.symlink(os.path.join(SOURCE, "analysis"), os.path.join(self.folder, "analysis"))
        os.makedirs(os.path.join(self.folder, "results", "tri_ppo_int_codes"))
        shutil.copy(self.run_file, os.path.join(self.folder, "results", "tri_ppo_int_codes", "alexnet.h5"))
        examples = re.findall(r"(?s)```python\n(.*?)```", DOCUMENTATION)
        self.assertEqual(len(examples), 2)
        for example in examples:
            done = subprocess.run([sys.executable, "-B", "-c", example], cwd=self.folder, capture_output=True,
                                  text=True, timeout=60, env=os.environ | {"MPLBACKEND": "agg"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), example)


class Table(RunFile):
    def table(self, *paths):
        """Cells of the table's rows, from the label to the file."""
        lines = self.read("analysis/table.py", *paths).splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.assertEqual((rows[0][:3], rows[0][-1]), (["run", "seed", "ms an episode"], "file"))
        return rows[2:]

    def test_unfinished_and_unreadable_runs_are_named_and_the_others_shown(self):
        unfinished = self.variant("unfinished.h5", "f.attrs['status'] = numpy.bytes_('running')", "del f['selected']")
        whole = self.read("analysis/table.py", self.run_file)
        some = run("analysis/table.py", unfinished, self.run_file)
        self.assertEqual((some.returncode, some.stdout), (0, whole))
        self.assertEqual(some.stderr, f"table.py: left out: {unfinished}: not finished\n")
        none = run("analysis/table.py", unfinished)
        self.assert_refused(none, 1, f"table.py: error: no finished run: {unfinished}: not finished")
        damaged = self.edited("damaged.h5", "f['episodes/reward'][3] += 1")
        some = run("analysis/table.py", damaged, self.run_file, "nowhere.h5")
        self.assertEqual((some.returncode, some.stdout, some.stderr.count("\n")), (1, whole, 2))
        self.assertIn(f"table.py: error: {damaged}: its content", some.stderr)
        self.assertIn("table.py: error: nowhere.h5: No such file", some.stderr)
        self.assertIn("codes of the best episode so far", self.read("analysis/read_run.py", unfinished))

    def test_a_multiple_of_nothing_is_not_defined(self):
        label = "lenet5, 4 sites"
        for kd in (0, 4):  # 0 / 0 and 4 / 0
            path = self.variant("exact.h5", f"f['selected/test_kd_sum'][()] = {kd}",
                                "f['selected/test_mse_kd_sum'][()] = 0", "f.attrs['seed'] = numpy.uint64(2)")
            rows = self.table(self.run_file, path)
            self.assertEqual([row[4] for row in rows], ["1.000", "-", "-"])
            self.assertEqual([row[3] for row in rows], ["0.2500", f"{kd / 32:.4f}", f"{(0.25 + kd / 32) / 2:.4f}"])
            self.assertEqual({row[0] for row in rows}, {label})
        no_episode = self.variant("none.h5", "x = f['episodes/reward'][:0]; del f['episodes/reward']",
                                  "f['episodes/reward'] = x")
        self.assertEqual(self.table(no_episode)[0][2], "-", "milliseconds an episode")

    def test_the_table_averages_over_seeds_alone(self):
        config = "f.attrs['config'] = numpy.bytes_('# results\\nclip = {}\\nseed = {}\\ntop-k = 5\\n# speed\\nthreads = {}\\n')"
        one, two = (self.variant(f"{seed}.h5", config.format(1, seed, seed), f"f.attrs['seed'] = numpy.uint64({seed})",
                                 f"f['selected/test_kd_sum'][()] = 32 * {kd}") for seed, kd in ((1, 0.5), (2, 0.25)))
        other = self.variant("other.h5", config.format(0.2, 1, 1), "f.attrs['seed'] = numpy.uint64(1)",
                             "f['selected/test_kd_sum'][()] = 32 * 8")
        columns = lambda rows: [(r[0], r[1], r[3], r[-1]) for r in rows]
        self.assertEqual(columns(self.table(one, two)), [
            ("lenet5, 4 sites", "1", "0.5000", one), ("lenet5, 4 sites", "2", "0.2500", two),
            ("lenet5, 4 sites", "mean", "0.3750", "of 2")])
        self.assertEqual(columns(self.table(one, other, two)), [
            ("lenet5, 4 sites, clip 1", "1", "0.5000", one), ("lenet5, 4 sites, clip 1", "2", "0.2500", two),
            ("lenet5, 4 sites, clip 1", "mean", "0.3750", "of 2"), ("lenet5, 4 sites, clip 0.2", "1", "8.0000", other)])

    def test_a_run_that_is_given_twice_counts_once(self):
        one, two = (self.variant(f"{seed}.h5", f"f.attrs['seed'] = numpy.uint64({seed})",
                                 f"f['selected/test_kd_sum'][()] = 32 * {seed}") for seed in (1, 2))
        copy = os.path.join(self.folder, "copy.h5")
        shutil.copy(one, copy)
        equal = f"table.py: of equal configuration and seed, counted once in means: {one} = {copy} = {one}\n"
        done = run("analysis/table.py", one, copy, two, one)
        self.assertEqual((done.returncode, done.stderr), (0, equal))
        self.assertEqual(done.stdout.count("| 1 |"), 3, "all files have their row")
        mean = done.stdout.splitlines()[-1]
        self.assertTrue(" | mean | " in mean and " | 1.5000 | " in mean and mean.endswith(" | of 2 |"), mean)
        done = run("analysis/table.py", one, copy, one)
        self.assertEqual((done.returncode, done.stderr), (0, equal))
        self.assertNotIn("mean", done.stdout)

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
        rows = self.table(self.run_file, self.variant("other.h5", "f.attrs['data'] = numpy.bytes_('elsewhere')",
                                                      "f.attrs['seed'] = numpy.uint64(2)"))
        self.assertEqual(rows[-1][1], "mean", "the same images in another folder")
        rows = self.table(with_text("config", "seed = 1"), self.variant("older.h5", "f.attrs['config'] = numpy.bytes_('seed = 2')",
                                                                        "f.attrs['seed'] = numpy.uint64(2)"))
        self.assertEqual(rows[-1][1], "mean", "options that neither version had")
        newer = "final-scoring = \\'all\\'\\nlag = 0\\nseed = 2"
        rows = self.table(with_text("config", "seed = 1"), self.variant("newer.h5", f"f.attrs['config'] = numpy.bytes_('{newer}')",
                                                                        "f.attrs['seed'] = numpy.uint64(2)"))
        self.assertEqual(rows[-1][1], "mean", "options that say what older versions did")


if __name__ == "__main__":
    unittest.main()
