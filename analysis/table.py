#!/usr/bin/env python3
"""One row a finished run, and a row of means for each set of comparable runs, as a Markdown table.

    table.py RUN.h5 [RUN.h5 ...]

Runs are comparable that differ in nothing but the seed: network, sites, teacher, data, energies and all options that change
results are the same. A set is called by its network and the number of its sites, and by what tells the sets of the table apart.
KD and accuracies are those of the selected codes on the test split; "/ MSE" is the KD over that of the MSE optimum on the
same images; milliseconds an episode are wall clock of the iterations, the update included, over the run's ranks together.
"""
import sys

from run_files import Unreadable, open_run, run

import numpy as np

COLUMNS = ("ms an episode", "KD", "KD / MSE", "teacher %", "student %", "drop")


def problem(file):
    """What the run has in common with those it can be compared with, by name: the options that change results, which are
    the first section of /@config, but for the seed, with content in the place of paths."""
    section = file.attrs["config"].decode().split("\n# ")[0]
    pairs = (line.partition(" = ") for line in section.splitlines())
    options = {name: value.strip("\"'") for name, equals, value in pairs if equals}
    for name in ("seed", "energy-table"):
        options.pop(name, None)
    options |= {name: file.attrs[name].decode() for name in ("model", "backend", "repair")}
    options |= {"attention-layers": file.attrs["attention_layers"].decode(), "episodes": str(file.attrs["episodes_total"]),
                "sites": ",".join(name.decode() for name in file["/sites/name"][()])}
    for name, digest in (("teacher", "model_sha256"), ("data", "data_sha256")):
        options[name] = "sha256 " + file.attrs[digest].decode()[:12]
    return options | {name: f"{value:g} pJ" for name, value in file.attrs.items() if name.startswith("energy_")}


def row(path):
    """(problem, seed, values of COLUMNS, path)"""
    with open_run(path) as file:
        if file.attrs["status"] != b"finished":
            raise Unreadable(f"{path}: the run is not finished")
        test = {name: file["/selected/" + name][()] for name in ("test_kd", "test_mse_kd", "test_accuracy_teacher",
                                                                 "test_accuracy_student")}
        milliseconds = 1000 * file["/updates/iteration_seconds"][()].sum() / max(len(file["/episodes/reward"]), 1)
        return problem(file), int(file.attrs["seed"]), (milliseconds, test["test_kd"], test["test_kd"] / test["test_mse_kd"],
                                                        test["test_accuracy_teacher"], test["test_accuracy_student"],
                                                        test["test_accuracy_teacher"] - test["test_accuracy_student"]), path


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
    formats = ("{:.2f}", "{:.4f}", "{:.3f}", "{:.2f}", "{:.2f}", "{:.2f}")
    return "| " + " | ".join([label, str(seed)] + [f.format(v) for f, v in zip(formats, values)] + [path]) + " |"


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    rows = [row(path) for path in arguments]
    problems = []
    for r in rows:
        if r[0] not in problems:
            problems.append(r[0])
    print("| run | seed | " + " | ".join(COLUMNS) + " | file |\n|---|---|" + "---|" * (len(COLUMNS) + 1))
    for p, label in zip(problems, labels(problems)):
        group = [r for r in rows if r[0] == p]
        for _, seed, values, path in group:
            print(line(label, seed, values, path))
        if len(group) > 1:
            print(line(label, "mean", np.mean([r[2] for r in group], axis=0), f"of {len(group)}"))


if __name__ == "__main__":
    run(main)
