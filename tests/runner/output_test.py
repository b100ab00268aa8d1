"""What reaches standard output, the terminal and the files of a finished run, and what is said when it does not."""
import os
import re
import stat
import subprocess

from program import PROGRAM, ProgramTest, environment, quick, result_file, run, run_file


class Output(ProgramTest):
    def setUp(self):
        super().setUp()
        self.search("a")
        self.result, self.run_file = result_file(self.out("a")), run_file(self.out("a"))

    def commands(self):
        return [["--help"], ["--version"], ["search", "--help"], ["validate", self.run_file], ["validate", "--schema"],
                ["evaluate", self.result, "--format", "json", "--threads", "2"], ["evaluate", self.result],
                ["pick", self.run_file, "0", "--out", self.out("picked.json")], ["doctor", "--model", "lenet5"],
                quick("--out", self.out("a"))]

    def test_a_full_or_closed_standard_output_is_an_error(self):
        for arguments in self.commands():
            for redirection in ("> /dev/full", ">&-"):
                with self.subTest(arguments=arguments[:2], redirection=redirection):
                    if os.path.exists(self.out("picked.json")):
                        os.remove(self.out("picked.json"))
                    done = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", PROGRAM] + arguments,
                                          env=environment(), capture_output=True, text=True, timeout=120)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn("triseg: error: cannot write to standard output: ", done.stderr)
                    self.assertNotIn("Traceback", done.stderr)

    def test_score_ends_when_nobody_can_read_its_answers(self):
        done = subprocess.run(f"exec {PROGRAM} score --model lenet5 --batch-size 16 --calib-batches 4 > /dev/full < "
                              "/dev/null", shell=True,
                              env=environment(), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot write to standard output: No space left on device", done.stderr)

    def test_a_closed_standard_error_is_no_file_of_ours(self):
        done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", PROGRAM] + quick("--out", self.out("b")),
                              env=environment(), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.run_file))),
                         sorted(os.listdir(self.out("b") + "/tri_ppo_int_codes")))
        self.assertEqual(run(["validate", run_file(self.out("b"))]).returncode, 0)

    def test_what_is_there_and_not_its_own_is_not_overwritten(self):
        def content(path):
            with open(path, "rb") as file:
                return file.read()
        before = {path: content(path) for path in (self.result, self.run_file)}
        pipe, link, lock = self.out("pipe"), self.out("link"), self.out("c/tri_ppo_int_codes/.quick.h5.lock")
        os.mkfifo(pipe)
        os.symlink(self.run_file, link)
        os.makedirs(os.path.dirname(lock))
        os.symlink(self.result, lock)
        for arguments, named in ((["sensitivity", self.result, "--out", self.result], self.result),
                                 (["sensitivity", self.result, "--out", self.run_file], self.run_file),
                                 (["report", self.run_file, "-o", self.run_file], self.run_file),
                                 (["report", self.run_file, "-o", self.out("x.html"), "--pdf", self.result],
                                  self.result),
                                 (["report", self.run_file, "-o", pipe], pipe),
                                 (["report", self.run_file, "-o", link], link),
                                 (quick("--out", self.out("b"), "--log-json", self.run_file), self.run_file),
                                 (quick("--out", self.out("b"), "--log-json", pipe), pipe),
                                 (quick("--out", self.out("c")), lock)):
            with self.subTest(arguments):
                done = run(arguments)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, rf"^triseg(-report)?: error: [^\n]*{re.escape(named)}[^\n]*\n$")
                self.assertEqual(before, {path: content(path) for path in before})
                self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode) and os.path.islink(link))
        for arguments in (["sensitivity", self.result, "--out", self.out("s.json")],
                          ["report", self.run_file, "-o", self.out("r.html")],
                          quick("--out", self.out("d"), "--log-json", self.out("log"))):
            for _ in range(2):  # what it wrote itself it writes again
                self.assertEqual(run(arguments).returncode, 0)

    def test_a_finished_run_leaves_its_files(self):
        pareto = self.result.replace(".json", ".pareto.csv")
        times = {path: os.stat(path).st_mtime_ns for path in (self.result, self.run_file, pareto)}
        self.assertNotIn("warning", self.search("a").stderr)
        self.assertEqual(times, {path: os.stat(path).st_mtime_ns for path in times})
        with open(self.result) as file:
            text = file.read()
        with open(self.result, "w") as file:
            file.write(text.replace('"backend"', '"note": "mine",\n  "backend"'))
        with open(pareto, "a") as file:
            file.write("mine\n")
        done = self.search("a")
        for path in (self.result, pareto):
            self.assertIn(f"warning: {path} is not what this version makes of the run: it stays", done.stderr)
            with open(path) as file:
                self.assertIn("mine", file.read())
        os.remove(self.result)
        os.remove(pareto)
        self.search("a")
        with open(self.result) as file:
            self.assertEqual(file.read(), text)

    def test_a_finished_run_needs_no_place_to_write(self):
        folder = os.path.dirname(self.run_file)
        before = sorted(os.listdir(folder))
        subprocess.run(["chmod", "a-w", folder], check=True)
        # Root may write everywhere: a mount of its own that may not be written to shows it.
        mounted = subprocess.run(["unshare", "--mount", "sh", "-c", f"mount --bind '{folder}' '{folder}' && mount -o "
                                  f"remount,ro,bind '{folder}' && exec \"$@\"",
                                  "sh", PROGRAM] + quick("--out", self.out("a")), env=environment(),
                                 capture_output=True, text=True)
        if "unshare" in mounted.stderr or "mount:" in mounted.stderr:  # not allowed here
            mounted = run(quick("--out", self.out("a")))
        subprocess.run(["chmod", "u+w", folder], check=True)
        self.assertEqual(mounted.returncode, 0, mounted.stderr)
        self.assertIn("nothing to do", mounted.stderr)
        self.assertIn("student accuracy", mounted.stdout)
        self.assertEqual(sorted(os.listdir(folder)), before)


class Paths(ProgramTest):
    def test_what_no_shell_has_replaced_is_refused(self):
        for arguments in (quick("--out", "~/results"), quick("--out", "$SCRATCH/results"), quick("--out", "${SCRATCH}"),
                          quick("--teacher", "~/t.h5"), quick("--data", "$HOME/cifar"), ["evaluate", "~/r.json"],
                          ["validate", "~/r.h5"], ["evaluate", "r.json", "--teacher", "$X/t.h5"],
                          ["train", "--out", "~/m.h5"], ["repair", "r.json", "--out", "$X/r.json"]):
            with self.subTest(arguments=arguments):
                done = run(arguments, cwd=self.folder)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assert_one_line_error(done, "write the path out")
                self.assertEqual(os.listdir(self.folder), [])

    def test_a_dollar_that_names_nothing_is_a_name(self):
        done = run(quick("--out", "5$ a"), cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(stat.S_ISREG(os.stat(run_file(os.path.join(self.folder, "5$ a"))).st_mode))
