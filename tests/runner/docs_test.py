"""What docs/ and README.md show: commands run, outputs look as they are shown, options exist."""
import functools
import glob
import os
import re
import shlex
import subprocess
import unittest

from program import FEW, FEW_DATA, PROGRAM, SOURCE, ProgramTest, environment, run

NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")
NOT_RUN = "<!-- not run by the tests"


def text_of(path):
    with open(path) as file:
        return file.read()


def blocks(page):
    """The fenced blocks of a page: language, text, and whether the line above takes it out of what is run."""
    return [(language, text, above.startswith(NOT_RUN)) for above, language, text in
            re.findall(r"(?:^|\n)([^\n]*)\n```(\w*)\n(.*?)\n```(?=\n|$)", page, re.DOTALL)]


def pattern_of(line):
    """Matches a line with other numbers, and anything for "..."; blanks of any length."""
    def words(text):
        return r"\s+".join(r"\S+".join(re.escape(part) for part in NUMBER.split(word)) for word in text.split())
    parts = [words(part) for part in line.split("...")]
    return re.compile(r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*")


class Pages(ProgramTest):
    """Pages whose blocks follow each other, on few images, so that numbers are others than those shown."""

    def check(self, name):
        bin_folder = self.out("bin")
        os.mkdir(bin_folder)
        for program in ("", "-train", "-report", "-table"):
            os.symlink(os.path.join(os.path.dirname(PROGRAM), "triseg" + program), os.path.join(bin_folder, "triseg" + program))
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
                for line in filter(lambda line: line.strip(" .…"), text.splitlines()):
                    with self.subTest(line=line):
                        pattern = pattern_of(line)
                        self.assertTrue(any(pattern.fullmatch(l) for l in re.split(r"[\r\n]", output)), output)
                    shown += 1
        return ran, shown

    def test_the_tutorial(self):
        ran, shown = self.check("tutorial.md")
        self.assertGreaterEqual(ran, 9)
        self.assertGreaterEqual(shown, 30)

    def test_bring_your_own(self):
        ran, shown = self.check("bring-your-own.md")
        self.assertGreaterEqual(ran, 5)
        self.assertGreaterEqual(shown, 8)


@functools.cache
def options_of(subcommand):
    """The options in the help of a command, None if there is no such command."""
    done = run([*subcommand, "--help-all" if subcommand in (("search",), ("doctor",)) else "--help"])
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout)) | {"--help", "--help-all"} if done.returncode == 0 else None


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
        """At least three words in a row of each stand in a source: what is filled in between them differs."""
        sources = [path for folder in ("core", "data", "learner", "network", "runner", "slurm", "worker")
                   for path in glob.glob(os.path.join(SOURCE, folder, "**", "*.[csh]*"), recursive=True)]
        texts = " ".join(" ".join(re.sub(r'"\s*\n\s*"', "", text_of(path)).split()) for path in sources)
        texts = re.sub(r"\{[^{}]*\}", "...", texts)
        quoted = re.findall(r"`((?:triseg: error|warning|slurm: error): [^`]*)`", text_of(os.path.join(SOURCE, "docs/faq.md")))
        self.assertGreater(len(quoted), 15)
        for line in quoted:
            words = line.split()
            with self.subTest(line=line):
                self.assertTrue(any(" ".join(words[i:i + 3]) in texts for i in range(1, len(words) - 2)))

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

    def test_links_lead_somewhere(self):
        def anchor(title):
            return re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        checked = 0
        for path in sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md"))) + [os.path.join(SOURCE, "README.md")]:
            for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(path)):
                file, _, section = target.partition("#")
                there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
                with self.subTest(page=os.path.basename(path), target=target):
                    self.assertTrue(os.path.exists(there))
                    if section:
                        titles = re.findall(r"^#+ (.*)", text_of(there), re.MULTILINE)
                        self.assertIn(section, map(anchor, titles))
                checked += 1
        self.assertGreater(checked, 60)


if __name__ == "__main__":
    unittest.main()
