"""What the benchmarks share."""
import contextlib
import io
import os
import shutil
import subprocess
import sys
import unittest
from unittest import mock

SOURCE = os.environ["TRISEG_SOURCE_DIR"]
sys.dont_write_bytecode = True
sys.path.append(os.path.join(SOURCE, "bench"))
import common  # noqa: E402  behind its folder
from triseg import Error  # noqa: E402  where common found it

BARE = {name: value for name, value in os.environ.items() if not name.startswith("OMPI_")}


class Common(unittest.TestCase):
    def environment(self, **more):
        with mock.patch.dict(os.environ, BARE | more, clear=True):
            return common.mpi_environment()

    def test_mpirun_starts_more_ranks_than_cores_without_a_word(self):
        done = subprocess.run(["mpirun", "-n", str(os.cpu_count() + 1), "true"], env=self.environment(),
                              capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_environment_is_that_of_the_scripts(self):
        added = {name: value for name, value in self.environment().items() if BARE.get(name) != value}
        self.assertEqual({name for name in added if not name.startswith("OMPI_")}, set())
        self.assertEqual(added["OMPI_MCA_hwloc_base_binding_policy"], "none")
        self.assertEqual("OMPI_MCA_plm_rsh_agent" in added, not (shutil.which("ssh") or shutil.which("rsh")))
        self.assertEqual("OMPI_ALLOW_RUN_AS_ROOT" in added, os.geteuid() == 0)
        chosen = self.environment(OMPI_MCA_hwloc_base_binding_policy="core", TRISEG_TEST="two\nlines")
        self.assertEqual((chosen["OMPI_MCA_hwloc_base_binding_policy"], chosen["TRISEG_TEST"]), ("core", "two\nlines"))

    def test_processes_that_fail_end_the_program(self):
        self.assertEqual(common.checked(["printf", "caf\\351"]).stdout, "caf\ufffd")
        with contextlib.redirect_stderr(io.StringIO()) as printed, self.assertRaisesRegex(Error, "exit status 3$"):
            common.checked(["sh", "-c", "echo out; echo why >&2; exit 3"])
        self.assertEqual(printed.getvalue(), "out\nwhy\n")
        with self.assertRaisesRegex(Error, "^no-such-program: No such file"):
            common.checked(["no-such-program"])


if __name__ == "__main__":
    unittest.main()
