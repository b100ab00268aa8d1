#!/usr/bin/env python3
"""Prints a summary of a run file: what it is, the codes, the learning curve.

    read_run.py RUN.h5

Also an example of reading one with h5py: every column is a plain dataset, docs/run-file.md lists them.
"""
import sys

from run_files import open_run, run

import numpy


def text(value):
    """A fixed-length string, or an array of them, as str."""
    return value.decode() if isinstance(value, bytes) else [v.decode() for v in value]


def learning_curve(file, points=10):
    """Splits the episodes into `points` parts; returns rows of (last iteration, mean KD, least KD)."""
    iteration, kd = file["episodes/iteration"][()], file["episodes/kd"][()]
    parts = [p for p in numpy.array_split(numpy.arange(len(kd)), points) if len(p)]
    return [(int(iteration[p[-1]]), kd[p].mean(), kd[p].min()) for p in parts]


def print_codes(file, codes, tmax):
    width = max(len(key) for key in text(file["sites/record_key"][()]))
    for key, row, largest in zip(text(file["sites/record_key"][()]), codes, tmax):
        print(f"  {key:{width}}  " + "  ".join(f"{n}={c:3d}" for n, c in zip(("t1", "v1", "t2", "v2"), row)) + f"  tmax={largest:3d}")


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open_run(arguments[0]) as file:
        root = file.attrs
        print(f"{text(root['model_display_name'])} on {text(root['data'])}, {text(root['backend'])}, seed {root['seed']}: "
              f"{text(root['status'])}, {len(file['episodes/reward'])} of {root['episodes_total']} episodes")
        kd, reward = file["episodes/kd"][()], file["episodes/reward"][()]
        if len(kd):
            best = int(reward.argmax())
            print(f"least KD {kd.min():.6g} nats (episode {int(kd.argmin())}), best reward {reward[best]:.6g} (episode {best})")
            print("learning curve: iteration, mean KD, least KD")
            for iteration, mean, least in learning_curve(file):
                print(f"  {iteration:8d}  {mean:.6g}  {least:.6g}")
        if text(root["status"]) == "finished":
            s = file["selected"]
            print(f"test: teacher {s['test_accuracy_teacher'][()]:.2f} %, student {s['test_accuracy_student'][()]:.2f} % "
                  f"(95 %: {s['test_accuracy_student_low'][()]:.2f} to {s['test_accuracy_student_high'][()]:.2f}), KD {s['test_kd'][()]:.6g} nats; "
                  f"MSE codes: {s['test_mse_accuracy_student'][()]:.2f} %, KD {s['test_mse_kd'][()]:.6g} nats")
            if text(root["repair"]) != "none":
                print(f"repair {text(root['repair'])}; MSE codes with their own repair: {s['test_mse_repaired_accuracy_student'][()]:.2f} %, "
                      f"KD {s['test_mse_repaired_kd'][()]:.6g} nats")
            print("selected codes:")
            print_codes(file, s["codes"][()], s["tmax"][()])
        elif len(kd):
            print("codes of the best episode so far:")
            print_codes(file, file["episodes/codes"][best], file["episodes/tmax"][best])
        else:
            print("initial codes:")
            print_codes(file, file["sites/init_codes"][()], file["sites/tmax"][()])


if __name__ == "__main__":
    run(main)
