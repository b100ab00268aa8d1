#!/usr/bin/env python3
"""Draws the runs of run.py, or the fronts of searches for tmax, as an SVG file.

    bench/quality/plot.py budgets RUNS [RUNS ...] --out budgets.svg
    bench/quality/plot.py fronts NAME=RUN.h5 [NAME=RUN.h5 ...] --out fronts.svg

RUNS is a folder of run.py or the CSV file that table.py made of one. budgets: test KD of the selected codes against
episodes, one panel a model and mode, a line a searcher (all, or those of --searchers): means over seeds, with 95 %
intervals of Student's t; the MSE optimum is dotted. fronts: KD and accuracy on validation against the share of
activations that pass through, of the finalists that no other beats in coverage and KD. Needs matplotlib (Debian's
python3-matplotlib) and for fronts h5py and pandas.
"""
import sys

try:
    import matplotlib
except ModuleNotFoundError as error:
    print(f"needs {error.name}: install Debian's package python3-matplotlib", file=sys.stderr)
    sys.exit(2)
import numpy as np

import table
import triseg  # where table found it
from triseg import command_line
from triseg.score import mean_and_half_95

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "triseg", "svg.fonttype": "none", "font.size": 8, "axes.grid": True,
                        "grid.alpha": 0.3}
from matplotlib import pyplot, ticker  # noqa: E402  after use()


def draw_budgets(o):
    groups = {}
    for runs in o.inputs:
        for key, searchers in table.load(runs).items():
            for name, of_seeds in searchers.items():
                groups.setdefault(key, {}).setdefault(name, {}).update(of_seeds)
    if not groups:
        raise ValueError(f"no results of run.py in {', '.join(o.inputs)}")
    unknown = [name for name in o.searchers or [] if name not in table.searchers_of(groups)]
    if unknown:
        raise ValueError(f"no runs of {', '.join(unknown)}, only of {', '.join(table.searchers_of(groups))}")
    panels = sorted({(model, mode) for model, mode, _ in groups})
    names = o.searchers or table.searchers_of(groups)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.2), squeeze=False)
    for axis, panel in zip(axes[0], panels):
        budgets = sorted(budget for model, mode, budget in groups if (model, mode) == panel)
        runs = {budget: groups[(*panel, budget)] for budget in budgets}
        for i, name in enumerate(names):
            own = [b for b in budgets if name in runs[b]]
            shift = 1.03 ** (i - (len(names) - 1) / 2)  # equal results would hide each other
            means, halves = (zip(*(mean_and_half_95(table.column(runs[b][name], "kd")) for b in own))
                             if own else ((), ()))
            axis.errorbar([b * shift for b in own], means, [h or 0 for h in halves], color=f"C{i % 10}",
                          linestyle=("-", "--")[i // 10 % 2], marker="o", markersize=3, capsize=2, linewidth=1,
                          label="best analytic start (mse)" if name == "mse" else name)
        mse = [run["kd_mse_codes"] for searchers in runs.values() for of_seeds in searchers.values()
               for run in of_seeds.values()]
        axis.axhline(np.mean(mse), color="black", linestyle=":", linewidth=1, label="MSE optimum")
        axis.set(xscale="log", yscale="log", xlabel="episodes", title=f"{panel[0]}, {panel[1]}")
        axis.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
        axis.yaxis.set_major_locator(ticker.MaxNLocator(7))
        axis.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        for side in (axis.xaxis, axis.yaxis):
            side.set_minor_locator(ticker.NullLocator())
    axes[0][0].set_ylabel("test KD [nats]")
    axes[0][-1].legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def front_of(path):
    """Rows (share that passes [percent], KD, accuracy [percent]) of /top, scored on all images, that no other beats in
    coverage and KD, by share."""
    top = triseg.Run(path).frame("top", codes="none")
    best = top[top.validation_images == top.validation_images.max()]
    if best.empty:
        raise ValueError(f"{path}: the search is not finished")
    rows = sorted(zip(-best.coverage, best.validation_kd, best.validation_accuracy))
    front = []
    for row in rows:
        if not front or row[1] < front[-1][1]:
            front.append(row)
    return np.array([(100 * (1 + minus), k, a) for minus, k, a in front])


def draw_fronts(o):
    figure, (by_kd, by_accuracy) = pyplot.subplots(1, 2, figsize=(7.2, 3.2))
    for item in o.inputs:
        name, equals, path = item.partition("=")
        if not equals:
            raise ValueError(f"{item}: expected NAME=RUN.h5")
        passed, kd, accuracy = front_of(path).T
        by_kd.plot(passed, kd, marker="o", markersize=3, linewidth=1, drawstyle="steps-post", label=name)
        by_accuracy.plot(passed, accuracy, marker="o", markersize=3, linewidth=1, label=name)
    for axis, label in ((by_kd, "validation KD [nats]"), (by_accuracy, "validation accuracy [%]")):
        axis.set(xlabel="activations that no staircase replaces [%]", ylabel=label)
    by_kd.set_yscale("log")
    by_kd.legend()
    return figure


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("what", choices=("budgets", "fronts"))
    arguments.add_argument("inputs", nargs="+")
    arguments.add_argument("--out", required=True, help="the SVG file")
    arguments.add_argument("--searchers", nargs="+", metavar="NAME", help="of budgets: the lines")
    o = arguments.parse_args()
    try:
        figure = (draw_budgets if o.what == "budgets" else draw_fronts)(o)
        figure.tight_layout()
        figure.savefig(o.out, metadata={"Date": None})
    except (OSError, ValueError, ModuleNotFoundError) as error:
        raise triseg.Error(error) from None


if __name__ == "__main__":
    command_line.run(main)
