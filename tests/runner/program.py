"""Runs the real program, alone or under mpirun, for the tests of this folder."""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy

PROGRAM = os.environ["TRISEG_PROGRAM"]
SOURCE = os.environ["TRISEG_SOURCE_DIR"]
sys.path.append(os.path.join(SOURCE, "analysis"))
import compare_runs  # noqa: E402  behind its folder
FASHION_MNIST = os.environ.get("TRISEG_FASHION_MNIST", "/usr/share/datasets/fashion-mnist")

# Few images and a teacher of them, made once for all tests of this folder: most of a short search is the final scoring
# of its candidates, which takes the whole validation split.
FEW = os.environ["TRISEG_FEW_IMAGES"]
FEW_DATA, FEW_TEACHER = os.path.join(FEW, "few"), os.path.join(FEW, "lenet5-few.h5")
SEARCH_IMAGES, VALIDATION_IMAGES, TEST_IMAGES = 2167, 433, 300

# A search of half a second: LeNet-5, few episodes, few candidates to score again.
QUICK = ["search", "--model", "lenet5", "--data", FEW_DATA, "--episodes", "192", "--episodes-per-update", "32",
         "--batch-size", "16", "--calib-batches", "4", "--top-k", "2", "--eval-every", "3",
         "--result-file", "quick.json"]


def quick(*more):
    """The quick search with some of its options replaced and others added."""
    arguments = list(QUICK)
    for option in more:
        if option.startswith("--") and option in arguments:
            del arguments[arguments.index(option):arguments.index(option) + 2]
    return arguments + list(more)


def sweep_base(arguments):
    """The section [base] of a sweep's file: the options of a search like quick(), each with a value. The result file is
    left out, which a sweep names itself."""
    options = {name[2:]: value for name, value in zip(arguments[1::2], arguments[2::2]) if name != "--result-file"}
    return "[base]\n" + "".join(f"{name} = {value if value.isdigit() else json.dumps(value)}\n"
                                for name, value in options.items())


MPI_ENVIRONMENT = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
                   "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
if not (shutil.which("ssh") or shutil.which("rsh")):
    MPI_ENVIRONMENT["OMPI_MCA_plm_rsh_agent"] = "true"  # mpirun wants a program there, though it starts no other host
if os.getuid() == 0:
    MPI_ENVIRONMENT |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def command(arguments, ranks):
    """ranks None: no mpirun."""
    return ([] if ranks is None else ["mpirun", "-n", str(ranks)]) + [PROGRAM] + arguments


def environment():
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRISEG_MODELS")}
    return inherited | MPI_ENVIRONMENT | {"TRISEG_MODELS": FEW}


def run(arguments, ranks=None, cwd=None, timeout=280):
    return subprocess.run(command(arguments, ranks), cwd=cwd, env=environment(), capture_output=True, text=True,
                          errors="backslashreplace", timeout=timeout)


def run_with_one_broken_rank(arguments, broken, variables, more=()):
    """Two ranks, one of which sees other environment variables or gets more arguments."""
    parts = []
    for rank in (0, 1):
        settings = [x for k, v in variables.items() for x in ("-x", f"{k}={v}")] if rank == broken else []
        parts.append(["-n", "1"] + settings + [PROGRAM] + arguments + (list(more) if rank == broken else []))
    return subprocess.run(["mpirun"] + parts[0] + [":"] + parts[1], env=environment(), capture_output=True, text=True,
                          timeout=60)


def default_signals():
    """In a new process: Ctrl-C is not ignored, as it is in what a shell starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(arguments, ranks=None, cwd=None, mpirun=(), prepare=default_signals):
    """mpirun: more arguments for it. prepare: called in the new process."""
    words = command(arguments, ranks)
    return subprocess.Popen(words[:1] + list(mpirun) + words[1:] if mpirun else words, cwd=cwd, env=environment(),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)


def children(pid):
    """Processes running the program below `pid`, lowest pid first."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            if parent == pid and os.readlink(f"/proc/{entry}/exe") == os.path.realpath(PROGRAM):
                found.append(int(entry))
        except OSError:
            continue
    return sorted(found)


def is_running(pid):
    """False of a process that has ended, whether somebody has waited for it or not."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def wait_for_end(pids, seconds=60):
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)):
        if time.monotonic() > deadline:
            raise AssertionError(f"of the processes {pids} some still run after {seconds} s")
        time.sleep(0.01)


def rank_of(pid):
    """The rank that Open MPI has given to a process."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        return int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read())[1])


def send(pid, number):
    """Sends a signal to a process that may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(pid):
    """Ends a process that may have ended already, or be stopped."""
    send(pid, signal.SIGKILL)


def errors_in(log):
    return [line for line in log.splitlines() if line.startswith("triseg: error: ")]


def run_file(folder, name="quick"):
    return os.path.join(folder, "tri_ppo_int_codes", name + ".h5")


def result_file(folder, name="quick"):
    return os.path.join(folder, "tri_ppo_int_codes", name + ".json")


def episodes_in(path):
    """Episodes in a run file, 0 while there is none. Every file ever seen must be whole: h5py opens and reads it."""
    if not os.path.exists(path):
        return 0
    with h5py.File(path, "r") as file:
        return len(file["/episodes/reward"][()])


def passed(file, tmax):
    """The share of the sites' activations above tmax, (sites) or (students, sites)."""
    histogram = file["/sites/histogram"][()].astype(float)
    above = 1 - histogram.cumsum(axis=1) / histogram.sum(axis=1, keepdims=True)
    share = numpy.take_along_axis(above.T, numpy.atleast_2d(tmax).astype(int), axis=0)
    return (share * histogram.sum(axis=1)).sum(axis=1) / histogram.sum()


def wait_for_episodes(path, count, process, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if episodes_in(path) >= count:
            return
        if process.poll() is not None:
            raise AssertionError(f"ended before {count} episodes: {process.communicate()[1]}")
        time.sleep(0.02)
    raise AssertionError(f"no {count} episodes in {seconds} s")


def held(begin, ready, unfinished):
    """A process of begin() and those of its ranks, stopped where ready() and unfinished() are true, however busy the
    machine
    is: one that has got further by then is ended, and another begun. A signal that is sent to it surely meets it at
    work."""
    for _ in range(20):
        process = begin()
        while not ready():
            if process.poll() is not None:
                raise AssertionError(f"ended too early: {process.communicate()[1]}")
            time.sleep(0.005)
        pids = children(process.pid) or [process.pid]
        for pid in pids:
            send(pid, signal.SIGSTOP)
        if process.poll() is None and unfinished():
            return process, pids
        for pid in [*pids, process.pid]:
            end(pid)
        process.communicate()
    raise AssertionError("got too far twenty times")


def let_go(pids):
    for pid in pids:
        send(pid, signal.SIGCONT)


def write_few_images(folder, train, test, relabel=lambda label: label):
    """The first images of Fashion-MNIST as a folder of their own."""
    os.mkdir(folder)
    for part, count in (("train", train), ("t10k", test)):
        for kind, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            source = os.path.join(FASHION_MNIST, f"{part}-{kind}-ubyte")
            opened = open(source, "rb") if os.path.exists(source) else gzip.open(source + ".gz")
            with opened as file:
                content = bytearray(file.read(header + count * size))
            content[4:8] = count.to_bytes(4, "big")
            if size == 1:
                content[header:] = bytes(relabel(label) for label in content[header:])
            with open(os.path.join(folder, f"{part}-{kind}-ubyte"), "wb") as file:
                file.write(content)


class ProgramTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="triseg-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def out(self, name):
        return os.path.join(self.folder, name)

    def search(self, name, *more, ranks=None, expect=0):
        done = run(quick("--out", self.out(name), *more), ranks)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def hold(self, name, after, total, *more, ranks=None):
        """A quick search (held) whose file holds `after` episodes or more, and has an iteration and more to go until
        `total`."""
        path = run_file(self.out(name))

        def begin():
            shutil.rmtree(self.out(name), ignore_errors=True)
            return start(quick("--out", self.out(name), *more), ranks)
        return held(begin, lambda: os.path.exists(path) and episodes_in(path) >= after,
                    lambda: episodes_in(path) < total - 32)

    def results_of(self, name):
        """The bytes of a quick search's results and fronts, by their names."""
        folder = os.path.dirname(result_file(self.out(name)))
        found = {}
        for file in os.listdir(folder):
            if file.endswith((".json", ".csv")):
                with open(os.path.join(folder, file), "rb") as opened:
                    found[file] = opened.read()
        return found

    def assert_equal_files(self, a, b):
        """Two run files, by analysis/compare_runs.py."""
        self.assertEqual(list(compare_runs.differences(compare_runs.contents(a), compare_runs.contents(b))), [])

    def assert_same_run(self, a, b):
        self.assert_equal_files(run_file(a), run_file(b))
        with open(result_file(a), "rb") as x, open(result_file(b), "rb") as y:
            self.assertEqual(x.read(), y.read())

    def assert_one_line_error(self, done, *fragments):
        self.assertNotEqual(done.returncode, 0, done.stdout)
        lines = errors_in(done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertEqual(done.stderr.strip(), lines[0])
        for fragment in fragments:
            self.assertIn(fragment, lines[0])


def main():
    """Makes FEW_DATA and FEW_TEACHER."""
    shutil.rmtree(FEW, ignore_errors=True)
    os.makedirs(FEW)
    write_few_images(FEW_DATA, SEARCH_IMAGES + VALIDATION_IMAGES, TEST_IMAGES)
    sys.exit(subprocess.run([PROGRAM, "train", "--model", "lenet5", "--data", FEW_DATA, "--epochs", "5",
                             "--qat-epochs", "1", "--out", FEW_TEACHER]).returncode)


if __name__ == "__main__":
    main()
