"""Which program runs: subcommands, and programs beside triseg."""
import itertools
import os
import re
import shutil
import subprocess
import unittest

from program import PROGRAM, ProgramTest, environment, run

OWN = ("search, sweep, evaluate, sensitivity, analyze, score, train, repair, import, pick, validate, verify, replay, "
       "compare, show, doctor, completion")



class Subcommands(ProgramTest):
    def test_an_unknown_one_is_an_error_whatever_follows(self):
        for arguments in (["export"], ["export", "--help"], ["export", "-h"], ["export", "--version"],
                          ["Search", "--help"], ["", "--help"], ["export", "search", "--help"]):
            with self.subTest(arguments):
                done = run(arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assert_one_line_error(done, f"expected a subcommand, one of {OWN}", f"found '{arguments[0]}'")

    def test_the_version_says_which_build_it_is(self):
        done = run(["--version"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^triseg [\d.]+, build [0-9a-f]{16}, little-endian; commit "
                         r"([0-9a-f]{12}|unknown); \w+ [\d.]+; engines (\w+, )*reference\n$")

    def test_help_is_a_word_too(self):
        for words in ([], ["search"], ["sweep", "status"], ["train"]):
            asked, shown = run(["help", *words]), run([*words, "--help"])
            self.assertEqual((asked.returncode, asked.stdout), (0, shown.stdout), words)
        self.assert_one_line_error(run(["help", "surch"]), "did you mean 'search'?")

    def test_what_is_nearly_right_is_named(self):
        for arguments, fragments in ((["sweep", "statis"], ["'statis'", "did you mean 'status'?"]),
                                     (["sweep", "statis", "."], ["'statis'", "did you mean 'status'?"]),
                                     (["--verison"], ["unknown option '--verison': did you mean '--version'?"]),
                                     (["evaluate", "a.json", "--format", "xml"],
                                      ["--format: expected one of table, json, found 'xml'"]),
                                     (["compare", "a.h5", "b.h5", "--split", "foo"],
                                      ["--split: expected one of search, validation, test, found 'foo'"]),
                                     (["analyze", "coverage", "a.json", "--split", "foo"],
                                      ["--split: expected one of search"]),
                                     (["replay", "a.h5", "0", "--format", "xml"], ["--format: expected one of"]),
                                     (["sensitivity", "a.json", "--format", "xml"], ["--format: expected one of"])):
            with self.subTest(arguments):
                done = run(arguments)
                self.assertEqual(done.returncode, 2)
                self.assert_one_line_error(done, *fragments)

    def test_help_fits_a_screen_and_has_examples(self):
        names = [name for name in OWN.split(", ")] + ["sweep status", "sweep top", "sweep collect",
                                                      "analyze percentiles", "analyze variance", "analyze coverage"]
        for name in names:
            with self.subTest(name):
                done = run([*name.split(), "--help"])
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                lines = done.stdout.splitlines()
                self.assertLessEqual(max(map(len, lines)), 100)
                self.assertLess(len(lines), 60)
                examples = lines[lines.index("Examples:") + 1:]
                self.assertGreaterEqual(len(examples), 2)
                for example in examples:
                    words = example.partition("triseg ")[2].split()
                    command = list(itertools.takewhile(str.isalpha, words))
                    shown = run([*command,
                                 "--help-all" if command[:1] in (["search"], ["doctor"]) else "--help"]).stdout
                    for option in filter(lambda word: word.startswith("--"), words):
                        self.assertRegex(shown, rf"(?m)^  {option}\b")
        everything = run(["search", "--help-all"]).stdout
        self.assertIn("--warm-start-tolerance", everything)
        self.assertNotIn("--warm-start-tolerance", run(["search", "--help"]).stdout)

    def test_help_is_given_where_it_is_asked_for(self):
        for arguments, words in ((["--help"], ["search", "train", "doctor"]), (["search", "--help"], ["--episodes"]),
                                 (["train", "--help"], ["--qat-epochs"]), (["repair", "--help"], ["--bias-lr"])):
            with self.subTest(arguments):
                done = run(arguments)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for word in words:
                    self.assertIn(word, done.stdout)


class Companions(ProgramTest):
    """A copy of triseg alone in a folder, so that the test says what lies beside it."""

    def setUp(self):
        super().setUp()
        self.program = shutil.copy(PROGRAM, self.out("triseg"))

    def place(self, name, text="#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n", mode=0o755):
        with open(self.out(name), "w") as file:
            file.write(text)
        os.chmod(self.out(name), mode)

    def triseg(self, *arguments):
        return subprocess.run([self.program, *arguments], env=environment(), capture_output=True, text=True, timeout=60)

    def test_a_program_beside_is_a_subcommand_with_its_own_arguments(self):
        self.place("triseg-export")
        done = self.triseg("export", "--help", "a b", "", "--seed", "3")
        self.assertEqual((done.stdout, done.returncode), ("--help\na b\n\n--seed\n3\n", 7), done.stderr)
        self.assertIn("triseg-export", self.triseg("--help").stdout)
        self.assert_one_line_error(self.triseg("exports"), f"one of {OWN}, export; found 'exports'")

    def test_what_is_no_program_is_no_subcommand(self):
        self.place("triseg-notes", mode=0o644)
        self.place("triseg-old.bak")
        self.place("triseg-")
        os.mkdir(self.out("triseg-folder"))
        for name in ("notes", "old.bak", "folder"):
            done = self.triseg(name)
            self.assertEqual(done.returncode, 2)
            self.assert_one_line_error(done, f"one of {OWN}; found '{name}'")

    def test_a_taken_name_stays_what_it_is(self):
        self.place("triseg-search")
        self.assertIn("--episodes", self.triseg("search", "--help").stdout)

    def test_train_and_repair_are_those_of_triseg_train(self):
        for name in ("train", "repair"):
            done = self.triseg(name, "--help")
            self.assertEqual(done.returncode, 1)
            self.assert_one_line_error(done, f"there is no {self.out('triseg-train')}",
                                       "scripts/install-dependencies.sh --for-training")
        self.place("triseg-train")
        self.assertEqual(self.triseg("repair", "--seed", "3").stdout, "repair\n--seed\n3\n")


if __name__ == "__main__":
    unittest.main()
