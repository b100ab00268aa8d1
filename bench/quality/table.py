#!/usr/bin/env python3
"""The runs of run.py as Markdown tables, one for each model, mode and budget, best searcher first.

    bench/quality/table.py FOLDER [--baseline ppo] [--searchers NAME ...] [--csv RUNS.csv]
    bench/quality/table.py RUNS.csv [--baseline ppo] [--searchers NAME ...]

KD and accuracies are means over seeds of the selected codes on the test split; +- is half a 95 % interval of Student's
t over the seeds. "/ MSE" is the KD over that of the MSE optimum, the mean of each run's ratio, or "-" where that KD is
0. "against" is the KD less the baseline's on the same seeds, and the interval of that paired difference: searchers
whose interval leaves out 0 differ. Student images are those of the search, in thousands (and of a repair); seconds are
wall clock of the whole process, the final scoring included. --csv also writes the runs as one file of comma-separated
values, a row a run, which table.py and plot.py read like the folder.
"""
import csv
import glob
import json
import os
import sys

try:
    import numpy as np
except ModuleNotFoundError as error:
    print(f"needs {error.name}: install Debian's package python3-numpy and call /usr/bin/python3", file=sys.stderr)
    sys.exit(2)

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "analysis"))
import triseg  # noqa: E402  behind its folder
from triseg import command_line  # noqa: E402
from triseg.files import open_input  # noqa: E402
from triseg.score import mean_and_half_95  # noqa: E402

BASELINE = "ppo"
KEY = ("model", "mode", "budget", "searcher", "seed")
# The columns of a CSV file. A run's file has its options and codes, too.
COLUMNS = {"model": str, "mode": str, "budget": int, "searcher": str, "seed": int, "kd": float, "kd_mse_codes": float,
           "acc_teacher": float, "acc_student": float, "acc_mse_codes": float, "acc_drop": float, "student_images": int,
           "seconds": float}


def shown(values, digits, sign=""):
    mean, half = mean_and_half_95(values)
    return f"{mean:{sign}.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def run_of(values, where):
    """One run from what a file says. Throws ValueError naming the place."""
    try:
        if None in values:  # more cells than columns
            raise ValueError
        return values | {name: kind(values[name]) for name, kind in COLUMNS.items()}
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"{where} is not a result of run.py") from None


def runs_of(path):
    """The runs of a folder or of a CSV file. Throws ValueError naming the file and what is wrong with it, OSError and
    triseg.Error if it cannot be opened."""
    runs = []
    if path.endswith(".csv"):
        with open_input(path, newline="", errors="replace") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != list(COLUMNS):
                raise ValueError(f"{path}: its first line does not name the columns {', '.join(COLUMNS)}")
            runs = [run_of(row, f"{path}, line {rows.line_num},") for row in rows]
    else:
        for name in sorted(glob.glob(os.path.join(glob.escape(path), "*.json"))):
            with open_input(name) as file:
                try:
                    values = json.load(file)
                except ValueError:
                    values = None
            runs.append(run_of(values, name))
    keys = [tuple(run[name] for name in KEY) for run in runs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise ValueError(f"{path}: the run {', '.join(map(str, twice))} is there twice")
    return runs


def write_csv(path, runs):
    """Throws triseg.Error, which names the file."""
    try:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(runs, key=lambda run: [run[name] for name in KEY]))
    except OSError as error:
        raise triseg.Error(f"{path}: {error.strerror}") from None


def load(path):
    """The runs of a folder or of a CSV file, by (model, mode, budget), then searcher, then seed. Throws as runs_of()
    does."""
    groups = {}
    for run in runs_of(path):
        group = groups.setdefault((run["model"], run["mode"], run["budget"]), {})
        group.setdefault(run["searcher"], {})[run["seed"]] = run
    for key, searchers in groups.items():
        of_one_problem(key, [run for runs in searchers.values() for run in runs.values()], path)
    return groups


def of_one_problem(key, runs, path):
    """Throws ValueError if runs of a group have not the same teacher and MSE optimum: searches of different problems do
    not compare."""
    for name in ("acc_teacher", "kd_mse_codes"):
        least, most = (pick(runs, key=lambda run: run[name]) for pick in (min, max))
        if most[name] - least[name] > 1e-4 * most[name]:
            raise ValueError(f"{path}: runs of {', '.join(map(str, key))} are of different problems: {name} is "
                             f"{least[name]:.6g} for {least['searcher']}, seed {least['seed']}, and {most[name]:.6g} "
                             f"for {most['searcher']}, seed {most['seed']}")


def searchers_of(groups):
    return sorted({name for searchers in groups.values() for name in searchers})


def column(runs, name):
    return [run[name] for run in runs.values()]


def against(runs, baseline):
    seeds = sorted(runs.keys() & baseline.keys())
    if not seeds or runs is baseline:
        return ""
    differences = [runs[s]["kd"] - baseline[s]["kd"] for s in seeds]
    return shown(differences, 4, "+") + ("" if len(seeds) == len(runs) else f" ({len(seeds)})")


def row(searcher, runs, baseline):
    mse = column(runs, "kd_mse_codes")
    ratio = f"{np.mean(np.divide(column(runs, 'kd'), mse)):.3f}" if all(mse) else "-"
    cells = [searcher, str(len(runs)), shown(column(runs, "kd"), 4), ratio,
             f"{np.mean(column(runs, 'acc_student')):.2f}", shown(column(runs, "acc_drop"), 2), against(runs, baseline),
             f"{np.mean(column(runs, 'student_images')) / 1000:.0f}", f"{np.mean(column(runs, 'seconds')):.0f}"]
    return "| " + " | ".join(cells) + " |"


def print_table(groups, baseline=BASELINE, named=None):
    """A table for each network, mode and budget, of the searchers `named`, or of all."""
    for (model, mode, budget), found in sorted(groups.items()):
        searchers = {name: runs for name, runs in found.items() if named is None or name in named}
        if not searchers:
            continue
        every = [run for runs in searchers.values() for run in runs.values()]
        mse = {name: sum(run[name] for run in every) / len(every)
               for name in ("kd_mse_codes", "acc_teacher", "acc_mse_codes")}
        print(f"**{model}, {mode}, {budget} episodes** (teacher {mse['acc_teacher']:.2f} %)\n")
        print(f"| searcher | seeds | KD | / MSE | student % | drop | against {baseline} | 1000 images | s |\n" +
              "|---" * 9 + "|")
        for searcher, runs in sorted(searchers.items(), key=lambda item: np.mean(column(item[1], "kd"))):
            print(row(searcher, runs, found.get(baseline, {})))
        print(f"| MSE optimum | | {mse['kd_mse_codes']:.4f} | {'1.000' if mse['kd_mse_codes'] else '-'} | "
              f"{mse['acc_mse_codes']:.2f} | {mse['acc_teacher'] - mse['acc_mse_codes']:.2f} | | 0 | |\n")


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("runs", help="a folder of run.py, or a CSV file of --csv")
    arguments.add_argument("--baseline", default=BASELINE, help="the searcher that the others are compared with")
    arguments.add_argument("--searchers", nargs="+", metavar="NAME", help="the rows, all unless given")
    arguments.add_argument("--csv", help="the file to write the runs into")
    o = arguments.parse_args()
    try:
        groups = load(o.runs)
        if o.csv and groups:
            write_csv(o.csv, runs_of(o.runs))
    except (OSError, ValueError) as error:
        command_line.report(error)
        return 2
    if not groups:
        problem = "holds no results of run.py" if os.path.isdir(o.runs) else "no such folder, and no CSV file"
        print(f"{o.runs}: {problem}", file=sys.stderr)
        return 2
    unknown = [name for name in [o.baseline, *(o.searchers or [])]
               if name not in searchers_of(groups) and name != BASELINE]
    if unknown:
        command_line.report(f"{o.runs} has no runs of {', '.join(unknown)}, only of {', '.join(searchers_of(groups))}")
        return 2
    print_table(groups, o.baseline, o.searchers)
    return 0


if __name__ == "__main__":
    command_line.run(main)
