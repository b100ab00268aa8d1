#!/usr/bin/env python3
"""Measures how many runs a minute a sweep does, beside the same searches as processes one after another, and prints a
table in Markdown.

    bench/sweep.py [--build build/cpu] [--runs 40] [--at-once 0 1 2] [--ranks 0] [--one-by-one 6]
                   [-- more options of triseg search]

Runs differ in their seed alone. --at-once: what --runs-at-once is given, a row each. --ranks: of mpirun, one GPU each;
0 is one process without it. Every row starts from an empty folder, and its time is that of the whole process.
"""
import os
import platform
import tempfile
import time

from common import checked, commit, processor  # first: it knows where the others are
from triseg import Error
from triseg.command_line import parser, run


def toml_lines(options):
    """--name value pairs as lines of a configuration file."""
    if len(options) % 2 or any(not name.startswith("--") for name in options[::2]):
        raise Error("expected options of triseg search as pairs, --name value")
    lines = []
    for name, value in zip(options[::2], options[1::2]):
        try:
            float(value)
        except ValueError:
            value = f'"{value}"'
        lines.append(f"{name[2:]} = {value}\n")
    return "".join(lines)


def timed(command):
    start = time.monotonic()
    checked(command)
    return time.monotonic() - start


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--build", default="build/cpu")
    arguments.add_argument("--runs", type=int, default=40)
    arguments.add_argument("--one-by-one", type=int, default=6,
                           help="searches that are timed as processes of their own")
    arguments.add_argument("--at-once", type=int, nargs="+", default=[0, 1])
    arguments.add_argument("--ranks", type=int, default=0)
    arguments.add_argument("options", nargs="*", help="of every search")
    o = arguments.parse_args()

    program = f"{o.build}/bin/triseg"
    if not os.path.exists(program):
        raise Error(f"{program} is missing: build first, or name another build by --build")
    print(f"commit {commit()}; {processor()}; {platform.platform()}\n")
    print(f"`triseg search {' '.join(o.options)}`, seeds 1, 2, ...; {o.ranks or 1} rank(s)\n")
    print("| | runs | seconds | runs a minute | times as many |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        seconds = sum(timed([program, "search", *o.options, "--seed", str(seed + 1), "--out", f"{folder}/alone",
                             "--result-file", f"{seed}.json"])
                      for seed in range(o.one_by_one))
        alone = 60 * o.one_by_one / seconds
        print(f"| processes one after another | {o.one_by_one} | {seconds:.2f} | {alone:.1f} | 1 |")
        with open(f"{folder}/sweep.toml", "w", encoding="utf-8") as file:
            file.write(f"seeds = {o.runs}\n[base]\n{toml_lines(o.options)}")
        launcher = ["mpirun", "-n", str(o.ranks)] if o.ranks else []
        for at_once in o.at_once:
            seconds = timed([*launcher, program, "sweep", f"{folder}/sweep.toml", "--out", f"{folder}/{at_once}",
                             "--runs-at-once", str(at_once)])
            rate = 60 * o.runs / seconds
            print(f"| sweep, --runs-at-once {at_once} | {o.runs} | {seconds:.2f} | {rate:.1f} | {rate / alone:.1f} |",
                  flush=True)


if __name__ == "__main__":
    run(main)
