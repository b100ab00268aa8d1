"""What the READMEs say of options, against the program; one language against the other; the links of all documents."""
import glob
import os
import re
import unittest

from program import SOURCE, run


def declared(command):
    """Default values of a command's options by name, None where the help states none."""
    help_text = run([command, "--help-all" if command in ("search", "doctor") else "--help"]).stdout
    # CLI11 2.3 writes "--lr FLOAT=0.1", later versions "--lr FLOAT [0.1]".
    return {name: first or second or None for name, first, second in
            re.findall(r"^  (?:-\w,)?(--[\w-]+)(?: [A-Z]+(?:=(\S+)| \[([^\]]*)\])?)?", help_text, re.MULTILINE)}


ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def code_blocks(text):
    """All lines of code, fenced or indented, without their comments."""
    lines = "\n".join(FENCED.findall(text) + re.findall(r"^    .*$", FENCED.sub("", text), re.MULTILINE)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def blocks(text):
    """Headings, paragraphs and rows of tables outside code."""
    prose = re.sub(r"^    .*$", "", FENCED.sub("", text), flags=re.MULTILINE)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n|\n(?=\|)", prose) if block.strip()]


def links(text):
    """Targets of the links and images outside code that lead to a file or to a heading."""
    prose = re.sub(r"`[^`]*`", "", FENCED.sub("", text))
    return [target for target in re.findall(r"\]\(([^()\s]+)\)", prose) if not re.match(r"[a-z]+:", target)]


def anchors(text):
    """GitHub's anchors of the headings: lower case, hyphens for spaces, no punctuation, numbered where they recur."""
    found = []
    for heading in re.findall(r"^#{1,6} +(.*?)[ #]*$", FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-"))
    return {anchor if i == 0 else f"{anchor}-{i}" for anchor in found for i in range(found.count(anchor))}


class Readme(unittest.TestCase):
    def setUp(self):
        self.readme = read(ENGLISH)

    def test_both_languages_say_the_same(self):
        english, chinese = self.readme, read(CHINESE)
        self.assertGreater(len(code_blocks(english)), 30)
        self.assertEqual(code_blocks(english), code_blocks(chinese))
        self.assertIn(f"[中文]({CHINESE})", english.splitlines()[:3])
        self.assertIn(f"[English]({ENGLISH})", chinese.splitlines()[:3])
        self.assertEqual(len(blocks(english)), len(blocks(chinese)))
        for ours, theirs in zip(blocks(english)[2:], blocks(chinese)[2:]):
            with self.subTest(english=ours[:60], chinese=theirs[:60]):
                self.assertEqual(ours[0] == "|", theirs[0] == "|")
                self.assertEqual(re.match("#*", ours)[0], re.match("#*", theirs)[0])
                for what in r"`([^`]+)`", r"\d+\.\d+":  # names in code, and figures
                    self.assertEqual(set(re.findall(what, ours)), set(re.findall(what, theirs)))
                self.assertEqual(*(sorted(link for link in links(text) if link[0] != "#") for text in (ours, theirs)))

    def test_every_link_leads_somewhere(self):
        documents = [ENGLISH, CHINESE, "CONTRIBUTING.md", "CHANGELOG.md"]
        documents += sorted(os.path.relpath(path, SOURCE) for path in glob.glob(os.path.join(SOURCE, "docs", "*.md")))
        self.assertGreater(len(documents), 15)
        tried = 0
        for document in documents:
            for link in links(read(document)):
                with self.subTest(document=document, link=link):
                    path, _, anchor = link.partition("#")
                    target = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
                    self.assertTrue(os.path.exists(os.path.join(SOURCE, target)), target)
                    if anchor:
                        self.assertIn(anchor, anchors(read(target)))
                    tried += 1
        self.assertGreater(tried, 100)

    def test_the_table_of_options(self):
        options = declared("search")
        self.assertGreater(len(options), 40)
        row = re.compile(r"^\| (`--[^|]*) \| ([^|]*) \|", re.MULTILINE)
        english, chinese = row.findall(self.readme), row.findall(read(CHINESE))
        self.assertGreater(len(english), 15)
        self.assertEqual(len(english), len(chinese))
        for names, defaults in english + chinese:
            names = re.findall(r"`(--[\w-]+)", names)
            defaults = [d.strip() for d in defaults.replace("`", "").split(",")] if defaults.strip() else []
            for i, name in enumerate(names):
                with self.subTest(option=name):
                    self.assertIn(name, options)
                    if options[name] is not None:
                        self.assertEqual(len(defaults), len(names), defaults)
                        self.assertEqual(defaults[i], options[name])

    def test_every_option_that_is_named_is_declared(self):
        known = {"--help", "--help-all", "--version"}
        for command in ("search", "evaluate", "repair", "train", "pick", "validate", "score", "sensitivity", "verify",
                        "replay", "compare"):
            known |= declared(command).keys()
        for line in self.readme.splitlines():
            if re.search(r"triseg |\| `--", line) and not re.search(r"cmake|scripts/|sbatch|srun|mpirun -n [12] --bind",
                                                                    line):
                for name in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
                    with self.subTest(line=line[:60], option=name):
                        self.assertIn(name, known)
