"""Several runs, or a sweep: which setting is better, what the options do, what a budget buys."""
import dataclasses
import html
import math

import numpy
import pandas

from triseg import table as tables
from triseg.report import outcome, series
from triseg.report.figure import Figure, Section, table
from triseg.report.svg import Plot, Scale, number, span, tag
from triseg.run import Run
from triseg.score import mean_and_half_95

COLOURS = ("c-blue", "c-orange", "c-green", "c-purple", "c-v1", "c-grey")
OF_THE_MODEL = ("attention-layers", "sites", "teacher")  # not worth a word where each network has its own
AXES = 6  # options that parallel coordinates show
ROWS = 30  # settings that a figure shows
GRID = 120  # points of a budget curve


@dataclasses.dataclass
class Member:
    """A run among others. values: what it has of the options that vary; figures: those of table.py, None unless it is
    finished."""
    run: Run
    values: dict
    setting: str
    figures: dict


def members(runs):
    """The runs with what tells them apart; those of one setting differ in the seed alone."""
    problems = [tables.comparable(run) for run in runs]
    names = dict.fromkeys(name for problem in problems for name in problem)
    varied = [name for name in names if len({str(problem.get(name, "none")) for problem in problems}) > 1]
    varied = [name for name in varied if name not in OF_THE_MODEL or not _follows(problems, name, "model")]
    varied.sort(key=lambda name: name != "model")
    found = []
    for run, problem in zip(runs, problems):
        values = {name: problem.get(name, "none") for name in varied}
        setting = ", ".join(f"{name} {value}" for name, value in values.items()) or "the one setting"
        found.append(Member(run, values, setting, tables.figures(run) if run.finished else None))
    return found


def _follows(problems, name, other):
    """True if runs that have `other` in common have `name` in common, too."""
    pairs = {(str(problem.get(other)), str(problem.get(name))) for problem in problems}
    return len(pairs) == len({value for value, _ in pairs})


def leaderboard(found):
    """A row a setting, of its finished runs: means and half intervals, as table.means() has them, least KD on
    validation first; empty if no run is finished."""
    rows = [{"run": m.setting, "seed": m.run["@seed"]} | m.figures for m in found if m.figures]
    if not rows:
        return pandas.DataFrame()
    return tables.means(pandas.DataFrame(rows)).sort_values("validation-kd", kind="stable", ignore_index=True)


def chapter(found, prefix="all-"):
    """The comparison as HTML."""
    board = leaderboard(found)
    sections = [Section("leaderboard", "Leaderboard", note(found), board_figures(board), board_table(board)),
                options(found), budgets(found, board), all_runs(found)]
    sections = [section for section in sections if section]
    links = "".join(f'<li><a href="#{prefix}{s.key}">{html.escape(s.title)}</a></li>' for s in sections)
    said = "".join(f'<p class="summary">{sentence}</p>\n' for sentence in sentences(found, board))
    return (f'<div class="chapter">{said}<p class="note">{outcome.KD_IS}.</p><nav '
            f'aria-label="Sections"><ul>{links}</ul></nav>\n' +
            "".join(section.html(prefix) for section in sections) + "</div>\n")


def sentences(found, board):
    settings = list(dict.fromkeys(m.setting for m in found))
    seeds = len({m.run["@seed"] for m in found})
    varied = ", ".join(f"<code>{html.escape(name)}</code>" for name in found[0].values) or "nothing but the seed"
    done = sum(m.figures is not None for m in found)
    first = (f"{len(found)} searches are compared, of {len(settings)} setting{'s' * (len(settings) > 1)} and {seeds} "
             f"seed{'s' * (seeds > 1)}; what varies is {varied}.")
    if not len(board):
        return [first, "None of them is finished, so there is nothing to rank yet.", "Below is how far they have come."]
    best = board.iloc[0]
    half = best["validation-kd-95"]
    second = (f"The least KD on validation images, "
              f"{best['validation-kd']:.4f}{f' ± {half:.4f}' if half == half else ''} nats, has "
              f"<b>{html.escape(best.run)}</b>; its students are right on {best.student:.2f} % of the test images, a "
              f"drop of {best['drop']:.2f} points.")
    rest = "" if done == len(found) else f" ({done} of the {len(found)} are finished.)"
    return [first, second, lead(found, board) + rest]


def spread(found):
    """What the seeds of the one setting make of its KD, less the full stop: from where to where, and how far apart."""
    kd = {}
    for m in found:
        if m.figures:
            kd.setdefault(m.run["@seed"], m.figures["validation-kd"])
    if len(kd) < 2:
        return ""
    low, high = (f(kd, key=kd.get) for f in (min, max))
    return (f"; over its {len(kd)} seeds KD on validation goes from {kd[low]:.4f} (seed {low}) to {kd[high]:.4f} (seed "
            f"{high}), with a standard deviation of {numpy.std(list(kd.values()), ddof=1):.4f}")


def lead(found, board):
    """What the first setting has over the second, paired by seed; of one seed's files the first counts, as in the
    leaderboard."""
    if len(board) < 2:
        return f"There is no other setting to compare it with{spread(found)}."
    kd = [{m.run["@seed"]: m.figures["validation-kd"] for m in reversed(found) if m.figures and
           m.setting == board.run[i]} for i in (0, 1)]
    both = sorted(set(kd[0]) & set(kd[1]))
    second = html.escape(board.run[1])
    if len(both) < 2:
        behind = board["validation-kd"][1] - board["validation-kd"][0]
        return f"The next is {second}, {behind:.4f} nats behind; one seed does not tell them apart."
    mean, half = mean_and_half_95([kd[1][seed] - kd[0][seed] for seed in both])
    told = "the interval excludes 0" if abs(mean) > half else "the interval holds 0, so the two are not told apart"
    return (f"The next is {second}, {mean:.4f} ± {half:.4f} nats behind (95 % interval over {len(both)} seeds in "
            f"common): {told}.")


def note(found):
    several = len({(m.run["@model"], m.run.problem.data_sha256) for m in found}) > 1
    return ("<p>KD of different networks or data sets does not compare; they stand side by side all the same.</p>"
            if several else "")


def board_figures(board):
    if not len(board):
        return []
    shown = board.head(ROWS)
    few = f" The best {ROWS} of {len(board)} settings." if len(board) > ROWS else ""
    figures = []
    for name, title, axis in (("validation-kd", "KD on validation", "KD [nats]"), ("kd", "KD on test", "KD [nats]"),
                              ("drop", "Accuracy drop on test", "points")):
        half = shown[f"{name}-95"].fillna(0)
        plot = Plot.rows(span(shown[name] - half, shown[name] + half), [str(i + 1) for i in range(len(shown))], axis,
                         22)
        for i, row in shown.iterrows():
            tip = f"{i + 1}: {row.run}: {row[name]:.4f}" + (f" ± {half[i]:.4f}" if half[i] else "")
            plot.whisker(i, row[name], row[name] - half[i], row[name] + half[i], "c-blue", tip)
        figures.append(Figure(f"board-{name}", title, plot.svg(title + " by setting"),
                              "Means over seeds, with 95 % intervals (Student's t), by the "
                              f"setting's place in the table below; lower is better.{few}"))
    return figures


def board_table(board):
    if not len(board):
        return "<p>No run is finished.</p>"
    rows = [[f"{i + 1}", *tables.cells(row)] for i, row in board.iterrows()]
    return table(["place", "setting", *tables.heading(board)[1:]], rows, "board",
                 "Settings, least KD on validation first: " + html.escape(tables.note(board)))


def options(found):
    """The section "options": what the options that vary have to do with KD."""
    done = [m for m in found if m.figures]
    names = list(found[0].values)
    if len(done) < 2 or not names:
        return None
    figures = [parallel(done, names[:AXES], len(names))]
    if len(names) > 1:
        figures.append(heat_map(done, *sorted(names, key=lambda name: -len({str(m.values[name]) for m in done}))[:2]))
    return Section("options", "What the options do", "", figures)


def ordered(values):
    """The distinct values: numbers ascending, else as they come."""
    distinct = list(dict.fromkeys(values))
    return sorted(distinct) if all(isinstance(v, (int, float)) and not isinstance(v, bool)
                                   for v in distinct) else distinct


def parallel(done, names, count):
    """Parallel coordinates: an axis for each of the names, the first of `count` options, the last one KD; a line a run.
    """
    plot = Plot((-0.25, len(names) + 0.25), (0, 1), "", "", left=30, right=30, bottom=26 if len(names) < 3 else 40)
    plot.x_ticks, plot.y_ticks = [], []
    kd = numpy.array([m.figures["validation-kd"] for m in done])
    scales = [{str(v): (i + 0.5) / len(order) for i, v in enumerate(order)}
              for order in (ordered(m.values[n] for m in done) for n in names)]
    last = Scale(*span(kd, margin=0.08), 0, 1)
    good = kd <= numpy.quantile(kd, 0.25)
    for m, value, best in sorted(zip(done, kd, good), key=lambda each: each[2]):
        ys = [scale[str(m.values[name])] for scale, name in zip(scales, names)] + [float(last(value))]
        line = " ".join(f"{number(plot.x(i))},{number(plot.y(y))}" for i, y in enumerate(ys))
        twice = "".join(tag("path", d="M" + line.replace(" ", "L"), class_=css)
                        for css in ("line " + ("c-blue" if best else "c-faint"), "wide-target"))
        tip = f"{m.setting}, seed {m.run['@seed']}: KD {value:.4f}"
        plot.marks.append(tag("g", twice, class_="thread", data_tip=tip))
    for i, name in enumerate([*names, "KD on validation"]):
        plot.upright(i, "c-text thin")
        plot.text(i, 0, name, "middle", dy=18 + 14 * (i % 2 if len(names) > 2 else 0))
    for i, scale in enumerate(scales):
        for value, y in scale.items() if len(scale) <= 12 else list(scale.items())[::math.ceil(len(scale) / 12)]:
            plot.text(i, y, value if len(value) < 15 else value[:13] + "…", "end" if i else "start", dx=-5 if i else 5,
                      css="small halo")
    for value, text in last.ticks(5):
        plot.text(len(names), float(last(value)), text, "end", dx=-5, css="small halo")
    return Figure("parallel", "Options and KD of every run",
                  plot.svg("Parallel coordinates of the options that vary and KD"),
                  "A line is a finished run, from the values of its options on the left to its KD on validation on the "
                  "right; lower is better. The quarter of least KD is blue. Point at a line to read it." +
                  (f" Of {count} options the first {AXES} are drawn." if count > AXES else ""),
                  (("c-blue", "best quarter"), ("c-faint", "others")), "half")


def heat_map(done, across, down):
    """Mean KD for each pair of values of two options."""
    xs, ys = ordered(m.values[across] for m in done), ordered(m.values[down] for m in done)
    plot = Plot.rows((-0.5, len(xs) - 0.5), [str(y) for y in ys], across, max(22, 150 // len(ys)))
    plot.x_ticks = [(i, str(x)) for i, x in enumerate(xs)][::math.ceil(len(xs) / 8)]
    cells = {}
    for m in done:
        cells.setdefault((xs.index(m.values[across]), ys.index(m.values[down])), []).append(m.figures["validation-kd"])
    means = {place: float(numpy.mean(values)) for place, values in cells.items()}
    low, high = min(means.values()), max(means.values())
    for (i, j), mean in means.items():
        level = round(5 * (mean - low) / (high - low)) if high > low else 0
        plot.box_of(i - 0.48, i + 0.48, j - 0.47, j + 0.47, f"c-blue heat-{level}",
                    f"{across} {xs[i]}, {down} {ys[j]}: mean KD {mean:.4f} of {len(cells[i, j])} runs")
        if len(xs) <= 8:
            plot.text(i, j, f"{mean:.4f}", "middle", css="through")
    return Figure("heat", f"KD by {across} and {down}", plot.svg(f"Mean KD by {across} and {down}"),
                  f"Mean KD on validation of all finished runs with these values of <code>{html.escape(across)}</code> "
                  f"(across) and <code>{html.escape(down)}</code> (down), over seeds and all else that varies; lighter "
                  f"is lower, and lower is better.", size="half")


def budgets(found, board):
    """The section "budget": how good settings are after so many episodes."""
    order = list(board.run) if len(board) else list(dict.fromkeys(m.setting for m in found))
    shown = [s for s in order if any(m.setting == s and len(m.run.episodes) for m in found)][:len(COLOURS)]
    if not shown:
        return None
    few = f" The best {len(shown)} of {len(order)} settings are drawn." if len(shown) < len(order) else ""
    legend = tuple(zip(COLOURS, shown))
    band = ("lines are means over the seeds, bands go from the worst seed to the best, both as far as every seed has "
            "come." + few)
    gain = budget_plot(found, shown, gains, "best gain so far")
    figures = [Figure("budget-gain", "What a budget buys: gain", gain.svg("Best gain so far over episodes, by setting"),
                      "Best reward so far less that of the start on the same images, higher is better: of one batch of "
                      "images, so luck is in it; "
                      + band, legend, "half")]
    if any(len(m.run.evaluations) for m in found if m.setting in shown):
        kd = budget_plot(found, shown, validation_kd, "KD on validation [nats]")
        figures.append(Figure("budget-kd", "What a budget buys: KD on validation",
                              kd.svg("Validation KD over episodes, by setting"),
                              "KD of the most probable codes, on the same validation images each time; lower is "
                              "better; " + band, legend, "half"))
    return Section("budget", "Budget", "", figures)


def gains(run, grid):
    """Best gain so far at the episodes of the grid; NaN behind the run's end."""
    gain = series.gain(run)
    if not len(gain):
        return numpy.full(len(grid), numpy.nan)
    best = numpy.fmax.accumulate(gain)
    return numpy.where(grid <= len(gain), best[numpy.clip(grid - 1, 0, len(gain) - 1)], numpy.nan)


def validation_kd(run, grid):
    """Validation KD at the episodes of the grid, linear between evaluations, of branches that take turns the least; NaN
    before the first and behind the last."""
    frame = run.evaluations
    if not len(frame):
        return numpy.full(len(grid), numpy.nan)
    ends = run.episodes.groupby("iteration").size().cumsum()
    at = ends.reindex(frame.iteration, method="ffill").to_numpy()
    turns = max(1, run.updates.branch.nunique())
    latest = frame.validation_kd.rolling(turns, min_periods=1).min().to_numpy()
    return numpy.interp(grid, at, latest, left=numpy.nan, right=numpy.nan)


def budget_plot(found, shown, values, axis):
    """A line and a band for each setting of those `shown`, over the seeds that have values at all, as far as all of
    these have one: a mean over fewer seeds would jump where one ends."""
    longest = max(len(m.run.episodes) for m in found)
    grid = numpy.unique(numpy.linspace(1, longest, min(GRID, longest)).round().astype(int))
    curves = []
    for css, setting in zip(COLOURS, shown):
        of = numpy.array([values(m.run, grid) for m in found if m.setting == setting])
        begun = numpy.isfinite(of).any(axis=1)
        of = of[begun] if begun.any() else of
        curves.append((css, setting, of.mean(axis=0), of.min(axis=0), of.max(axis=0)))
    plot = Plot((0, longest), span(*(curve for each in curves for curve in each[3:])), "episodes", axis, zoom="x",
                whole="x")
    for css, _, mean, low, high in curves:
        plot.band(grid, low, high, css)
        plot.line(grid, mean, css)
    plot.read_across("after episode", grid, [(setting, css, mean) for css, setting, mean, _, _ in curves])
    return plot


def all_runs(found):
    rows = [[m.setting, str(m.run["@seed"]), m.run.status, f"{len(m.run.episodes):,}",
             *([f"{m.figures['validation-kd']:.5f}", f"{m.figures['kd']:.5f}", f"{m.figures['student']:.2f}"]
               if m.figures else ["-"] * 3),
             m.run.path] for m in found]
    head = ["setting", "seed", "status", "episodes", "KD on validation", "KD on test", "accuracy on test %", "file"]
    return Section("runs", "All runs", f"<details><summary>{len(found)} runs</summary>{table(head, rows)}</details>\n")
