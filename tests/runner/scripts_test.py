"""scripts/quickstart.sh and scripts/test.sh, with stand-ins for what it calls."""
import os
import shutil
import subprocess
import tempfile
import unittest

from program import SOURCE


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.makedirs(os.path.join(self.folder, "bin"))
        shutil.copytree(os.path.join(SOURCE, "scripts"), os.path.join(self.folder, "scripts"))
        for name, text in (("scripts/install-dependencies.sh", "true"), ("bin/cmake", 'echo "$@" >> cmake.txt'),
                           ("bin/ctest", "true"), ("bin/mpirun", 'printf "%s\\n" "$@"')):
            with open(os.path.join(self.folder, name), "w") as file:
                file.write("#!/bin/bash\n" + text + "\n")
            os.chmod(os.path.join(self.folder, name), 0o755)

    def script(self, name, *arguments):
        path = os.path.join(self.folder, "bin") + ":" + os.environ["PATH"]
        return subprocess.run([os.path.join(self.folder, "scripts", name), *arguments], env=os.environ | {"PATH": path},
                              capture_output=True, text=True, check=True).stdout

    def searched_with(self, *arguments):
        return self.script("quickstart.sh", *arguments).splitlines()[3:]  # behind -n 2 PROGRAM

    def cmake_calls(self):
        with open(os.path.join(self.folder, "cmake.txt")) as file:
            return file.read().splitlines()

    def test_it_builds_the_program_alone(self):
        self.script("quickstart.sh")
        self.assertEqual(self.cmake_calls()[0], "--preset cpu")
        self.assertRegex(self.cmake_calls()[1], r"^--build --preset cpu --parallel \d+ --target triseg$")

    def test_the_tests_leave_nothing_out(self):
        self.script("test.sh")
        for option in ("TRAINER", "TESTS", "BENCHMARKS", "SLURM_TEST"):
            self.assertIn(f"-DTRISEG_{option}=ON", self.cmake_calls()[0].split())

    def test_its_configuration_gives_way_to_another(self):
        self.assertEqual(self.searched_with(), ["search", "--config", "configs/alexnet.toml"])
        self.assertEqual(self.searched_with("--seed", "2"),
                         ["search", "--config", "configs/alexnet.toml", "--seed", "2"])
        self.assertEqual(self.searched_with("--config", "a b.toml", "--seed", "2"),
                         ["search", "--config", "a b.toml", "--seed", "2"])
        self.assertEqual(self.searched_with("--config=a.toml"), ["search", "--config=a.toml"])


if __name__ == "__main__":
    unittest.main()
