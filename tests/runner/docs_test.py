"""What docs/ and README.md show: commands run, outputs look as they are shown, options exist."""
import functools
import glob
import os
import re
import shlex
import subprocess
import unittest

from program import FASHION_MNIST, FEW, FEW_DATA, PROGRAM, SOURCE, ProgramTest, environment, run

NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")
NOT_RUN = "<!-- not run by the tests"


def text_of(path):
    with open(path) as file:
        return file.read()


def blocks(page):
    """The fenced blocks of a page: language, text, and whether the line above takes it out of what is run."""
    return [(language, text, above.startswith(NOT_RUN)) for above, language, text in
            re.findall(r"(?:^|\n)([^\n]*)\n```(\w*)\n(.*?)\n```(?=\n|$)", page, re.DOTALL)]


def pattern_of(line, number=r"\S+"):
    """Matches a line with other numbers, or with `number` None the same, and anything for "..."; blanks of any
    length."""
    def word(text):
        return re.escape(text) if number is None else number.join(map(re.escape, NUMBER.split(text)))
    parts = [r"\s+".join(map(word, part.split())) for part in line.split("...")]
    return re.compile(r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*")


class Shown(ProgramTest):
    def assert_shown(self, block, output, **options):
        """The lines of a block are lines of the output, in their order. Returns how many they are."""
        lines = re.split(r"[\r\n]", output)
        shown = [line for line in block.splitlines() if line.strip(" .…")]
        for line in shown:
            pattern = pattern_of(line, **options)
            found = next((i for i, each in enumerate(lines) if pattern.fullmatch(each)), None)
            self.assertIsNotNone(found, f"{line}\nis not, or not behind those above it, in\n{output}")
            lines = lines[found + 1:]
        return len(shown)


class Tutorial(Shown):
    def test_the_first_search_has_the_numbers_of_the_page(self):
        """On the images and with the teacher that whoever reads it has."""
        page = blocks(text_of(os.path.join(SOURCE, "docs", "tutorial.md")))
        at = next(i for i, (_, text, _) in enumerate(page) if text.startswith("triseg search "))
        variables = environment() | {"TRISEG_MODELS": os.path.join(SOURCE, "models"),
                                     "TRISEG_FASHION_MNIST": FASHION_MNIST}
        done = subprocess.run([PROGRAM, *shlex.split(page[at][1])[1:]], cwd=self.folder, env=variables, text=True,
                              timeout=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreater(self.assert_shown(page[at + 1][1], done.stdout, number=None), 12)


class Pages(Shown):
    """Pages whose blocks follow each other, on few images, so that numbers are others than those shown."""

    def check(self, name):
        bin_folder = self.out("bin")
        os.mkdir(bin_folder)
        for program in ("", "-train", "-report", "-table"):
            os.symlink(os.path.join(os.path.dirname(PROGRAM), "triseg" + program),
                       os.path.join(bin_folder, "triseg" + program))
        work = self.out("work")
        os.mkdir(work)
        variables = environment() | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "TRISEG_FASHION_MNIST": FEW_DATA,
                                     "TRISEG_MODELS": FEW, "PYTHONPATH": os.path.join(SOURCE, "analysis")}
        ran, shown, output = 0, 0, ""
        for language, text, left_out in blocks(text_of(os.path.join(SOURCE, "docs", name))):
            if language == "sh" and not left_out:
                done = subprocess.run(["bash", "-euc", text], cwd=work, env=variables, text=True, timeout=100,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual(done.returncode, 0, text + "\n" + done.stdout)
                output, ran = done.stdout, ran + 1
            elif language == "":
                shown += self.assert_shown(text, output)
        return ran, shown

    def test_the_tutorial(self):
        ran, shown = self.check("tutorial.md")
        self.assertGreaterEqual(ran, 9)
        self.assertGreaterEqual(shown, 30)

    def test_bring_your_own(self):
        ran, shown = self.check("bring-your-own.md")
        self.assertGreaterEqual(ran, 5)
        self.assertGreaterEqual(shown, 8)


PLACE = re.compile(r"\{[^{}]*\}")  # what a message has for what is filled in
OF_OPEN_MPI = ("There are not enough slots", "mpirun has detected")


def words(text):
    return re.findall(r"[A-Za-z][\w-]*", PLACE.sub(" ", text))


@functools.cache
def messages():
    """All texts of two words and more in the sources, with {} for what is filled in, and their words."""
    found = {}
    for folder in ("core", "data", "learner", "network", "runner", "slurm", "worker"):
        for path in glob.glob(os.path.join(SOURCE, folder, "**", "*.[csh]*"), recursive=True):
            source = re.sub(r"^\s*(//|#).*", "", text_of(path), flags=re.MULTILINE)
            source = re.sub(r'"\s*\n\s*"', "", source)  # one text over several lines, in C++ and in a shell
            source = re.sub(r'" \\\n\s*"', " ", source)
            if path.endswith(("sh", "sbatch")):
                source = re.sub(r"\$(\w+|\{\w+\})", "{}", source)
            for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', source):
                if len(words(text)) > 1:
                    found[re.sub(r"\\n|\\", "", text)] = set(words(text))
    return found


@functools.cache
def is_said(line):
    """Whether a line of a page is a message of the program as a whole, with something filled in, which is a message in
    its turn if it is longer than three words. "..." in the line is something that is filled in, and at its end the rest
    of a message."""
    for message, its in messages().items():
        if len(its & set(words(line))) < min(3, len(its)):
            continue
        starts = [message]
        if line.endswith("..."):
            starts += [message[:end.end()] + "..." for end in re.finditer(" ", message)
                       if len(words(message[:end.end()])) > 2]
        for start in starts:
            found = re.fullmatch("(.*)".join(map(re.escape, PLACE.split(start))), line)
            if found and all(len(part.split()) < 4 or is_said(part.strip(" ;.")) for part in found.groups()):
                return True
    return False


@functools.cache
def options_of(subcommand):
    """The options in the help of a command, None if there is no such command."""
    done = run([*subcommand, "--help-all" if subcommand in (("search",), ("doctor",)) else "--help"])
    return (set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout)) | {"--help", "--help-all"}
            if done.returncode == 0 else None)


@functools.cache
def children_of(subcommand):
    listed = re.search(r"\nSubcommands:\n((?:  .*\n?)+)", run([*subcommand, "--help"]).stdout)
    return set(re.findall(r"^  ([a-z]\S*)", listed[1], re.MULTILINE)) if listed else set()


def commands_in(page):
    """Every command line of triseg on a page, in blocks and between backticks, as words."""
    pieces = [text.replace("\\\n", " ") for language, text, _ in blocks(page) if language in ("sh", "")]
    prose = re.sub(r"(?:^|\n)```.*?\n```", "", page, flags=re.DOTALL)
    pieces += [" ".join(quoted.split()) for quoted in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    for line in "\n".join(pieces).splitlines():
        found = re.match(r"(?:\S*mpirun .*? |srun .*? |\$ |\w+=\S+ )*(?:\S*/)?triseg ((?:[a-z-]).*)", line)
        if found:
            words = shlex.split(found[1], comments=True)
            ends = [i for i, word in enumerate(words) if word in ("|", "||", "&&", ";", ">", "2>", "<")]
            yield line, words[:min(ends, default=len(words))]


class Docs(unittest.TestCase):
    def test_the_lines_of_the_faq_are_those_of_the_program(self):
        page = " ".join(re.findall(r"\*\*(.*?)\*\*", text_of(os.path.join(SOURCE, "docs/faq.md")), re.DOTALL))
        quoted = [line for line in re.findall("`([^`]*)`", page)
                  if len(words(line)) > 3 and not line.startswith(OF_OPEN_MPI)]
        self.assertGreater(len(quoted), 22)
        for line in quoted:
            with self.subTest(line=line):
                self.assertTrue(is_said(re.sub(r"^(triseg: error: |problem +\w+ +)", "", line)))
        for line in ("... was found with another teacher than ...: give its model file with --teacher",
                     "... is there but belongs to no other file", "... is there but belongs to no run at the same "
                     "place: move it away or choose another --result-file"):
            self.assertFalse(is_said(line), line)

    def test_every_command_of_every_page_exists(self):
        checked = 0
        for path in sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md"))) + [os.path.join(SOURCE, "README.md")]:
            for line, words in commands_in(text_of(path)):
                subcommand = ()
                while words and words[0] in children_of(subcommand):
                    subcommand, words = (*subcommand, words[0]), words[1:]
                with self.subTest(page=os.path.basename(path), line=line):
                    if not subcommand:
                        self.assertTrue(words[0].startswith("--"), "no such command")
                    known = options_of(subcommand)
                    for word in words:
                        if re.match(r"--[a-z]", word):
                            self.assertIn(re.split("[=, ]", word)[0], known)
                checked += 1
        self.assertGreater(checked, 60)


if __name__ == "__main__":
    unittest.main()
