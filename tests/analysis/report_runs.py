"""A run, a sweep and their pages by triseg report, for the tests of this folder."""
import html.parser
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from scripts import SOURCE, run_copied
from program import quick, sweep_base
import triseg

PROGRAM, REPORT, FEW = (os.environ[name] for name in ("TRISEG_PROGRAM", "TRISEG_REPORT", "TRISEG_FEW_IMAGES"))
SEARCH = quick("--episodes-per-update", "16", "--calib-batches", "2", "--top-k", "5", "--eval-every", "4",
               "--final-scoring", "all", "--result-file", "run.json")
SWEEP = ("seeds = 2\n" +
         sweep_base(quick("--episodes", "48", "--episodes-per-update", "16", "--calib-batches", "2",
                          "--eval-every", "1")) + """
[[zip]]
strategy = ["ppo", "random"]
tmax-percentile = [80, 95]
""")
# The figures of a run, site by site in the place of *.
FIGURES = ["accuracy", "test-kd", "candidates", "reward", "gain", "kd", "attention", "validation-kd",
           "validation-accuracy", "policy-loss", "value-loss", "entropy", "approx-kl", "clip-fraction", "shares",
           "site-*", "wander-*", "top-spread", "sensitivity-kd", "sensitivity-drop", "sensitivity-saved",
           "front-energy", "front-accuracy", "energy", "seconds"]
SITES = ("conv1", "conv2", "fc1", "fc2")
COMPARED = ["board-validation-kd", "board-kd", "board-drop", "parallel", "heat", "budget-gain", "budget-kd"]


def program(*arguments):
    done = subprocess.run([PROGRAM, *arguments], env=os.environ | {"TRISEG_MODELS": FEW}, capture_output=True,
                          text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr)


def figures_of(keys, prefix=""):
    return [prefix + key.replace("*", site) for key in keys for site in (SITES if "*" in key else ("",))]


class Page(html.parser.HTMLParser):
    """What a page has: the ids of its figures, their text and data, all ids, all links, all text outside of scripts."""

    def __init__(self, path):
        super().__init__()
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.ids, self.links, self.figures, self.captions, self.tips, self.data = [], [], [], {}, {}, {}
        self.text, self._open, self._figure = "", [], None
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("meta", "link", "br"):
            self._open.append((tag, attributes.get("class")))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes[name] for name in ("href", "src", "xlink:href", "data-src") if name in attributes]
        if tag == "figure":
            self._figure = attributes["id"]
            self.figures.append(self._figure)
            self.captions[self._figure], self.tips[self._figure] = "", []
        if "data-tip" in attributes:
            self.tips[self._figure].append(attributes["data-tip"])

    def handle_endtag(self, tag):
        if self._open.pop()[0] != tag:
            raise AssertionError(f"</{tag}> at {self.getpos()} closes another")
        self._figure = None if tag == "figure" else self._figure

    def handle_data(self, data):
        tags = [tag for tag, _ in self._open]
        if "figcaption" in tags:
            self.captions[self._figure] += data
        if self._open and self._open[-1] == ("script", "data"):
            self.data[self._figure] = json.loads(data)
        elif "script" not in tags and "style" not in tags:
            self.text += data

    def row(self, figure, name):
        """Values of what the pointer reads of a figure."""
        return next(row["y"] for row in self.data[figure]["readout"]["rows"] if row["name"] == name)


class Pages(unittest.TestCase):
    """Tests that share a run, a sweep and their pages."""
    folder = None

    @classmethod
    def setUpClass(cls):
        if not Pages.folder:
            Pages.folder = tempfile.mkdtemp(prefix="triseg-test-")
            unittest.addModuleCleanup(shutil.rmtree, Pages.folder)
            Pages._make()

    @classmethod
    def _make(cls):
        program(*SEARCH, "--out", cls.at("out"))
        cls.run_file = cls.at("out/tri_ppo_int_codes/run.h5")
        program("sensitivity", cls.run_file.replace(".h5", ".json"),
                "--out", cls.run_file.replace(".h5", ".sensitivity.json"))
        with open(cls.at("sweep.toml"), "w") as file:
            file.write(SWEEP)
        program("sweep", cls.at("sweep.toml"), "--out", cls.at("sweep"))
        cls.run_page, cls.sweep_page = cls.at("run.html"), cls.at("sweep.html")
        for page, path in ((cls.run_page, cls.run_file), (cls.sweep_page, cls.at("sweep"))):
            done = run_copied(REPORT, path, "-o", page)
            if (done.returncode, done.stdout, done.stderr) != (0, "", ""):
                raise AssertionError(done.stderr)
        cls.the_run, cls.sweep = triseg.Run(cls.run_file), triseg.Sweep(cls.at("sweep"))

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder, name)

    def report(self, *arguments):
        """The page that the program makes of these, and what it says."""
        path = self.at("page.html")
        done = run_copied(REPORT, *arguments, "-o", path)
        return (Page(path) if done.returncode == 0 else None), done


def version_file(name):
    return os.path.join(SOURCE, "tests", "runner", "files", name)
