"""The table of finished runs, by the program that lies beside triseg."""
import csv
import io
import os
import shutil
import subprocess
import unittest

import h5py

from scripts import TABLE, RunFile, run, run_copied
from program import quick, sweep_base

PROGRAM, FEW = os.environ["TRISEG_PROGRAM"], os.environ["TRISEG_FEW_IMAGES"]
CONFIG = "f.attrs['config'] = numpy.bytes_('# results\\nclip = {}\\nseed = {}\\ntop-k = 5\\n# speed\\nthreads = {}\\n')"


class Table(RunFile):
    def table(self, *arguments):
        """Cells of the table's rows by the heading of their column."""
        lines = self.read(TABLE, *arguments).split("\n\n")[0].splitlines()
        heading, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        return [dict(zip(heading, row)) for row in rows]

    def column(self, name, *arguments):
        return [row[name] for row in self.table(*arguments)]

    def of_seed(self, seed, kd, *statements, name=None):
        """A run of this seed and test KD."""
        return self.variant(name or f"{seed}.h5", f"f.attrs['seed'] = numpy.uint64({seed})",
                            f"f['selected/test_kd_sum'][()] = 32 * {kd}", *statements)

    def test_means_and_intervals_over_seeds(self):
        paths = [self.of_seed(seed, kd, CONFIG.format(1, seed, seed)) for seed, kd in ((1, 0.5), (2, 0.25), (3, 0.75))]
        other = self.of_seed(1, 8, CONFIG.format(0.2, 1, 1), name="other.h5")
        rows = self.table(paths[0], other, *paths[1:])
        self.assertEqual([(row["run"], row["seeds"]) for row in rows],
                         [("lenet5, 4 sites, clip 1", "3"), ("lenet5, 4 sites, clip 0.2", "1")])
        # t(2 degrees of freedom) = 4.3027; the deviation of 0.25, 0.5, 0.75 is 0.25: 4.3027 * 0.25 / sqrt(3) = 0.6210
        self.assertEqual([row["KD"] for row in rows], ["0.5000 ± 0.6210", "8.0000"])
        self.assertEqual([row["KD / MSE"] for row in rows], ["2.000 ± 2.484", "32.000"])
        self.assertEqual(rows[1]["validation KD"], "0.2500")
        self.assertEqual([rows[1][name] for name in ("teacher %", "student %", "drop", "ms an episode")],
                         ["78.12", "71.88", "6.25", "0.00"])
        with h5py.File(other) as file:
            row = file["selected/top_index"][()]
            expected = [f"{scale * file['top'][name][row]:{format_}}" for name, scale, format_ in (
                ("coverage", 100, ".2f"), ("passed", 100, ".2f"), ("energy", 1, ".0f"))]
        self.assertEqual([rows[1][name] for name in ("coverage %", "passed %", "energy")], expected)
        self.assertIn("± half the 95 % interval of the mean over the seeds (Student's t)", self.read(TABLE, *paths))
        self.assertNotIn("±", self.read(TABLE, other))
        self.assertEqual([(row["seed"], row["KD"], row["file"])
                          for row in self.table("--each", paths[0], other, paths[1])],
                         [("1", "0.5000", paths[0]), ("2", "0.2500", paths[1]), ("1", "8.0000", other)])

    def test_sorted_best_first(self):
        paths = [self.variant(f"{clip}.h5", CONFIG.format(clip, 1, 1), f"f['selected/test_kd_sum'][()] = {kd}",
                              f"f['selected/test_student_only'][()] = {right}")
                 for clip, kd, right in ((1, 3, 2), (2, 1, 1), (3, 2, 3))]
        clips = lambda *options: [name[-1] for name in self.column("run", *options, *paths)]
        self.assertEqual(clips(), ["1", "2", "3"])
        self.assertEqual(clips("--sort", "kd"), ["2", "3", "1"])
        self.assertEqual(clips("--sort", "student"), ["3", "1", "2"])
        self.assertEqual(clips("--each", "--sort", "kd-mse"), ["2", "3", "1"])
        wrong = run_copied(TABLE, "--sort", "luck", *paths)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn("'luck'", wrong.stderr)

    def test_comma_separated_values(self):
        paths = [self.of_seed(seed, kd) for seed, kd in ((1, 0.1), (2, 0.3))]
        rows = list(csv.DictReader(io.StringIO(self.read(TABLE, "--csv", *paths))))
        self.assertEqual([(row["run"], row["seeds"]) for row in rows], [("lenet5, 4 sites", "2")])
        self.assertAlmostEqual(float(rows[0]["kd"]), 0.2, places=15)
        # t(1) = 12.7062, 0.1 the standard error
        self.assertAlmostEqual(float(rows[0]["kd-95"]), 12.7062 * 0.1, places=9)
        rows = list(csv.DictReader(io.StringIO(self.read(TABLE, "--csv", "--each", *paths))))
        self.assertEqual([(row["seed"], float(row["kd"]), row["file"]) for row in rows],
                         [("1", 0.1, paths[0]), ("2", 0.3, paths[1])])
        alone = next(csv.DictReader(io.StringIO(self.read(TABLE, "--csv", paths[0]))))
        self.assertEqual((alone["kd"], alone["kd-95"]), ("0.1", ""))

    def test_the_folder_of_a_search_stands_for_its_runs(self):
        folder = os.path.join(self.folder, "out[1]", "tri_ppo_int_codes")
        os.makedirs(folder)
        for seed in (1, 2):
            os.rename(self.of_seed(seed, 0.5), os.path.join(folder, f"{seed}.h5"))
        self.assertEqual([row["file"] for row in self.table("--each", os.path.dirname(folder))],
                         [os.path.join(folder, f"{seed}.h5") for seed in (1, 2)])
        self.assert_refused(run_copied(TABLE, self.folder), 1, "neither sweep.json nor tri_ppo_int_codes")

    def test_latex(self):
        path = self.of_seed(1, 0.5, "f.attrs['model'] = numpy.bytes_(b'my_net')")
        text = self.read(TABLE, "--latex", path, self.of_seed(2, 0.5, "f.attrs['model'] = numpy.bytes_(b'my_net')"))
        self.assertTrue(text.startswith("% "))
        lines = text.splitlines()
        self.assertEqual(lines[1:3] + lines[-2:],
                         [r"\begin{tabular}{lrrrrrrrrrrr}", r"\toprule", r"\bottomrule", r"\end{tabular}"])
        self.assertTrue(lines[5].startswith(r"my\_net, 4 sites & 2 & 0.2500 $\pm$ 0.0000 & 0.5000 $\pm$ 0.0000 & "),
                        lines[5])
        self.assertIn(r"teacher \%", lines[3])
        self.assertEqual({line.count("&") for line in (lines[3], lines[5])}, {11})
        both = run_copied(TABLE, "--latex", "--csv", path)
        self.assertEqual((both.returncode, both.stdout), (2, ""))

    def test_an_installation_has_its_own_package(self):
        build = os.path.dirname(os.path.dirname(TABLE))
        done = subprocess.run(["cmake", "--install", build, "--prefix", self.folder, "--component", "triseg"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        installed = os.path.join(self.folder, "bin", "triseg-table")
        self.assertEqual(self.read(installed, self.run_file, by=run), self.read(TABLE, self.run_file))
        os.unlink(os.path.join(self.folder, "share", "triseg", "python", "triseg", "table.py"))
        self.assertIn("triseg.table", run(installed, self.run_file).stderr, "it does not take that of the sources")

    def test_a_sweep_and_the_program_beside_triseg(self):
        with open(os.path.join(self.folder, "sweep.toml"), "w") as file:
            file.write("seeds = 2\n" + sweep_base(quick("--episodes", "32", "--top-k", "1")) +
                       '[grid]\nstrategy = ["mse", "random"]\n')
        sweep, programs = (os.path.join(self.folder, name) for name in ("sweep", "bin"))
        os.mkdir(programs)
        triseg, _ = (shutil.copy(program, programs) for program in (PROGRAM, TABLE))
        done = subprocess.run([triseg, "sweep", sweep + ".toml", "--out", sweep],
                              env=os.environ | {"TRISEG_MODELS": FEW}, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = subprocess.run([triseg, "table", "--csv", "--sort", "ms", sweep], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([row["run"].split(", ")[-1] for row in rows], ["strategy random", "strategy mse"],
                         "no time an episode comes last")
        self.assertEqual([row["seeds"] for row in rows], ["2", "2"])
        first = os.path.join(sweep, "runs", sorted(os.listdir(os.path.join(sweep, "runs")))[0], "tri_ppo_int_codes",
                             "run.h5")
        os.unlink(first)
        some = run_copied(TABLE, sweep)
        self.assertEqual((some.returncode, some.stderr),
                         (0, f"triseg-table: left out: {sweep}: run {first.split(os.sep)[-3]} has not begun\n"))

    def test_unfinished_and_unreadable_runs_are_named_and_the_others_shown(self):
        unfinished = self.variant("unfinished.h5", "f.attrs['status'] = numpy.bytes_('running')", "del f['selected']")
        whole = self.read(TABLE, self.run_file)
        some = run_copied(TABLE, unfinished, self.run_file)
        self.assertEqual((some.returncode, some.stdout), (0, whole))
        left_out = f"triseg-table: left out: {unfinished}: not finished, 6 of 6 episodes\n"
        self.assertEqual(some.stderr, left_out)
        none = run_copied(TABLE, unfinished)
        self.assertEqual((none.returncode, none.stdout, none.stderr),
                         (1, "", left_out + "triseg-table: error: no finished run\n"))
        damaged = self.edited("damaged.h5", "f['episodes/reward'][3] += 1")
        some = run_copied(TABLE, damaged, self.run_file, "nowhere.h5")
        self.assertEqual((some.returncode, some.stdout, some.stderr.count("\n")), (1, whole, 2))
        self.assertIn(f"triseg-table: error: {damaged}: its content", some.stderr)
        self.assertIn("triseg-table: error: nowhere.h5: No such file", some.stderr)
        self.assertIn("codes of the best episode so far", self.read("analysis/read_run.py", unfinished))
        unparsed = self.variant("unparsed.h5", "f.attrs['config'] = numpy.bytes_('clip')")
        self.assert_refused(run_copied(TABLE, unparsed), 1, f"{unparsed}: /@config: ")

    def test_a_multiple_of_nothing_is_not_defined(self):
        for kd in (0, 0.125):  # 0 / 0 and 0.125 / 0
            path = self.of_seed(2, kd, "f['selected/test_mse_kd_sum'][()] = 0", name="exact.h5")
            self.assertEqual(self.column("KD / MSE", "--each", self.run_file, path), ["1.000", "-"])
            self.assertEqual(self.column("KD / MSE", self.run_file, path), ["-"])
            self.assertTrue(self.column("KD", self.run_file, path)[0].startswith(f"{(0.25 + kd) / 2:.4f} ± "))
        no_episode = self.variant("none.h5", "x = f['episodes/reward'][:0]; del f['episodes/reward']",
                                  "f['episodes/reward'] = x")
        self.assertEqual(self.column("ms an episode", no_episode), ["-"])

    def test_a_run_that_is_given_twice_counts_once(self):
        one, two = (self.of_seed(seed, seed) for seed in (1, 2))
        copy = os.path.join(self.folder, "copy.h5")
        shutil.copy(one, copy)
        equal = f"triseg-table: of equal configuration and seed, counted once in means: {one} = {copy} = {one}\n"
        done = run_copied(TABLE, one, copy, two, one)
        self.assertEqual((done.returncode, done.stderr), (0, equal))
        self.assertIn("| lenet5, 4 sites | 2 | 0.2500 ± 0.0000 | 1.5000 ± 6.3531 |", done.stdout)
        done = run_copied(TABLE, "--each", one, copy, two, one)
        self.assertEqual((done.returncode, done.stderr, done.stdout.count("| 1 |")), (0, equal, 3),
                         "all files have their row")

    def test_the_table_tells_apart_what_is_not_comparable(self):
        def with_text(name, value):
            return self.variant("other.h5", f"f.attrs['{name}'] = numpy.bytes_('{value}')")

        for other, label in ((lambda: self.variant("other.h5", "f.attrs['episodes_total'] = numpy.uint64(640)"),
                              "episodes 640"),
                             (lambda: self.variant("other.h5", "f.attrs['energy_add8'] = 7.0"), "energy_add8 7 pJ"),
                             (lambda: with_text("backend", "qnnpack"), "backend qnnpack"),
                             (lambda: with_text("data_sha256", "0123456789abcdef"), "data sha256 0123456789ab"),
                             (lambda: with_text("model_sha256", "f"), "teacher sha256 f"),
                             (lambda: with_text("attention_layers", ""), "attention-layers none")):
            with self.subTest(label):
                self.assertEqual(self.column("run", self.run_file, other())[1], "lenet5, 4 sites, " + label)
        names = self.column("run", self.run_file, self.variant("other.h5", "f['sites/name'][0] = b'conv9'"))
        self.assertEqual(names, [f"lenet5, 4 sites, sites {first},conv2,fc1,fc2" for first in ("conv1", "conv9")])
        self.assertEqual(self.column("run", self.run_file, with_text("model", "vgg16")),
                         ["lenet5, 4 sites", "vgg16, 4 sites"])
        seeds = lambda *paths: self.column("seeds", *paths)
        elsewhere = self.of_seed(2, 1, "f.attrs['data'] = numpy.bytes_('elsewhere')")
        self.assertEqual(seeds(self.run_file, elsewhere), ["2"], "the same images in another folder")
        first = with_text("config", "seed = 1")
        for config in ("seed = 2", "final-scoring = \\'all\\'\\nlag = 0\\nseed = 2"):
            other = self.of_seed(2, 1, f"f.attrs['config'] = numpy.bytes_('{config}')")
            self.assertEqual(seeds(first, other), ["2"],
                             "options that neither version had, or that say what older ones did")

    def test_a_start_is_its_codes_and_repair_not_its_path(self):
        def started(seed, path, *statements):
            config = f"f.attrs['config'] = numpy.bytes_('seed = {seed}\\nstart = \"{path}\"')"
            return self.of_seed(seed, 1, config, *statements)

        first = started(1, "a.json")
        self.assertEqual(self.column("seeds", first, started(2, "elsewhere/b.json")), ["2"], "equal files")
        for statement in ("f['sites/start_codes'][0, 0] += 1", "f['sites/tmax'][0] += 1",
                          *(f"f['checkpoint/tensors/repair/{name}'] = numpy.ones(230)"
                            for name in ("multiplier", "bias"))):
            with self.subTest(statement):
                names = self.column("run", first, started(2, "a.json", statement))
                self.assertEqual(len(set(names)), 2, "other content under one path")
                for name in names:
                    self.assertRegex(name, "^lenet5, 4 sites, start sha256 [0-9a-f]{12}$")
        self.assertEqual(self.column("run", first,
                                     self.of_seed(2, 1, "f.attrs['config'] = numpy.bytes_('seed = 2')"))[1],
                         "lenet5, 4 sites, start none")


if __name__ == "__main__":
    unittest.main()
