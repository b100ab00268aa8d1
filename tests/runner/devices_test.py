"""triseg doctor, and what needs GPUs: the cuda engine and the NCCL transport in the real program."""
import os
import re
import signal
import tempfile
import unittest

from program import (ProgramTest, children, episodes_in, end, errors_in, quick, rank_of, run, run_file,
                     run_with_one_broken_rank, start, wait_for_episodes)


def gpus():
    """GPUs that the ranks of a search would use: 0, 1 or 2."""
    with tempfile.TemporaryDirectory() as out:
        done = run(["doctor", "--model", "lenet5", "--engine", "reference", "--out", out], ranks=2)
    if done.returncode != 0:
        raise AssertionError("doctor fails, so nothing can be said of GPUs: " + done.stdout + done.stderr)
    seen = set(re.findall(r"^rank \d+: .* GPU (\d+):", done.stdout, re.M))
    if not seen and os.environ.get("TRISEG_REQUIRE_GPU"):
        raise AssertionError("TRISEG_REQUIRE_GPU is set, but the program sees no GPU")
    return len(seen)


class Doctor(ProgramTest):
    def doctor(self, *arguments, ranks=None):
        return run(["doctor", "--model", "lenet5", "--out", self.out("results"), *arguments], ranks)

    def test_says_what_a_search_would_run_on(self):
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout,
                         r"CUDA: (compiled with [\d.]+, (no driver|driver for [\d.]+)|not in this build); NCCL: ")
        self.assertRegex(done.stdout, r"ok +engine +\w+ \(auto: ")
        for fragment in ("triseg 0.", "LibTorch ", "HDF5 1.", "rank 0: host ", "self-test passed",
                         "A search would start."):
            self.assertIn(fragment, done.stdout)
        self.assertRegex(done.stdout, r"(?m)^ok +transport +local$")
        self.assertNotIn("problem", done.stdout)
        self.assertEqual(os.listdir(os.path.join(self.out("results"), "tri_ppo_int_codes")), [], "its probe is gone")

    def test_joins_the_ranks(self):
        done = self.doctor("--engine", "reference", ranks=2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("2 started, 2 joined", done.stdout)
        self.assertIn("rank 1: host ", done.stdout)
        self.assertEqual(done.stdout.count("A search would start."), 1)

    def test_finds_what_would_stop_a_search(self):
        for arguments, fragment in ((["--out", "/proc/nowhere"], "/proc/nowhere"),
                                    (["--teacher", "missing.h5"], "missing.h5"),
                                    (["--data", self.out("nowhere")], self.out("nowhere")),
                                    (["--batch-size", "999999"], "--batch-size")):
            with self.subTest(arguments=arguments):
                out = [] if "--out" in arguments else ["--out", self.out("results")]
                done = run(["doctor", "--model", "lenet5", *out, *arguments])
                self.assertEqual(done.returncode, 1, done.stdout)
                problems = [line for line in done.stdout.splitlines() if line.startswith("problem ")]
                self.assertEqual(len(problems), 1, done.stdout)
                self.assertIn(fragment, problems[0])
                self.assertIn("A search would not start.", done.stdout)

    def test_refuses_bad_options_like_a_search(self):
        self.assert_one_line_error(self.doctor("--engine", "tpu"), "--engine: expected one of auto, ", "found 'tpu'")
        self.assert_one_line_error(self.doctor("--episodes", "0"), "--episodes")


class WithoutGpu(ProgramTest):
    def setUp(self):
        super().setUp()
        if gpus() > 0:
            self.skipTest("this machine has a GPU")

    def test_what_needs_one_is_refused_in_one_line(self):
        for arguments, ranks in ((["--engine", "cuda"], None), (["--engine", "cuda"], 2), (["--transport", "nccl"], 2)):
            with self.subTest(arguments=arguments, ranks=ranks):
                done = run(quick("--out", self.out("a"), *arguments), ranks)
                self.assertNotEqual(done.returncode, 0)
                errors = errors_in(done.stderr)
                self.assertEqual(len(errors), 1, done.stderr)
                self.assertRegex(errors[0], "no GPU|expected one of|no NCCL")
                self.assertFalse(os.path.exists(run_file(self.out("a"))))


    def test_doctor_says_why_no_gpu_is_used(self):
        doctor = ["doctor", "--model", "lenet5", "--out", self.out("results")]
        done = run(doctor)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"ok +engine +(onednn|reference) \(auto: (no CUDA device|this build has no cuda)")
        self.assertNotIn("(auto", run(doctor + ["--engine", "reference"]).stdout)
        refused = run(doctor + ["--engine", "cuda"])
        self.assertNotEqual(refused.returncode, 0)
        if "expected one of" in refused.stderr:
            return  # no cuda engine in this build
        self.assertRegex(refused.stdout, r"problem +engine +cuda: no GPU can be used: ")
        self.assertNotRegex(refused.stdout, r"problem +inputs|warning +engine")


class OneGpu(ProgramTest):
    """One GPU, or the first of several."""

    def setUp(self):
        super().setUp()
        if gpus() < 1:
            self.skipTest("no GPU that the program can use")

    def test_the_cuda_engine_writes_the_bytes_of_the_reference(self):
        self.search("gpu", "--engine", "cuda")
        self.search("cpu", "--engine", "reference")
        self.assert_same_run(self.out("gpu"), self.out("cpu"))

    def test_one_rank_over_nccl_writes_the_same_bytes(self):
        self.search("alone", "--engine", "cuda")
        done = self.search("nccl", "--engine", "cuda", "--transport", "nccl", ranks=1)
        self.assertIn("transport nccl", done.stderr)
        self.assert_same_run(self.out("alone"), self.out("nccl"))

    def test_ranks_that_share_a_gpu_write_the_same_bytes(self):
        if gpus() > 1:
            return  # the ranks would have one each: TwoGpus
        self.search("alone", "--engine", "cuda")
        self.search("both", "--engine", "cuda", ranks=2)
        self.assert_same_run(self.out("alone"), self.out("both"))
        for broken in (0, 1):
            with self.subTest(broken=broken):
                done = run_with_one_broken_rank(quick("--out", self.out(f"b{broken}")), broken,
                                                {"CUDA_VISIBLE_DEVICES": ""})
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assert_same_run(self.out("alone"), self.out(f"b{broken}"))
        refused = run(quick("--out", self.out("c"), "--engine", "cuda", "--transport", "nccl"), 2)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("ranks 0 and 1 share a GPU", refused.stderr)


class TwoGpus(ProgramTest):
    def setUp(self):
        super().setUp()
        if gpus() < 2:
            self.skipTest("fewer than two GPUs that the program can use")

    def test_mpi_and_nccl_write_the_same_bytes(self):
        self.search("alone", "--engine", "cuda")
        for chosen, joins in (("auto", "mpi"), ("nccl", "nccl")):
            done = self.search(chosen, "--engine", "cuda", "--transport", chosen, ranks=2)
            self.assertIn(f"transport {joins}: 2 ranks", done.stderr)
            self.assert_same_run(self.out("alone"), self.out(chosen))

    def test_doctor_says_what_joins_them(self):
        done = run(["doctor", "--model", "lenet5", "--out", self.out("results"), "--transport", "nccl"], 2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ok +transport +nccl$")
        self.assertRegex(done.stdout, r"(?s)rank 0: .* GPU 0: .*rank 1: .* GPU 1: ")
        self.assertIn("A search would start.", done.stdout)

    def test_a_rank_that_hangs_ends_all_with_a_line_that_names_it(self):
        process = start(quick("--out", self.out("a"), "--episodes", "10000000", "--checkpoint-every", "0",
                              "--engine", "cuda", "--transport", "nccl", "--eval-every", "0", "--rank-timeout", "20"),
                        2)
        wait_for_episodes(run_file(self.out("a")), 32, process)
        hanging = next(pid for pid in children(process.pid) if rank_of(pid) == 1)
        self.addCleanup(end, hanging)
        os.kill(hanging, signal.SIGSTOP)
        _, log = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 1, log)
        self.assertEqual(len(errors_in(log)), 1, log)
        self.assertRegex(errors_in(log)[0], r"(MPI|NCCL): \w+: (rank 1 on host \S+|another rank) did not answer within "
                         r"20 s \(iteration \d+\)")
        self.assertGreater(episodes_in(run_file(self.out("a"))), 0)


if __name__ == "__main__":
    unittest.main()
