"""What a person at a terminal meets: the live view, colours, completion in the real shells."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import unittest

from program import PROGRAM, ProgramTest, environment, quick, result_file, run, run_file

ESCAPE = "\x1b"
# The variables of one who sits at a terminal, whatever the tests are run from.
AT_A_TERMINAL = {"TERM": "xterm", "NO_COLOR": ""}


def set_size(terminal, columns, rows=24):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminal:
    """A terminal that a program is started on: its stderr, or all of it."""

    def __init__(self, words, columns=100, variables=None, interactive=False, cwd=None):
        self.parent, child = pty.openpty()
        set_size(child, columns)
        self.text = b""
        self.process = subprocess.Popen(words, env=environment() | AT_A_TERMINAL | (variables or {}), stderr=child,
                                        cwd=cwd, stdin=child if interactive else subprocess.DEVNULL,
                                        stdout=child if interactive else subprocess.DEVNULL, start_new_session=True)
        os.close(child)

    def read_until(self, text, seconds=60):
        """False at the end of what is written."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.text:
            if not self.read_some(deadline - time.monotonic()):
                return False
        return True

    def read_some(self, seconds):
        if not select.select([self.parent], [], [], max(seconds, 0))[0]:
            return False
        try:
            piece = os.read(self.parent, 65536)
        except OSError:  # how a terminal tells that the other end is closed
            return False
        self.text += piece
        return piece != b""

    def write(self, text):
        os.write(self.parent, text.encode())

    def rest(self):
        """All that it has written, once it has ended."""
        while self.read_some(60):
            pass
        os.close(self.parent)
        self.exit_code = self.process.wait()
        return self.text.decode()


class Screen:
    """What stands on a terminal, row by row, from all that was written to it; rows that scrolled away included."""

    def __init__(self, text):
        self.rows, self.row, self.column = [""], 0, 0
        self.views = []  # the rows of every live view, as it was drawn
        text = re.sub(r"\x1b(\[\d*)?$", "", text)  # half a code, of which the rest has not come yet
        for piece in re.findall(r"\x1b\[\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+|\x1b", text):
            self.take(piece)

    def take(self, piece):
        code = re.fullmatch(r"\x1b\[(\d*)([A-Za-z])", piece)
        if piece == "\r":
            self.column = 0
        elif piece == "\n":
            self.row += 1
            self.rows += [""] * (self.row + 1 - len(self.rows))
        elif not code:
            assert not piece.startswith(ESCAPE), piece
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[:self.column] + piece + line[self.column + len(piece):]
            self.column += len(piece)
        elif code[2] == "A":
            self.views.append(self.rows[self.row - int(code[1]):self.row + 1])
            self.row -= int(code[1])
        elif code[2] == "J":
            del self.rows[self.row + 1:]
            self.rows[self.row] = self.rows[self.row][:self.column]
        else:
            assert code[2] == "m", piece

    def lines(self):
        return [row for row in self.rows if row]


def masked(lines):
    """Without numbers and what differs in length with them."""
    return [re.sub(r"[-+]?\d[\d.:]*", "0", line) for line in lines]


class LiveView(ProgramTest):
    def assert_fits(self, views, columns):
        for view in views:
            self.assertLessEqual(len(view), 4, view)
            for line in view:
                self.assertLess(len(line), columns)

    def test_is_drawn_in_place_within_the_width_and_leaves_plain_lines(self):
        plain = self.search("plain", "--episodes", "640")
        self.assertNotIn(ESCAPE, plain.stderr + plain.stdout)
        for columns in (60, 100):
            with self.subTest(columns=columns):
                terminal = Terminal([PROGRAM, *quick("--out", self.out(str(columns)), "--episodes", "640")], columns)
                screen = Screen(terminal.rest())
                self.assertEqual(terminal.exit_code, 0)
                self.assert_fits(screen.views, columns)
                searches = [view for view in screen.views if "episodes" in view[0]]
                self.assertGreater(len(searches), 1)
                for view in searches:
                    self.assertRegex(view[0], r"^\[#*\.*\] \d+ %, \d+/640 episodes$")
                    self.assertRegex(", ".join(view[1:]),
                                     r"^[\d.]+ episodes/s, ETA \d+:\d\d \+ final scoring, gain [+-][\d.]+, "
                                     r"best [+-][\d.]+, (validation KD [\d.]+, )?scoring \d+ %, learning \d+ %$")
                self.assertIn("validation KD", ", ".join(searches[-1]))
                self.assertEqual(masked(screen.lines()), masked(plain.stderr.splitlines()))
                self.assertIn("episodes: 640/640, ", "\n".join(screen.lines()))

    def test_follows_a_window_and_ends_in_order_when_it_is_stopped(self):
        terminal = Terminal([PROGRAM, *quick("--out", self.out("a"), "--episodes", "1000000")], 100)
        self.assertTrue(terminal.read_until("episodes/s"))
        for columns in (60, 30, 80):
            os.kill(terminal.process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
            while terminal.read_some(0):
                pass
            set_size(terminal.parent, columns)
            before = terminal.text
            os.kill(terminal.process.pid, signal.SIGCONT)
            if columns == 30:  # too narrow: a line takes its place, others would follow every 30 s
                while not re.search(r"episodes: .*\n", terminal.text[len(before):].decode()):
                    self.assertTrue(terminal.read_some(60))
                continue
            while len(views := Screen(terminal.text[len(before):].decode(errors="ignore").lstrip("\r")).views) < 3:
                self.assertTrue(terminal.read_some(60))
            self.assert_fits(views[1:], columns)
        os.kill(terminal.process.pid, signal.SIGTERM)
        screen = Screen(terminal.rest())
        self.assertEqual(terminal.exit_code, 85)
        lines = screen.lines()
        at = lines.index("triseg: stopping after this iteration; Ctrl-C ends it at once")
        self.assertRegex("\n".join(masked(lines[at + 1:])),
                         r"^episodes: 0/0, 0 episodes/s, ETA 0 \+ final scoring, .*\n0 Best gain of an episode: .*\n"
                         r"0 Seconds: .*\n0 Stopped by a signal at episode 0 of 0;.*$")
        self.assertNotIn("[#", "\n".join(lines))

    def test_there_is_none_where_the_terminal_is_dumb_or_nothing_is_to_be_said(self):
        for name, variables, more in (("dumb", {"TERM": "dumb"}, []), ("quiet", {}, ["--quiet"])):
            terminal = Terminal([PROGRAM, *quick("--out", self.out(name), *more)], 100, variables)
            text = terminal.rest()
            self.assertEqual(terminal.exit_code, 0)
            self.assertNotIn(ESCAPE, text)
            self.assertEqual("episodes: 192/192" in text, name == "dumb")

    def test_several_ranks_say_how_busy_they_are(self):
        log = self.search("a", "--progress-every", "0.001", ranks=2).stderr
        self.assertRegex(log, r"episodes: 192/192, .*, ranks busy \d+ % \(least \d+ %\)")
        self.assertNotIn(ESCAPE, log)
        for mean, least in re.findall(r"ranks busy (\d+) % \(least (\d+) %\)", log):
            self.assertTrue(0 <= int(least) <= int(mean) <= 100)
            self.assertGreater(int(mean), 0)

    def test_a_sweep_shows_its_runs_and_its_searches_nothing(self):
        words = quick("--episodes", "64", "--top-k", "1")[1:]
        with open(self.out("s.toml"), "w") as file:
            file.write("seeds = 4\n[base]\n")
            for name, value in zip(words[::2], words[1::2]):
                if name != "--result-file":
                    file.write(f"{name[2:]} = " + (value if value.isdigit() else f'"{value}"') + "\n")
        terminal = Terminal([PROGRAM, "sweep", self.out("s.toml"), "--out", self.out("sweep"), "--runs-at-once", "2"],
                            60)
        screen = Screen(terminal.rest())
        self.assertEqual(terminal.exit_code, 0, screen.lines())
        self.assert_fits(screen.views, 60)
        shown = [" ".join(view) for view in screen.views]
        self.assertRegex(shown[0], r"^\[\.+\] 0 %, 0/4 runs 0 running, ETA \?$")
        self.assertTrue(any("0/4 runs 2 running" in view for view in shown), shown)
        self.assertTrue(any(re.search(r"#\.+\] 50 %, 2/4 runs [012] running, ETA \d+:\d\d$", view) for view in shown),
                        shown)
        lines = "\n".join(screen.lines())
        self.assertEqual(sorted(re.findall(r"\[(\d)/4\]", lines)), ["1", "2", "3", "4"])
        self.assertRegex(lines.splitlines()[-1], r"Sweep .*: 4 of 4 runs finished$")
        self.assertNotIn("episodes", lines)
        self.assertNotRegex(lines, r"\[[#.]+\]")


class Colours(ProgramTest):
    def test_errors_and_warnings_have_some_on_a_terminal_unless_they_are_unwanted(self):
        self.search("a")
        with open(result_file(self.out("a")), "a") as file:
            file.write("\n")
        for arguments, code, words in ((["search", "--modle", "alexnet"], 31, "triseg: error:"),
                                       (quick("--out", self.out("a")), 33, "warning: ")):
            for variables, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
                with self.subTest(words, variables=variables):
                    text = Terminal([PROGRAM, *arguments], 100, variables).rest()
                    self.assertIn(words, text)
                    self.assertEqual(re.search(rf"\x1b\[{code}m[^\x1b]*{words}[^\x1b\n]*\x1b\[0m", text) is not None,
                                     wanted, text)
                    self.assertEqual(f"{ESCAPE}[{code}m" in text, wanted)
            self.assertNotIn(ESCAPE, run(arguments).stderr)


class Completion(ProgramTest):
    def setUp(self):
        super().setUp()
        self.bin = os.path.dirname(PROGRAM)

    def bash(self, *lines):
        """What each line, words with the last one to be completed, is completed to: sets of words."""
        script = f'source <("{PROGRAM}" completion bash)\n'
        for words in lines:
            quoted = " ".join("'" + word + "'" for word in words)
            script += (f"COMP_WORDS=('{PROGRAM}' {quoted}); COMP_CWORD={len(words)}; _triseg; "
                       "printf '%s\\n' \"${COMPREPLY[@]}\" ---\n")
        done = subprocess.run(["bash", "--norc", "--noprofile", "-c", script], cwd=self.folder, env=environment(),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [set(filter(None, block.split("\n"))) for block in done.stdout.split("---\n")[:-1]]

    def test_it_knows_what_the_program_declares(self):
        os.mkdir(self.out("data"))
        open(self.out("dots.toml"), "w").close()
        names = re.findall(r"^  ([a-z]+) ", run(["--help"]).stdout.split("Subcommands:")[1], re.MULTILINE)
        commands = [[name] for name in names if name not in ("train", "report", "table")] + [["sweep", "top"],
                                                                                             ["analyze", "variance"]]
        strategies, engines = (re.search("expected one of ([^;]*), found",
                                         run(["search", option, "nope"]).stderr)[1].split(", ")
                               for option in ("--strategy", "--engine"))
        cases = {
            ("",): set(names), ("sea",): {"search"}, ("search", "--strat"): {"--strategy"},
            ("search", "--seed", "1", "--strategy", ""): set(strategies), ("search", "--engine", "=", ""): set(engines),
            ("search", "--engine", "=", "ref"): {"reference"}, ("search", "--seed", ""): set(), ("search", ""): set(),
            ("search", "--out", "d"): {"data", "dots.toml"}, ("search", "--config", "=", "do"): {"dots.toml"},
            ("search", "--config", "configs/a"): {f"configs/alexnet{rest}.toml"
                                                  for rest in ("", "-quick", "-five-sites")},
            ("search", "--data", ""): {"fashion-mnist", "shapes", "data", "dots.toml"},
            ("search", "--model", "lene"): {"lenet5"}, ("sweep", ""): {"status", "top", "collect", "data", "dots.toml"},
            ("sweep", "dots.toml", "sta"): set(), ("sweep", "status", "da"): {"data"},
            ("sweep", "top", "data", "--sort", "k"): {"kd"},
            ("pick", "dots.toml", ""): set(), ("validate", "dots.toml", "do"): {"dots.toml"},
            ("table", "do"): {"dots.toml"}, ("evaluate", "dots.toml", "--split", "val"): {"validation"},
            ("completion", ""): {"bash", "zsh"}, ("nothing", ""): set(),
            ("train", "--qat"): {"--qat-epochs", "--qat-lr"}, ("repair", "--repair", "="): {"channel", "layer"},
        }
        options = [(*command, "--") for command in commands if command != ["repair"]]
        found = self.bash(*cases, *options)
        for (words, expected), answer in zip(cases.items(), found):
            with self.subTest(words):
                self.assertEqual(answer, expected)
        for words, answer in zip(options, found[len(cases):]):
            with self.subTest(words):
                shown = run([*words[:-1], "--help-all"])
                shown = shown if shown.returncode == 0 else run([*words[:-1], "--help"])
                declared = set(re.findall(r"^  (--[\w-]+)", shown.stdout, re.MULTILINE))
                self.assertEqual(answer - {"--help", "--help-all"}, declared)

    def completed(self, shell, prepare, typed):
        """The line that is typed into a shell of its own, after its Tabs."""
        terminal = Terminal(shell, 200, {"PATH": f"{self.bin}:{os.environ['PATH']}", "PS1": "", "INPUTRC": "/dev/null"},
                            interactive=True, cwd=self.folder)
        terminal.write(prepare + "; echo prepared''-here\n")
        self.assertTrue(terminal.read_until("prepared-here"))
        terminal.write(f"{typed}\x01echo '<' \x05 '>'\n")
        self.assertTrue(terminal.read_until(">\r\n"), terminal.text)
        terminal.write("exit\n")
        return re.findall(r"[\r\n]< (.*?) *>\r\n", terminal.rest())[-1]

    def test_the_shells_complete_what_is_typed(self):
        open(self.out("some file.toml"), "w").close()
        shells = {"bash": (["bash", "--norc", "--noprofile", "-i"], "source <(triseg completion bash)"),
                  "zsh": (["zsh", "-f", "-i"],
                          "bindkey -e; autoload -Uz compinit; compinit -u -D; source <(triseg completion zsh)")}
        for name, (shell, prepare) in shells.items():
            with self.subTest(name):
                if not shutil.which(name):
                    self.skipTest(f"no {name}: scripts/install-dependencies.sh --for-tests")
                self.assertEqual(self.completed(shell, prepare,
                                                "triseg sea\t--strategy cm\t--engine=refe\t--config so\t"),
                                 "triseg search --strategy cma-es --engine=reference --config some file.toml")


class ExitCodes(ProgramTest):
    def test_are_those_that_help_names(self):
        named = {}
        for command in ([], ["sweep"], ["compare"], ["validate"], ["verify"], ["doctor"]):
            text = run([*command, "--help"]).stdout
            named[" ".join(command)] = re.findall(r"^  (\d+) +\S", text.split("Exit codes:\n")[1].split("\n\n")[0],
                                                  re.MULTILINE)
        self.assertEqual(named,
                         {"": ["0", "1", "2", "3", "85"], "sweep": ["0", "1", "85"], "compare": ["0", "3"],
                          "validate": ["0", "1"], "verify": ["0", "3"], "doctor": ["0", "1"]})
        self.search("a", "--time-limit", "0.001", expect=85)
        self.search("a")
        self.search("a", "--data", self.out("nowhere"), expect=1)
        self.search("a", "--episode", "1", expect=2)
        self.search("b", "--seed", "2")
        for other, code in (("a", 0), ("b", 3)):
            done = run(["compare", run_file(self.out("a")), run_file(self.out(other)), "--files-only"])
            self.assertEqual((done.returncode, done.stderr), (code, ""))


if __name__ == "__main__":
    unittest.main()
