#!/usr/bin/env python3
"""Runs triseg's strategies and Optuna's samplers at equal budgets, a JSON file a run; then prints the table of
table.py.

    bench/quality/run.py --out FOLDER [--build build/cpu] [--jobs 2] [--threads 1] [--models alexnet lenet5]
                         [--modes ...] [--budgets 2000 10000] [--seeds 1 2 3 4 5] [--searchers ppo cma-es ...]
                         [-- options of triseg search]

The matrix is every model x mode x budget x seed x searcher. Finished runs are skipped and searches of triseg that were
interrupted continue, so the same command goes on where it stopped, and another one may add to the same folder. A new
searcher is a line in the tables below. What follows `--` is passed to every search; --seed, --episodes, --strategy,
--threads and what the searcher's own line has are run.py's.
"""
import concurrent.futures
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
import time

import table
import triseg  # where table found it
from triseg import command_line
from triseg.files import open_input

stopped = threading.Event()  # by Ctrl-C
HERE = os.path.dirname(os.path.abspath(__file__))

# Searchers that are triseg: the options of `triseg search` that make them.
TRISEG = {
    "ppo": ["--strategy", "ppo"],
    "cma-es": ["--strategy", "cma-es"],
    "coordinate": ["--strategy", "coordinate"],
    "random": ["--strategy", "random"],
    "mse": ["--strategy", "mse"],
    "ppo-original": ["--strategy", "ppo", "--warm-start", "none", "--lr", "3e-4", "--clip", "0.2",
                     "--entropy-coef", "0.01"],
}
# Searches with more than codes to choose, which run only if they are named. A searched tmax is for mode percentile,
# whose share of activations is what may pass.
VARIANTS = {
    "ppo-moments-layer": [*TRISEG["ppo"], "--repair", "layer"],
    "ppo-moments-channel": [*TRISEG["ppo"], "--repair", "channel"],
    "ppo-tmax": [*TRISEG["ppo"], "--tmax-mode", "search"],
    "cma-es-tmax": [*TRISEG["cma-es"], "--tmax-mode", "search"],
}
# Searchers that are a search of triseg and then `triseg repair` of its result: the search, and options of the repair
# beside its seed. The repair sees far more images than the budget, so these run only if they are named.
REPAIRED = {
    "ppo-repaired": ("ppo", []),
    "ppo-repaired-layer": ("ppo", ["--repair", "layer"]),
    "mse-repaired": ("mse", []),
}
# Searchers that are Optuna's: the options of optuna_search.py, and those of triseg search that change their problem.
OPTUNA = {
    "optuna-tpe": (["--sampler", "tpe", "--multivariate"], []),
    "optuna-cmaes": (["--sampler", "cma-es"], []),
}
SEARCHES = TRISEG | VARIANTS
UNLESS_NAMED = [*TRISEG, *OPTUNA]
NAMED = [*VARIANTS, *REPAIRED]
MODES = {
    "percentile": [],
    "nothing-passes": ["--tmax-mode", "fixed", "--tmax-fixed", "255"],
}


def teacher_of(options):
    """Those of the options of triseg search that name the teacher."""
    for i, option in enumerate(options):
        if option.startswith("--teacher="):
            return [option]
        if option == "--teacher":
            return options[i:i + 2]
    return []


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


class Run:
    """One cell of the matrix: its name, its command line without placement, and its file."""

    def __init__(self, o, model, mode, budget, seed, searcher):
        self.key = {"model": model, "mode": mode, "budget": budget, "seed": seed, "searcher": searcher}
        self.name = f"{model}-{mode}-{budget}-{searcher}-{seed}"
        self.path = os.path.join(o.out, self.name + ".json")
        self.problem = ["--model", model, *MODES[mode], *o.options]
        self.placement = ["--threads", str(o.threads)]
        self.repair_epochs = ["--epochs", str(o.repair_epochs)]
        self.teacher = teacher_of(o.options)
        self.seed = ["--seed", str(seed)]
        self.budget = ["--episodes", str(budget), *self.seed]
        self.program = os.path.join(o.build, "bin", "triseg")
        self.runs = os.path.join(o.out, "runs")

    def options(self):
        """What decides the outcome."""
        searcher = self.key["searcher"]
        if searcher in SEARCHES:
            return self.search_options(searcher)
        if searcher in REPAIRED:
            search, repair = REPAIRED[searcher]
            return [*self.search_options(search), "repair", *self.repair_epochs, *self.seed, *repair]
        sampler, problem = OPTUNA[searcher]
        return ["optuna_search.py", *sampler, *self.budget, "--", *problem, *self.problem]

    def search_options(self, searcher):
        """The learning curve is not used by the search and would cost images."""
        return ["search", *SEARCHES[searcher], "--eval-every", "0", *self.budget, *self.problem]

    def finished(self):
        """True if its file is there. Throws Failure if that file is of other options, whose outcome must not pass for
        this one's."""
        try:
            with open_input(self.path) as file:
                found = json.load(file)["options"]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError):
            raise triseg.Error(f"{self.path} is not a result of run.py: remove it or give another --out") from None
        if found != self.options():
            raise triseg.Error(f"{self.path} was made with other options ({' '.join(found)}): remove it or give "
                               "another --out")
        return True

    def commands(self):
        searcher = self.key["searcher"]
        if searcher in OPTUNA:
            script, *options = self.options()
            return [[sys.executable, "-B", os.path.join(HERE, script), "--program", self.program, *options,
                     *self.placement]]
        base, repair = REPAIRED.get(searcher, (searcher, []))
        commands = [[self.program, *self.search_options(base), *self.placement, "--out", self.runs,
                     "--result-file", self.name + ".json"]]
        if searcher in REPAIRED:
            commands.append([self.program, "repair", self.result(), "--out", self.result("-final"), *self.repair_epochs,
                             *self.seed, *repair, *self.teacher, *self.placement])
        return commands

    def result(self, suffix=""):
        return os.path.join(self.runs, "tri_ppo_int_codes", f"{self.name}{suffix}.json")

    def execute(self):
        """Runs it and writes its file. The reason in one line if it failed."""
        start = time.monotonic()
        # numpy's; triseg has --threads
        environment = {name: str(1) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        for command in self.commands():
            if stopped.is_set():
                return "stopped"
            done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True,
                                  errors="replace")
            if done.returncode != 0:
                return (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        result = self.key | {"options": self.options(), "seconds": time.monotonic() - start} | self.metrics(done.stdout)
        with open(self.path + ".tmp", "w") as file:
            json.dump(result, file, indent=1)
        os.replace(self.path + ".tmp", self.path)

    def metrics(self, output):
        searcher = self.key["searcher"]
        if searcher in OPTUNA:
            return json.loads(output)
        with open(self.result(), errors="replace") as file:
            found = json.load(file)
        names = ("kd", "kd_mse_codes", "acc_teacher", "acc_student", "acc_mse_codes", "acc_drop")
        metrics, images = found["metrics"], found["student_images"]
        if searcher in REPAIRED:
            with open(self.result("-final"), errors="replace") as file:
                final = json.load(file)
            training = final["repair"]["training"]
            metrics, images = metrics | final["metrics"], images + training["student_images"]
            metrics |= {"validation_passed_before": training["validation_before"]["passed"],
                        "validation_passed": training["validation"]["passed"]}
            names += ("validation_passed_before", "validation_passed")
        return {name: metrics[name] for name in names} | {"student_images": images}


def arguments():
    parser = command_line.parser(__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--jobs", type=positive, default=2, help="runs at a time")
    parser.add_argument("--threads", type=positive, default=1, help="scoring threads of a run")
    parser.add_argument("--models", nargs="+", default=["alexnet", "lenet5"])
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--budgets", nargs="+", type=positive, default=[2000, 10000], help="episodes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--searchers", nargs="+", default=UNLESS_NAMED, choices=[*UNLESS_NAMED, *NAMED], metavar="NAME",
                        help=", ".join(UNLESS_NAMED) + " (these unless named), " + ", ".join(NAMED))
    parser.add_argument("--repair-epochs", type=positive, default=12, help="of the searchers that end with a repair")
    parser.add_argument("options", nargs="*", help="passed to every search")
    return parser.parse_args()


def main():
    o = arguments()
    if not os.path.exists(os.path.join(o.build, "bin", "triseg")):
        print(f"{o.build}/bin/triseg is missing: run scripts/build.sh first, or name another build by --build",
              file=sys.stderr)
        return 2
    if any(s in OPTUNA for s in o.searchers) and not importlib.util.find_spec("optuna"):
        print("needs optuna for " + ", ".join(s for s in o.searchers if s in OPTUNA) +
              ": install Debian's package python3-optuna, see bench/quality/README.md, or leave them out by "
              "--searchers", file=sys.stderr)
        return 2
    with_mode = [s for s in o.searchers if "--tmax-mode" in SEARCHES.get(s, [])]
    if with_mode and o.modes != ["percentile"]:
        print(f"run.py: error: {', '.join(with_mode)}: a searched tmax is for --modes percentile alone",
              file=sys.stderr)
        return 2
    try:
        os.makedirs(os.path.join(o.out, "runs"), exist_ok=True)
    except OSError as error:
        raise triseg.Error(f"--out: {error}") from None
    matrix = [Run(o, *cell) for cell in itertools.product(*(dict.fromkeys(axis) for axis in
                                                             (o.models, o.modes, o.budgets, o.seeds, o.searchers)))]
    left = [run for run in matrix if not run.finished()]
    print(f"{len(matrix)} runs, {len(matrix) - len(left)} of them finished", file=sys.stderr)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        futures = {pool.submit(run.execute): run for run in left}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                problem = future.result()
                failed += problem is not None
                print(f"{done}/{len(left)} {futures[future].name}: {problem or 'finished'}", file=sys.stderr)
        except KeyboardInterrupt:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            print("stopped; the same command continues", file=sys.stderr)
            return 130
    try:
        table.print_table(table.load(o.out))
    except (OSError, ValueError) as error:
        raise triseg.Error(f"{error}: remove it or give another --out") from None
    if failed:
        print(f"{failed} of {len(left)} runs failed, see above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    command_line.run(main)
