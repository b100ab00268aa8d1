#!/usr/bin/env python3
"""Prints a summary of a run file: what it is, the codes, the learning curve.

KD is in nats (less is better), accuracies are in percent with their 95 % confidence interval (Wilson). The learning
curve has a line for each tenth of the episodes: the last iteration, the mean KD and the least KD of its episodes. Codes
have a line a site, by its record key: t1, v1, t2, v2 and tmax of its staircase. "-" stands for what is not defined, as
a mean over no images.

Also an example of the package triseg, which has all of a run file as data frames (docs/reading-runs.md).
"""
from triseg.command_line import packages, parser, run

with packages():
    import numpy
    from triseg import CODES, Run
    from triseg.score import shown


def learning_curve(iteration, kd, points=10):
    """Splits the episodes into `points` parts; returns rows of (last iteration, mean KD, least KD)."""
    parts = [p for p in numpy.array_split(numpy.arange(len(kd)), points) if len(p)]
    return [(int(iteration[p[-1]]), kd[p].mean(), kd[p].min()) for p in parts]


def print_codes(file, codes):
    keys = file["sites/record_key"]
    width = max(map(len, keys))
    for key, row in zip(keys, codes):
        print(f"  {key:{width}}  " + "  ".join(f"{name}={code:3d}" for name, code in zip(CODES, row)))


def print_report(selected, repair):
    """The one report on the test split."""
    test, mse, repaired = selected["test"], selected["mse"], selected["mse_repaired"]
    print(f"test: teacher {shown(test['accuracy_teacher'], '.2f')} %, student {shown(test['accuracy'], '.2f')} % "
          f"(95 %: {shown(test['accuracy_low'], '.2f')} to {shown(test['accuracy_high'], '.2f')}), "
          f"KD {shown(test['kd'], '.6g')} nats; "
          f"MSE codes: {shown(mse['accuracy'], '.2f')} %, KD {shown(mse['kd'], '.6g')} nats")
    if repaired:
        print(f"repair {repair}; MSE codes with their own repair: {shown(repaired['accuracy'], '.2f')} %, "
              f"KD {shown(repaired['kd'], '.6g')} nats")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("run", metavar="RUN.h5", help="run file of triseg search")
    file = Run(arguments.parse_args().run)
    root, episodes = file.attributes, file.frame("episodes", codes="none")
    print(f"{root['model_display_name']} on {root['data']}, {root['backend']}, seed {root['seed']}: "
          f"{root['status']}, {len(episodes)} of {root['episodes_total']} episodes")
    if len(episodes):
        kd, reward = episodes.kd.to_numpy(), episodes.reward.to_numpy()
        best = int(reward.argmax())
        print(f"least KD {shown(kd.min(), '.6g')} nats (episode {int(kd.argmin())}), "
              f"best reward {shown(reward[best], '.6g')} (episode {best})")
        print("learning curve: iteration, mean KD, least KD")
        for iteration, mean, least in learning_curve(episodes.iteration.to_numpy(), kd):
            print(f"  {iteration:8d}  {shown(mean, '.6g')}  {shown(least, '.6g')}")
    if file.finished:
        print_report(file.selected, root["repair"])
        print("selected codes:")
        print_codes(file, file.selected["codes"])
    elif len(episodes):
        print("codes of the best episode so far:")
        print_codes(file, file.codes("episodes")[best])
    else:
        print("initial codes:")
        print_codes(file, numpy.column_stack([file["sites/init_codes"], file["sites/tmax"]]))


if __name__ == "__main__":
    run(main)
