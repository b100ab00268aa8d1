#!/usr/bin/env python3
"""Times one search on one GPU and on several, a rank each, checks that they wrote the same bytes, and prints tables in
Markdown.

    bench/gpu_scaling.py [--build build/cuda] [--gpus 1 2 4] [--teacher VGG16.h5] [-- more options of triseg search]

Two workloads: AlexNet as in configs/alexnet.toml, and VGG-16 with 128 images an episode, large enough that the GPUs and
not the processes' start decide. Without --teacher a VGG-16 is trained for one float and one quantization-aware epoch:
its accuracy does not matter here. The speed-up is that of whole iterations, policy updates included; beside it stands
that of the whole process and that of scoring alone, whose bound is the number of GPUs. Needs h5py and pandas.
"""
import os
import re
import sys
import tempfile
import time

from common import SOURCE, checked, commit, processor  # first: it knows where the others are
from triseg.command_line import packages, parser, run

with packages():
    from triseg import Run

COMPARE = os.path.join(SOURCE, "analysis", "compare_runs.py")
WORKLOADS = {
    "alexnet": ["--model", "alexnet", "--episodes", "10000"],
    "vgg16": ["--model", "vgg16", "--episodes", "6400", "--batch-size", "128", "--top-k", "8"],
}


def search(build, options, gpus, out):
    """Seconds of the whole process, of all iterations, and of scoring; what ran; the run file."""
    launcher = ["mpirun", "-n", str(gpus)] if gpus > 1 else []
    start = time.monotonic()
    done = checked(launcher + [f"{build}/bin/triseg", "search", *options, "--out", out, "--result-file", "run.json"])
    total = time.monotonic() - start
    path = f"{out}/tri_ppo_int_codes/run.h5"
    file = Run(path)
    iterations = float(file.updates.iteration_seconds.sum())
    what = f"{file.attributes['ranks']}, {file.attributes['transport']}"
    each = file["episodes/images"]
    images = int(each.sum() + each[0] * len(file.updates))  # of the episodes and of each iteration's reference
    scoring = float(re.search(r" scoring ([\d.]+)", done.stderr.split("Seconds: ")[1])[1])
    return total, iterations, scoring, images, what, path


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--build", default="build/cuda")
    arguments.add_argument("--gpus", type=int, nargs="+", default=[1, 2], help="a row each, compared with the first")
    arguments.add_argument("--teacher", help="INT8 model file of a VGG-16 (default: one is trained)")
    arguments.add_argument("options", nargs="*", help="of every search")
    o = arguments.parse_args()

    gpu = checked(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]).stdout.splitlines()
    start = time.monotonic()
    checked(["mpirun", "-n", str(max(o.gpus)), "true"])
    launcher = time.monotonic() - start
    print(f"{len(gpu)} x {gpu[0]}; {processor()}; commit {commit()}; `mpirun -n {max(o.gpus)} true` alone: "
          f"{launcher:.2f} s\n")
    with tempfile.TemporaryDirectory() as folder:
        teacher = o.teacher or f"{folder}/vgg16.h5"
        if not o.teacher:
            checked([f"{o.build}/bin/triseg", "train", "--model", "vgg16", "--device", "cuda", "--epochs", "1",
                     "--qat-epochs", "1", "--out", teacher])
        for name, options in WORKLOADS.items():
            options = options + (["--teacher", teacher] if name == "vgg16" else []) + o.options
            runs = [search(o.build, options, gpus, f"{folder}/{name}-{gpus}") for gpus in o.gpus]
            same = ", ".join({checked([sys.executable, COMPARE, runs[0][-1], run[-1]]).stdout.strip()
                              for run in runs[1:]})
            shown = " ".join(options).replace(teacher, "FILE")
            print(f"`triseg search {shown}`, {runs[0][3]} student images in iterations; all datasets: {same}\n")
            print("| ranks | whole process [s] | times as fast | iterations [s] | times as fast | images/s | scoring "
                  "alone [s] | times as fast |\n|---|---|---|---|---|---|---|---|")
            first = runs[0]
            for total, iterations, scoring, images, what, _ in runs:
                print(f"| {what} | {total:.2f} | {first[0] / total:.2f} | {iterations:.2f} | "
                      f"{first[1] / iterations:.2f} | {images / iterations:.0f} | {scoring:.2f} | "
                      f"{first[2] / scoring:.2f} |")
            print(flush=True)


if __name__ == "__main__":
    run(main)
