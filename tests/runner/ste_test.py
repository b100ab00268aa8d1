"""triseg search --strategy ste from outside: a search as every other, in the program that has LibTorch."""
import json
import os
import shutil
import subprocess
import unittest

import h5py

from program import PROGRAM, ProgramTest, errors_in, quick, result_file, run, run_file

STE = ["--strategy", "ste", "--threads", "1", "--engine", "reference"]


class Ste(ProgramTest):
    def test_it_is_a_search_that_every_command_reads(self):
        done = self.search("a", *STE)
        with h5py.File(run_file(self.out("a"))) as file:
            loss = file["/updates/policy_loss"][()]
            self.assertEqual((len(loss), len(file["/episodes/reward"])), (6, 12),
                             "192 draws are 12 episodes of 16 batches")
            self.assertLess(loss[-1], 0.9 * loss[0])
            # Batches of the steps and scorings, of references, of choosing the start (6 starts, 4 batches), evaluations
            self.assertEqual(file.attrs["student_images"], 192 * 16 + 6 * 16 + 6 * 4 * 16 + 2 * 433)
        with open(result_file(self.out("a"))) as file:
            self.assertEqual(json.load(file)["episodes"], 12)
        self.assertIn("student accuracy", done.stdout)
        for command in (["verify", run_file(self.out("a"))], ["show", run_file(self.out("a"))],
                        ["validate", run_file(self.out("a"))],
                        ["pick", run_file(self.out("a")), "1", "--out", self.out("picked.json")],
                        ["evaluate", result_file(self.out("a")), "--split", "validation"]):
            with self.subTest(command=command[0]):
                done = run(command)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        # What a stop divides, and two ranks do, is the same run.
        self.search("b", *STE, "--time-limit", "0.001", ranks=2, expect=85)
        with h5py.File(run_file(self.out("b"))) as file:
            self.assertLess(len(file["/episodes/reward"]), 12)
        self.search("b", *STE)
        self.assert_same_run(self.out("a"), self.out("b"))

    def test_where_it_cannot_be_done_a_line_says_so(self):
        self.assert_one_line_error(run(quick("--out", self.out("x"), *STE, "--episodes", "15")),
                                   "--episodes 15: an episode of ste is 15 steps of gradient and one scoring: "
                                   "expected at least 16")
        self.assert_one_line_error(run(quick("--out", self.out("x"), "--ste-rate", "1")), "--ste-rate: ",
                                   "--strategy ste")
        alone = os.path.join(self.folder, "triseg")
        shutil.copy(PROGRAM, alone)
        done = subprocess.run([alone, *quick("--out", self.out("x"), *STE)], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, len(errors_in(done.stderr))), (1, 1), done.stderr)
        self.assertIn("triseg-train: scripts/install-dependencies.sh --for-training", done.stderr)


if __name__ == "__main__":
    unittest.main()
