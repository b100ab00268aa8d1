#!/usr/bin/env python3
"""Prints finished runs as a Markdown table: a row a run, and a row of means for each set of comparable runs.

Runs are comparable that differ in nothing but the seed: network, sites, teacher, data, energies and all options that
change results are the same. Those of one seed are one run, which counts once in the means, by its first file. Columns:

  run            the set of comparable runs: network, number of sites, and what tells the sets of the table apart
  seed           of the run; "mean" in a row of means
  ms an episode  wall clock of the iterations, updates included, of the run's ranks together, divided by the episodes
  KD             of the selected codes on the test split [nats]; less is better
  KD / MSE       KD over that of the MSE optimum on the same images
  teacher %      accuracy of the exact network on the test split
  student %      accuracy with the selected codes there
  drop           teacher less student [percentage points]
  file           the run's file; of how many seeds the row has the means

"-" stands for what is not defined: a multiple of 0, or a mean with one. Runs that are not finished, and files of one
run, are named on standard error. Exit status: 0 if there is a finished run, 1 if there is none, a file cannot be read
or standard output takes no more, 2 if the command line is not understood.
"""
from run_files import faults_of, open_run, score, shown, text
from script import Failure, parser, report, run

import numpy as np

# By name, how numbers are shown.
COLUMNS = {"ms an episode": ".2f", "KD": ".4f", "KD / MSE": ".3f", "teacher %": ".2f", "student %": ".2f",
           "drop": ".2f"}


def problem(file):
    """What the run has in common with those it can be compared with, by name: the options that change results, which
    are the first section of /@config, but for the seed, with content in the place of paths."""
    section = text(file.attrs["config"]).split("\n# ")[0]
    pairs = (line.partition(" = ") for line in section.splitlines())
    options = {"final-scoring": "all", "lag": "0"}  # of versions that had no other
    options |= {name: value.strip("\"'") for name, equals, value in pairs if equals}
    for name in ("seed", "energy-table"):
        options.pop(name, None)
    options |= {name: text(file.attrs[name]) for name in ("model", "backend", "repair")}
    options |= {"attention-layers": text(file.attrs["attention_layers"]), "episodes": str(file.attrs["episodes_total"]),
                "sites": ",".join(text(file["/sites/name"][()]))}
    for name, digest in (("teacher", "model_sha256"), ("data", "data_sha256")):
        options[name] = "sha256 " + text(file.attrs[digest])[:12]
    return options | {name: f"{value:g} pJ" for name, value in file.attrs.items() if name.startswith("energy_")}


def row(path):
    """(problem, seed, values of COLUMNS, path); None if the run is not finished."""
    with faults_of(path), open_run(path) as file:
        if text(file.attrs["status"]) != "finished":
            return None
        kd, teacher, student = score(file["/selected"], "test_")
        mse_kd = score(file["/selected"], "test_mse_")[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            seconds = file["/updates/iteration_seconds"][()].sum()
            milliseconds = 1000 * seconds / np.float64(len(file["/episodes/reward"]))
            values = milliseconds, kd, kd / mse_kd, teacher, student, teacher - student
        return problem(file), int(file.attrs["seed"]), values, path


def labels(problems):
    """A name for each of the problems: network, number of sites, and what not all of these have in common."""
    networks = [f"{p['model']}, {len(p['sites'].split(','))} sites" for p in problems]

    def label(p, network):
        alike = [q for q, other in zip(problems, networks) if other == network]
        names = dict.fromkeys(name for q in alike for name in q)
        differing = [f"{name} {p.get(name, 'none')}" for name in names if len({q.get(name) for q in alike}) > 1]
        return ", ".join([network] + differing)

    return [label(p, network) for p, network in zip(problems, networks)]


def line(label, seed, values, path):
    return "| " + " | ".join([label, str(seed), *map(shown, values, COLUMNS.values()), path]) + " |"


def print_table(rows):
    """Returns the lists of files that are of one run."""
    problems, equal = [], []
    for r in rows:
        if r[0] not in problems:
            problems.append(r[0])
    print("| run | seed | " + " | ".join(COLUMNS) + " | file |\n|---|---|" + "---|" * (len(COLUMNS) + 1))
    for p, label in zip(problems, labels(problems)):
        group = [r for r in rows if r[0] == p]
        by_seed = {}
        for _, seed, values, path in group:
            print(line(label, seed, values, path))
            by_seed.setdefault(seed, []).append((values, path))
        if len(by_seed) > 1:
            firsts = [runs[0][0] for runs in by_seed.values()]
            print(line(label, "mean", np.mean(firsts, axis=0), f"of {len(firsts)}"))
        equal += [[path for _, path in runs] for runs in by_seed.values() if len(runs) > 1]
    return equal


def main():
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5", help="run file of triseg search")
    rows, unfinished, failed = [], [], False
    for path in arguments.parse_args().runs:
        try:
            found = row(path)
            unfinished += [path] if found is None else []
            rows += [found] if found else []
        except Failure as failure:
            report(failure)
            failed = True
    equal = print_table(rows) if rows else []
    if equal:
        report(f"of equal configuration and seed, counted once in means: {', '.join(map(' = '.join, equal))}", "")
    if unfinished:
        what, kind = ("left out", "") if rows else ("no finished run", "error: ")
        report(f"{what}: {', '.join(unfinished)}: not finished", kind)
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    run(main)
