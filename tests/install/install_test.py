"""What `cmake --install` copies, used from a prefix that was moved afterwards; the wheel of the Python package."""
import filecmp
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from program import FEW_TEACHER, MPI_ENVIRONMENT, SOURCE, environment, quick, run_file

BUILD = os.environ["TRISEG_BINARY_DIR"]


def done(words, cwd, variables=os.environ):
    result = subprocess.run(words, cwd=cwd, env=variables, capture_output=True, text=True, timeout=200)
    if result.returncode != 0:
        raise AssertionError(f"{words}\n{result.stdout}{result.stderr}")
    return result.stdout


class FolderTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    @classmethod
    def at(cls, *names):
        return os.path.join(cls.folder, *names)


class Installed(FolderTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done(["cmake", "--install", BUILD, "--prefix", cls.at("first")], cls.folder)
        os.rename(cls.at("first"), cls.at("moved"))
        cls.share = cls.at("moved", "share", "triseg")

    def triseg(self, *arguments):
        """The installed program, in a folder of its own and with no variable that leads to models."""
        variables = {k: v for k, v in os.environ.items()
                     if k != "TRISEG_MODELS" and not k.startswith("PYTHON")} | MPI_ENVIRONMENT
        return done([self.at("moved", "bin", "triseg"), *arguments], self.folder, variables)

    def test_programs_models_configurations_and_documents_are_there(self):
        for path in ("bin/triseg-train", "share/man/man1/triseg.1.gz", "share/man/man1/triseg-train.1.gz",
                     "share/man/man1/triseg-report.1.gz", "share/man/man1/triseg-table.1.gz",
                     "share/doc/triseg/LICENSE", "share/doc/triseg/README.md",
                     "share/doc/triseg/docs/search.md", "share/triseg/python/triseg/report/d3/d3.min.js"):
            self.assertTrue(os.path.isfile(self.at("moved", path)), path)
        for folder in ("models", "configs", "networks"):
            names = os.listdir(os.path.join(SOURCE, folder))
            same, *others = filecmp.cmpfiles(os.path.join(SOURCE, folder), os.path.join(self.share, folder), names,
                                             shallow=False)
            self.assertEqual((sorted(same), others), (sorted(names), [[], []]))
        with gzip.open(self.at("moved/share/man/man1/triseg.1.gz"), "rt") as file:
            self.assertIn("--warm-start-tolerance", file.read().replace("\\-", "-"))
        for name in ("triseg", "triseg-train", "triseg-table", "triseg-report"):
            with gzip.open(self.at(f"moved/share/man/man1/{name}.1.gz"), "rt") as file:
                page = file.read().replace("\\-", "-")
            self.assertIn(f".SH SYNOPSIS\n.nf\n{'triseg train [OPTIONS]' if name == 'triseg-train' else name + ' ['}",
                          page)
            self.assertEqual([page.count(f"\n.SH {section}\n")
                              for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "SEE ALSO")], [1] * 5)

    def test_it_searches_without_the_sources(self):
        with open(self.at("moved", "bin", "triseg"), "rb") as file:
            program = file.read()
        for folder in (SOURCE, BUILD):
            self.assertNotIn(os.fsencode(folder) + b"/", program)
        shutil.copy(FEW_TEACHER, os.path.join(self.share, "models"))
        self.triseg(*quick("--config", "configs/lenet5.toml", "--out", self.at("out")))
        self.assertIn("lenet5", self.triseg("table", run_file(self.at("out"))))
        self.triseg("report", run_file(self.at("out")), "-o", self.at("page.html"))
        self.assertGreater(os.path.getsize(self.at("page.html")), 300_000)  # D3 is in it
        self.assertIn("18 runs", self.triseg("sweep", "configs/sweep-strategies.toml", "--dry-run"))
        self.assertIn("--qat-epochs", self.triseg("train", "--help"))

    def test_another_project_builds_on_it(self):
        source, build = os.path.join(SOURCE, "tests", "install", "consumer"), self.at("consumer")
        done(["cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.at('moved')}"],
             self.folder)
        done(["cmake", "--build", build], self.folder)
        model = os.path.join(self.share, "models", "lenet5-fashion-mnist.h5")
        lines = done([os.path.join(build, "consumer"), model], self.folder).splitlines()
        self.assertEqual(lines[:3], ["f(12) = 18", "lenet5 fashion-mnist", "auto"])
        self.assertIn("reference", lines[3:])


class Recipes(unittest.TestCase):
    def test_they_set_options_that_there_are(self):
        """Those for Spack and Apptainer, of which the former is Python."""
        def text(path):
            with open(path) as file:
                return file.read()
        cmake = [os.path.join(SOURCE, "CMakeLists.txt"), *glob.glob(os.path.join(SOURCE, "cmake", "*.cmake")),
                 *glob.glob(os.path.join(SOURCE, "tests", "**", "CMakeLists.txt"), recursive=True)]
        known = set(re.findall(r"\b(?:set|option)\((TRISEG_\w+)", "".join(map(text, cmake))))
        spack = os.path.join(SOURCE, "packaging", "spack", "packages", "triseg", "package.py")
        compile(text(spack), spack, "exec")
        for path in (spack, os.path.join(SOURCE, "slurm", "triseg.def"),
                     *glob.glob(os.path.join(SOURCE, "scripts", "*.sh"))):
            named = set(re.findall(r"(?:-D|\")(TRISEG_\w+)", text(path)))
            self.assertLessEqual(named, known, path)
            if not path.endswith(".sh"):
                self.assertIn("TRISEG_TRAINER", named)

    def test_what_is_demanded_is_not_left_out(self):
        def part(option):
            script = (f'set(TRISEG_PART {option})\ntriseg_part(built TRISEG_PART "" "the part")\n'
                      'message("built: ${built}")\n')
            with tempfile.NamedTemporaryFile("w", suffix=".cmake") as file:
                file.write(f"include({SOURCE}/cmake/TrisegPart.cmake)\n{script}")
                file.flush()
                result = subprocess.run(["cmake", "-P", file.name], capture_output=True, text=True)
            return result.returncode, " ".join((result.stdout + result.stderr).split())
        self.assertEqual(part("OFF"), (0, "built: OFF"))
        self.assertEqual(part("AUTO"), (0, "-- Left out: the part built: OFF"))
        code, text = part("ON")
        self.assertEqual(code, 1)
        self.assertIn("TRISEG_PART is ON, but not all is here: the part", text)


class Wheel(FolderTest):
    def test_it_opens_a_run_in_a_venv(self):
        """Without a network; from a copy of the sources, beside which setuptools builds."""
        shutil.copytree(os.path.join(SOURCE, "analysis"), self.at("analysis"),
                        ignore=shutil.ignore_patterns("build", "*.egg-info"))
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        done([*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", self.at("dist"),
              "./analysis"], self.folder)
        wheel, = os.listdir(self.at("dist"))
        self.assertRegex(wheel, r"^triseg-\d+\.\d+\.\d+-py3-none-any\.whl$")
        done([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", self.at("venv")], self.folder)
        done([*pip, "--python", self.at("venv/bin/python"), "install", "--no-index",
              "--no-deps", self.at("dist", wheel)], self.folder)
        done([os.environ["TRISEG_PROGRAM"], *quick("--out", self.at("out"))], self.folder, environment())
        shutil.rmtree(self.at("analysis"))
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        run = run_file(self.at("out"))
        script = "import sys, triseg; print(triseg.__file__); print(len(triseg.Run(sys.argv[1]).episodes))"
        module, episodes = done([self.at("venv/bin/python"), "-c", script, run], self.folder, variables).splitlines()
        self.assertTrue(module.startswith(self.at("venv")), module)
        self.assertEqual(episodes, "192")
        self.assertIn("lenet5", done([self.at("venv/bin/triseg-table"), run], self.folder, variables))
        done([self.at("venv/bin/triseg-report"), run, "-o", self.at("page.html")], self.folder, variables)
        self.assertGreater(os.path.getsize(self.at("page.html")), 300_000)  # D3 is in it


if __name__ == "__main__":
    unittest.main()
