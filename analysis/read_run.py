#!/usr/bin/env python3
"""Prints a summary of a run file: what it is, the codes, the learning curve.

KD is in nats (less is better), accuracies are in percent with their 95 % confidence interval (Wilson). The learning
curve has a line for each tenth of the episodes: the last iteration, the mean KD and the least KD of its episodes. Codes
have a line a site, by its record key: t1, v1, t2, v2 and tmax of its staircase. "-" stands for what is not defined, as
a mean over no images.

Also an example of reading one with h5py: every column is a plain dataset, docs/run-file.md lists them.
"""
from run_files import faults_of, open_run, score, shown, text
from script import parser, run

import numpy


def learning_curve(iteration, kd, points=10):
    """Splits the episodes into `points` parts; returns rows of (last iteration, mean KD, least KD)."""
    parts = [p for p in numpy.array_split(numpy.arange(len(kd)), points) if len(p)]
    return [(int(iteration[p[-1]]), kd[p].mean(), kd[p].min()) for p in parts]


def wilson_95(percent, images):
    """Confidence bounds of a share [percent], as docs/run-file.md has them; NaN without images."""
    z, p, images = 1.959963984540054, percent / 100, images or numpy.nan
    centre, half = p + z * z / (2 * images), z * numpy.sqrt(p * (1 - p) / images + z * z / (4 * images * images))
    return [100 * (centre + side * half) / (1 + z * z / images) for side in (-1, 1)]


def print_codes(file, codes, tmax):
    keys = text(file["sites/record_key"][()])
    width = max(map(len, keys))
    for key, row, largest in zip(keys, codes, tmax):
        named = zip(("t1", "v1", "t2", "v2", "tmax"), [*row, largest])
        print(f"  {key:{width}}  " + "  ".join(f"{name}={code:3d}" for name, code in named))


def print_report(file, repair):
    """The one report on the test split."""
    selected = file["selected"]
    kd, teacher, student = score(selected, "test_")
    low, high = wilson_95(student, float(selected["test_images"][()]))
    mse_kd, _, mse_student = score(selected, "test_mse_")
    print(f"test: teacher {shown(teacher, '.2f')} %, student {shown(student, '.2f')} % "
          f"(95 %: {shown(low, '.2f')} to {shown(high, '.2f')}), KD {shown(kd, '.6g')} nats; "
          f"MSE codes: {shown(mse_student, '.2f')} %, KD {shown(mse_kd, '.6g')} nats")
    if repair != "none":
        kd, _, student = score(selected, "test_mse_repaired_")
        print(f"repair {repair}; MSE codes with their own repair: {shown(student, '.2f')} %, "
              f"KD {shown(kd, '.6g')} nats")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("run", metavar="RUN.h5", help="run file of triseg search")
    path = arguments.parse_args().run
    with faults_of(path), open_run(path) as file:
        root = {name: text(value) for name, value in file.attrs.items()}
        kd, reward = score(file["episodes"])[0], file["episodes/reward"][()]
        print(f"{root['model_display_name']} on {root['data']}, {root['backend']}, seed {root['seed']}: "
              f"{root['status']}, {len(reward)} of {root['episodes_total']} episodes")
        if len(kd):
            best = int(reward.argmax())
            print(f"least KD {shown(kd.min(), '.6g')} nats (episode {int(kd.argmin())}), "
                  f"best reward {shown(reward[best], '.6g')} (episode {best})")
            print("learning curve: iteration, mean KD, least KD")
            for iteration, mean, least in learning_curve(file["episodes/iteration"][()], kd):
                print(f"  {iteration:8d}  {shown(mean, '.6g')}  {shown(least, '.6g')}")
        if root["status"] == "finished":
            print_report(file, root["repair"])
            print("selected codes:")
            row = int(file["selected/top_index"][()])
            print_codes(file, file["top/codes"][row], file["top/tmax"][row])
        elif len(kd):
            print("codes of the best episode so far:")
            print_codes(file, file["episodes/codes"][best], file["episodes/tmax"][best])
        else:
            print("initial codes:")
            print_codes(file, file["sites/init_codes"][()], file["sites/tmax"][()])


if __name__ == "__main__":
    run(main)
