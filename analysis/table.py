#!/usr/bin/env python3
"""One row a finished run, and a row of means for each set of sites, as a Markdown table.

    table.py RUN.h5 [RUN.h5 ...]

KD and accuracies are those of the selected codes on the test split; "/ MSE" is the KD over that of the MSE optimum on the
same images; seconds an episode are wall clock of the iterations, the update included, over the run's ranks together.
"""
import sys

from run_files import Unreadable, open_run, run

import numpy as np

COLUMNS = ("ms an episode", "KD", "KD / MSE", "teacher %", "student %", "drop")


def row(path):
    with open_run(path) as file:
        if file.attrs["status"] != b"finished":
            raise Unreadable(f"{path}: the run is not finished")
        test = {name: file["/selected/" + name][()] for name in ("test_kd", "test_mse_kd", "test_accuracy_teacher",
                                                                 "test_accuracy_student")}
        milliseconds = 1000 * file["/updates/iteration_seconds"][()].sum() / max(len(file["/episodes/reward"]), 1)
        key = f"{file.attrs['model'].decode()}, {len(file['/sites/name'])} sites"
        return key, int(file.attrs["seed"]), (milliseconds, test["test_kd"], test["test_kd"] / test["test_mse_kd"],
                                              test["test_accuracy_teacher"], test["test_accuracy_student"],
                                              test["test_accuracy_teacher"] - test["test_accuracy_student"])


def line(label, seed, values):
    formats = ("{:.2f}", "{:.4f}", "{:.3f}", "{:.2f}", "{:.2f}", "{:.2f}")
    return "| " + " | ".join([label, str(seed)] + [f.format(v) for f, v in zip(formats, values)]) + " |"


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    rows = [row(path) for path in arguments]
    print("| run | seed | " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * len(COLUMNS))
    for key in dict.fromkeys(r[0] for r in rows):
        group = [r for r in rows if r[0] == key]
        for _, seed, values in group:
            print(line(key, seed, values))
        if len(group) > 1:
            print(line(key, "mean", np.mean([r[2] for r in group], axis=0)))


if __name__ == "__main__":
    run(main)
