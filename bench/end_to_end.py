#!/usr/bin/env python3
"""Times the main job as a whole process, beside the hardware's own rate in the same run, and prints a table in
Markdown.

    bench/end_to_end.py [--build build/cpu] [--ranks 2] [--episodes 10000] [-- more options of triseg search]
    bench/end_to_end.py --gpu [--build build/cuda] [--ranks 0] ...

The rate is that of bench/forward.cpp: oneDNN's int8 products of the same shapes and nothing else, on one core; with
--gpu that of bench/forward_cuda.cpp: the card's int8 rate in a large product. The bound is the number of student
images, those of the final scoring included, over that rate on all ranks. --ranks 0 starts one process without mpirun.
Needs h5py and pandas.
"""
import json
import os
import platform
import re
import sys
import tempfile
import time

from common import checked, commit, processor  # first: it knows where the others are
from triseg.command_line import packages, parser, run

with packages():
    from triseg import Run


def bare_rate(build):
    """Images a second of oneDNN's int8 products of AlexNet's shapes on one core: the better of two repetitions."""
    output = checked([f"{build}/bin/triseg_bench_forward", "--benchmark_filter=alexnet/bare", "--benchmark_format=json",
                      "--benchmark_repetitions=2"]).stdout
    return max(b["images/s"] for b in json.loads(output)["benchmarks"] if b["run_type"] == "iteration")


def gpu_rate(build):
    """Images a second of AlexNet at the rate that a large int8 product reaches on the card."""
    output = checked([f"{build}/bin/triseg_bench_forward_cuda", "0.3"]).stdout
    row = next(line for line in output.splitlines() if line.startswith("| alexnet | 64 x 32 "))
    _, _, _, _, images, _, share, _ = (cell.strip() for cell in row.strip("|").split("|"))
    return float(images) / float(share)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--gpu", action="store_true", help="against the card's rate instead of a core's")
    arguments.add_argument("--build", help="build/cpu, or with --gpu build/cuda, unless given")
    arguments.add_argument("--ranks", type=int, help="2, or with --gpu 0, unless given; 0 without mpirun")
    arguments.add_argument("--episodes", type=int, default=10000)
    arguments.add_argument("options", nargs="*", help="passed on to triseg search")
    o = arguments.parse_args()

    o.build = o.build or ("build/cuda" if o.gpu else "build/cpu")
    o.ranks = o.ranks if o.ranks is not None else (0 if o.gpu else 2)
    bench = "triseg_bench_forward_cuda" if o.gpu else "triseg_bench_forward"
    for program in (f"{o.build}/bin/{bench}", f"{o.build}/bin/triseg"):
        if not os.path.exists(program):
            print(f"{program} is missing: run {'cmake --build --preset cuda' if o.gpu else 'scripts/build.sh'} first, "
                  "or name another build by --build", file=sys.stderr)
            return 2
    rate = gpu_rate(o.build) if o.gpu else bare_rate(o.build)
    with tempfile.TemporaryDirectory() as out:
        launcher = ["mpirun", "-n", str(o.ranks)] if o.ranks > 0 else []
        command = launcher + [f"{o.build}/bin/triseg", "search", "--model", "alexnet", "--episodes", str(o.episodes),
                              "--out", out, "--result-file", "run.json"] + o.options
        start = time.monotonic()
        done = checked(command)
        total = time.monotonic() - start
        file = Run(f"{out}/tri_ppo_int_codes/run.h5")
        images = file.attributes["student_images"] + int(file["top/validation_images"].sum()) + 2 * 10000
        version, engine, transport = (file.attributes[name] for name in ("creator_version", "engine", "transport"))
    parts = dict(re.findall(r"(calibration|scoring|learner|files|final scoring) ([\d.]+)",
                            done.stderr.split("Seconds: ")[1]))
    bound = images / (rate * max(1, o.ranks))
    print(f"triseg {version}, commit {commit()}; {processor()}; {platform.platform()}\n")
    print(f"`{' '.join(command[:len(launcher) + 1])} search ...`, {o.episodes} episodes, engine {engine}, transport "
          f"{transport}\n")
    print("| part | seconds | share |\n|---|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {float(seconds):.2f} | {100 * float(seconds) / total:.1f} % |")
    print(f"| start-up (models, data, self-test) and the rest | {total - sum(map(float, parts.values())):.2f} | |")
    print(f"| **whole process** | **{total:.2f}** | |\n")
    peer = f"at the card's int8 rate {rate:.0f} images/s" if o.gpu else f"bare oneDNN {rate:.0f} images/s on one core"
    print(f"{images} student images, final scoring included; {peer}: bound {bound:.2f} s, reached "
          f"{100 * bound / total:.0f} %\n")
    print("```\n" + done.stdout.split("JSON:")[0] + "```")


if __name__ == "__main__":
    run(main)
