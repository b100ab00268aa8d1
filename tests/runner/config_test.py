"""Configuration files: real TOML, typed values, one line for what is wrong, and what a run stores reads back."""
import os

import h5py

from program import ProgramTest, quick, run, run_file


class ConfigFiles(ProgramTest):
    def config(self, text):
        path = self.out("c.toml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def refused(self, text, *fragments):
        with self.subTest(text=text):
            self.assert_one_line_error(run(["search", "--config", self.config(text)]),
                                       "--config: " + self.out("c.toml"), *fragments)

    def test_refusals(self):
        for text, fragments in (
                ("epsiodes = 3\n", ["unknown key 'epsiodes'"]),
                ("help = true\n", ["unknown key 'help'"]),
                ('config = "other.toml"\n', ["unknown key 'config'"]),
                ("One thing. Another one\n", ["line 1: cannot be read as TOML"]),
                ("seed = [1234\n", ["cannot be read as TOML"]),
                ('seed = 1\nout = "half\n', ["line 2: cannot be read as TOML"]),
                ("episodes = 3\nepisodes = 4\n", ["cannot be read as TOML", "episodes"]),
                ("[search]\nepisodes = 3\n", ["line 1: key 'search'", "no sections"]),
                ("a.b = 3\n", ["key 'a'", "no sections and no dotted keys"]),
                ("seed = 1979-05-27\n", ["key 'seed': expected a finite number"]),
                ("lr = nan\n", ["key 'lr': expected a finite number"]),
                ("lr = inf\n", ["key 'lr': expected a finite number"]),
                ('teacher = ""\n', ["key 'teacher': --teacher: expected a model file"]),
                ('episodes = "none"\n', ["key 'episodes': expected a whole number, found the text 'none'"]),
                ('episodes = "100"\n', ["key 'episodes': expected a whole number, found the text '100'"]),
                ("episodes = 1.5\n", ["key 'episodes': expected a whole number, found the number 1.5"]),
                ("episodes = true\n", ["key 'episodes': expected a whole number, found true"]),
                ("episodes = [1, 2]\n", ["key 'episodes': expected one value, found a list of 2"]),
                ("episodes = 0\n", ["key 'episodes'", "from 1 to"]),
                ('lr = "0.1"\n', ["key 'lr': expected a number, found the text '0.1'"]),
                ("model = 5\n", ["key 'model': expected a text in quotes, found the number 5"]),
                ("dedicated-learner = 1\n", ["key 'dedicated-learner': expected true or false, found the number 1"]),
                ('strategy = "luck"\n',
                 ["key 'strategy'", "expected one of ppo, cma-es, coordinate, random, mse, ste, found 'luck'"]),
                ("sites = []\n", ["key 'sites': expected a text or a list of texts or numbers, found a list of 0"]),
                ("sites = [true]\n", ["key 'sites': expected a text or a list"]),
                ('out = "~/x"\n', ["key 'out'", "folder called ~"]),
                ('out = "$SCRATCH/x"\n', ["key 'out'", "no shell has replaced"]),
                ("update-timestep = 70\nepisodes-per-update = 10\n", ["update-timestep", "both"])):
            self.refused(text, *fragments)

    def test_what_is_nested_too_deep_for_its_reader_is_refused(self):
        path = ".".join("a" * 100_000)
        for text in (f"{path} = 1\n", f"[{path}]\n", f"[[{path}]]\n", f"x = {{{path} = 1}}\n",
                     "x = " + 100_000 * "[" + "\n", "x = " + 100_000 * "{a=" + "\n"):
            with self.subTest(text[:20]):
                self.assert_one_line_error(run(["search", "--config", self.config("seed = 1\n" + text)]),
                                           "--config: " + self.out("c.toml"), "line 2: nested deeper than 64",
                                           "no sections and no dotted keys")
                self.assert_one_line_error(run(["search", "--model", "lenet5", "--out", self.out("a"),
                                                "--energy-table", self.config(text)]),
                                           "--energy-table: " + self.out("c.toml"),
                                           "line 1: nested deeper than 64: expected lines name = pJ alone")
        many = 100 * "[{."
        for text in (f"strategy = '{many}'\n", f'strategy = "{many}\\""\n', f'strategy = """{many}\n"""\n',
                     f"strategy = '''{many}'''\n", f"# {many}\nstrategy = '{many}'\n"):
            self.refused(text, "key 'strategy'", "expected one of ppo, ")
        self.refused('data = "a\\u0000b"\n', "key 'data': expected", "a text without NUL")

    def test_values_arrive_as_they_stand(self):
        # A number sign, blanks, quotes and escapes in a name; comments; a list of sites; numbers in TOML's own
        # spellings.
        folder = self.out('a #1 "b" \\ c')
        text = (f"out = '{folder}' # where\n" +
                'result-file = "quick.json"\nmodel = "lenet5"\nsites = ["conv1", "fc1"]\nepisodes = 6_4\n'
                "episodes-per-update = 0x20\nbatch-size = 16\ncalib-batches = 4\ntop-k = 2\nlr = 1e-3\nkd-T = 3\n"
                "seed = \"18446744073709551615\"\ndedicated-learner = false\n")
        done = run(["search", "--config", self.config(text)])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(run_file(folder)) as file:
            self.assertEqual(list(file["/sites/name"]), [b"conv1", b"fc1"])
            self.assertEqual((file.attrs["seed"], file.attrs["temperature"]), (2**64 - 1, 3))
            self.assertEqual(len(file["/episodes/reward"]), 64)
            stored = file.attrs["config"].decode()
        # What the run stores is a configuration file of the same run.
        again = run(["search", "--config", self.config(stored)])
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("nothing to do", again.stderr)

    def test_lists_of_shares(self):
        text = 'tmax-mode = "search"\nobjective = "pareto"\npass-shares = [0, 0.5, 2]\n'
        done = run(quick("--out", self.out("a"), "--config", self.config(text)))
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(sorted(set(file["/updates/pass_share"])), [0, 0.005, 0.02])
            self.assertEqual(sorted(set(file["/updates/branch"])), [0, 1, 2])

    def test_the_command_line_has_precedence(self):
        done = run(quick("--out", self.out("a"), "--config", self.config("seed = 7\nepisodes = 1_000_000\n")))
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual((file.attrs["seed"], len(file["/episodes/reward"])), (7, 192))

    def test_energy_tables(self):
        table = self.out("energy.toml")
        for text, fragments in (("add8 = 0.1\nadd8 = 0.2\n", ["cannot be read as TOML"]),
                                ("add9 = 1\n", ["unknown key 'add9'"]),
                                ('add8 = "cheap"\n', ["key 'add8': expected a number of pJ", "the text 'cheap'"]),
                                ("add8 = 0\n", ["key 'add8': expected a number of pJ"]),
                                ("add8 = [1]\n", ["a list of 1"])):
            with self.subTest(text=text):
                with open(table, "w") as file:
                    file.write(text)
                self.assert_one_line_error(run(quick("--out", self.out("a"), "--energy-table", table)),
                                           "--energy-table: " + table, *fragments)
