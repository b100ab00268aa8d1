#!/usr/bin/env python3
"""Measures where an iteration's time goes on 1 to 64 MPI ranks of this machine, and prints tables in Markdown.

    bench/scaling.py [--build build/cpu] [--ranks 64] [--microseconds 20] [--episodes 2560]

The search is real, its network that of AlexNet with random weights; the engine waits --microseconds for every student
image instead of computing (bench/scaling.cpp), so that ranks need no core while they score and more of them than cores
can be started. The column "formula" is docs/scaling.md's, with the least of F and L that any row shows: what the
machine is too small for is not in it. Needs numpy.
"""
import math
import platform

import numpy

from common import checked, commit, processor  # first: it knows where the others are
from triseg.command_line import parser, run

CANDIDATES, IMAGES = 65, 32  # of an iteration: 64 episodes and the reference
REQUEST = 3200  # bytes of such an iteration of AlexNet


def measured(build, ranks, *arguments):
    command = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", f"{build}/bin/triseg_bench_scaling"]
    return [float(x) for x in checked(command + [str(a) for a in arguments]).stdout.split()]


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def ms(seconds):
    return f"{1e3 * seconds:.2f}"


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--build", default="build/cpu")
    arguments.add_argument("--ranks", type=int, default=64)
    arguments.add_argument("--microseconds", type=float, default=20, help="that the engine waits for a student image")
    arguments.add_argument("--episodes", type=int, default=2560)
    o = arguments.parse_args()
    counts = [2**k for k in range(int(math.log2(o.ranks)) + 1)]
    mpi = checked(["mpirun", "--version"]).stdout.splitlines()[0]
    print(f"commit {commit()}; {processor()}; {platform.platform()}; {mpi}\n")

    print(f"What rank 0 takes for the messages of an iteration, {REQUEST} bytes to each rank and one record back [µs "
          "of processor time]\n")
    row("ranks", "send", "take")
    row(*["---"] * 3)
    messages = {n: measured(o.build, n, "messages", REQUEST) for n in counts[1:]}
    for n, (send, take) in messages.items():
        row(n, f"{1e6 * send:.0f}", f"{1e6 * take:.0f}")
    slope = sum(numpy.polyfit(list(messages), [part[i] for part in messages.values()], 1)[0] for i in (0, 1))
    print(f"\nTogether {1e6 * slope:.1f} µs a rank.\n")

    for microseconds, lags, numbers in ((o.microseconds, (0, 1), counts), (0.1, (0,), counts[:4])):
        rows = [(lag, n, measured(o.build, n, "alexnet", o.episodes, CANDIDATES - 1, IMAGES, round(1e3 * microseconds),
                                  lag, 0))
                for lag in lags for n in numbers]
        print_iterations(rows, microseconds, slope)


def print_iterations(rows, microseconds, slope):
    """rows: (lag, ranks, what triseg_bench_scaling prints); slope: seconds of messages a rank."""
    each = 1e-6 * microseconds * IMAGES

    def waits(working):
        return (1 + math.ceil(CANDIDATES / working)) * each  # the teacher's images, too
    fixed = min(score - waits(working) for _, _, (*_, score, _, _, working) in rows)
    learner = min(draw + update for lag, _, (_, draw, update, *_) in rows if lag == 0)
    rest = min(iteration - draw - update - send - score - gather
               for lag, _, (iteration, draw, update, send, score, gather, *_) in rows
               if lag == 0)
    print(f"An iteration of {CANDIDATES} candidates, {IMAGES} images each, {microseconds:g} µs a student image [ms]; "
          f"formula: F {ms(fixed + each)}, W {ms(CANDIDATES * each)}, L {ms(learner + rest)}\n")
    row("lag", "ranks", "that score", "draw", "update", "send", "score", "gather", "commit", "**iteration**", "formula",
        "measured / formula")
    row(*["---"] * 12)
    for lag, n, (iteration, draw, update, send, score, gather, commits, working) in rows:
        scoring = fixed + waits(working) + slope * (n - 1)
        formula = rest + (max(scoring, learner) if lag else scoring + learner)
        row(lag, n, int(working), ms(draw) if lag == 0 else "", *map(ms, (update, send, score, gather, commits)),
            f"**{ms(iteration)}**", ms(formula), f"{iteration / formula:.2f}")
    print()


if __name__ == "__main__":
    run(main)
