"""What README.md says of options, against the program's own declaration."""
import os
import re
import unittest

from program import SOURCE, run


def declared(command):
    """Default values of a command's options by name, None where the help states none."""
    help_text = run([command, "--help"]).stdout
    # CLI11 2.3 writes "--lr FLOAT=0.1", later versions "--lr FLOAT [0.1]".
    return {name: first or second or None for name, first, second in
            re.findall(r"^  (?:-\w,)?(--[\w-]+)(?: [A-Z]+(?:=(\S+)| \[([^\]]*)\])?)?", help_text, re.MULTILINE)}


class Readme(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(SOURCE, "README.md")) as file:
            self.readme = file.read()

    def test_the_table_of_options(self):
        options = declared("search")
        self.assertGreater(len(options), 40)
        rows = re.findall(r"^\| (`--[^|]*) \| ([^|]*) \|", self.readme, re.MULTILINE)
        self.assertGreater(len(rows), 15)
        for names, defaults in rows:
            names = re.findall(r"`(--[\w-]+)", names)
            defaults = [d.strip() for d in defaults.replace("`", "").split(",")] if defaults.strip() else []
            for i, name in enumerate(names):
                with self.subTest(option=name):
                    self.assertIn(name, options)
                    if options[name] is not None:
                        self.assertEqual(len(defaults), len(names), defaults)
                        self.assertEqual(defaults[i], options[name])

    def test_every_option_that_is_named_is_declared(self):
        known = {"--help", "--version"}
        for command in ("search", "evaluate", "repair", "train", "pick", "validate", "score", "sensitivity", "verify", "replay", "compare"):
            known |= declared(command).keys()
        for line in self.readme.splitlines():
            if re.search(r"triseg |\| `--", line) and not re.search(r"cmake|scripts/|sbatch|srun|mpirun -n [12] --bind", line):
                for name in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
                    with self.subTest(line=line[:60], option=name):
                        self.assertIn(name, known)
