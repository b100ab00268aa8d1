"""Prints finished runs as a table: a row for each set of comparable runs, with means over its seeds.

Runs are comparable that differ in nothing but the seed: network, sites, teacher, data, energies and all options that
change results are the same. Those of one seed are one run, which counts once, by its first file. A folder of `triseg
sweep`, or that searches had as --out, stands for its runs. Columns:

  run            the set of comparable runs: network, number of sites, and what tells the sets of the table apart
  seeds          how many the row has the means of
  validation KD  of the selected codes on the validation split [nats]; less is better
  KD             the same on the test split
  KD / MSE       KD over that of the MSE optimum on the same images
  teacher %      accuracy of the exact network on the test split
  student %      accuracy with the selected codes there
  drop           teacher less student [percentage points]
  coverage %     activations behind a ReLU that a staircase replaces
  passed %       activations of the sites that pass through
  energy         estimated energy of an inference [pJ]
  ms an episode  wall clock of the iterations, updates included, of the run's ranks together, divided by the episodes
  seed, file     with --each in the place of seeds: the run's

The number behind ± is half the width of the mean's 95 % interval (Student's t over the seeds); of one seed nothing is
known. "-" stands for what is not defined: a multiple of 0, or a mean with one. Runs that are not finished, and files of
one run, are named on standard error, a line each. A file with another content than its digest's is refused; `triseg
verify` proves the numbers of a file that was sealed anew. Exit status: 0 if there is a finished run, 1 if there is
none, a file cannot be read or standard output takes no more, 2 if the command line is not understood.
"""
import csv
import glob
import io
import os
import re
import tomllib

import pandas

from triseg import command_line
from triseg.files import Error
from triseg.run import Run
from triseg.score import mean_and_half_95, shown
from triseg.sweep import Sweep

# Heading, how numbers are shown, and whether more is better, by the name in --sort and CSV.
FIGURES = {"validation-kd": ("validation KD", ".4f", False), "kd": ("KD", ".4f", False),
           "kd-mse": ("KD / MSE", ".3f", False),
           "teacher": ("teacher %", ".2f", True), "student": ("student %", ".2f", True), "drop": ("drop", ".2f", False),
           "coverage": ("coverage %", ".2f", True), "passed": ("passed %", ".2f", False),
           "energy": ("energy", ".0f", False), "ms": ("ms an episode", ".2f", False)}


# What --start has put into a run file: codes, and the repair where it has one.
START = ("/sites/start_codes", "/sites/tmax", "/checkpoint/tensors/repair/multiplier",
         "/checkpoint/tensors/repair/bias")


def comparable(run):
    """What the run has in common with those it can be compared with, by name: the options that change results, which
    are the first section of its configuration, but for the seed, with content in the place of paths."""
    try:
        options = tomllib.loads(run["@config"].split("\n# ")[0])
    except tomllib.TOMLDecodeError as error:
        raise Error(f"{run.path}: /@config: {error}") from error
    options = {"final-scoring": "all", "lag": 0} | options  # of versions that had no other
    for name in ("seed", "energy-table"):
        options.pop(name, None)
    if options.get("start"):
        options["start"] = f"sha256 {run.content.digest(START)[:12]}"
    problem = run.problem
    options |= {"model": problem.model, "backend": problem.backend, "repair": run["@repair"],
                "attention-layers": ",".join(problem.attention_layers) or "none", "episodes": run["@episodes_total"],
                "sites": ",".join(run["sites/name"]), "teacher": f"sha256 {problem.model_sha256[:12]}",
                "data": f"sha256 {problem.data_sha256[:12]}"}
    return options | {f"energy_{name}": f"{value:g} pJ" for name, value in problem.energies.items()}


def figures(run):
    """A finished run's FIGURES by name; NaN where one is not defined."""
    selected = run.selected
    test, cost = selected["test"], selected["cost"]
    nan = float("nan")
    seconds, episodes = run["updates/iteration_seconds"].sum(), len(run["episodes/reward"])
    return {"validation-kd": selected["validation"]["kd"], "kd": test["kd"],
            "kd-mse": test["kd"] / selected["mse"]["kd"] if selected["mse"]["kd"] else nan,
            "teacher": test["accuracy_teacher"], "student": test["accuracy"], "drop": test["accuracy_drop"],
            "coverage": 100 * cost["coverage"], "passed": 100 * cost["passed"], "energy": cost["energy"],
            "ms": 1000 * seconds / episodes if episodes else nan}


def labels(problems):
    """A name for each of the problems of comparable(): network, number of sites, and what not all of these have in
    common."""
    networks = [f"{p['model']}, {len(p['sites'].split(','))} sites" for p in problems]

    def label(p, network):
        alike = [q for q, other in zip(problems, networks) if other == network]
        names = dict.fromkeys(name for q in alike for name in q)
        differing = [f"{name} {p.get(name, 'none')}" for name in names if len({q.get(name) for q in alike}) > 1]
        return ", ".join([network] + differing)

    return [label(p, network) for p, network in zip(problems, networks)]


def entry(run):
    """What the table takes from a finished run: (what it has in common with those it can be compared with, seed and
    FIGURES and file by name)."""
    return comparable(run), {"seed": run["@seed"]} | figures(run) | {"file": run.path}


def tabulate(entries):
    """A data frame of entries, a row each: run, seed, FIGURES, file. Those of one set have one name, `run`, and are
    together.

    >>> tabulate([entry(Run("run.h5"))])[["run", "kd", "drop"]]
                   run    kd  drop
    0  lenet5, 4 sites  0.25  6.25
    """
    sets = []
    for problem, row in entries:
        members = next((members for p, members in sets if p == problem), None)
        if members is None:
            members = []
            sets.append((problem, members))
        members.append(row)
    names = labels([problem for problem, _ in sets])
    return pandas.DataFrame([{"run": name} | row for name, (_, members) in zip(names, sets) for row in members],
                            columns=["run", "seed", *FIGURES, "file"])


def means(rows):
    """A row for each set of runs in a frame of tabulate(): run, seeds, and of every figure its mean and `FIGURE-95`,
    half the width of its 95 % interval, NaN of one seed.

    >>> rows = tabulate([entry(Run("run.h5"))])
    >>> means(pandas.concat([rows, rows.assign(seed=2, kd=0.5)]))[["run", "seeds", "kd", "kd-95"]].round(3)
                   run  seeds     kd  kd-95
    0  lenet5, 4 sites      2  0.375  1.588
    """
    found = []
    for name, group in rows.drop_duplicates(["run", "seed"]).groupby("run", sort=False):
        row = {"run": name, "seeds": len(group)}
        for figure in FIGURES:
            row[figure], row[f"{figure}-95"] = mean_and_half_95(group[figure])
        found.append(row)
    return pandas.DataFrame(found).astype({f"{figure}-95": float for figure in FIGURES})


def cells(row):
    """A row of tabulate() or means() as people read it."""
    shown_figures = []
    for figure, (_, format_, _) in FIGURES.items():
        half = row.get(f"{figure}-95", float("nan"))
        shown_figures.append(shown(row[figure], format_) + (f" ± {half:{format_}}" if half == half else ""))
    return [row["run"], str(row["seeds"] if "seeds" in row else row["seed"]), *shown_figures,
            *([row["file"]] if "file" in row else [])]


def heading(table):
    return ["run", "seeds" if "seeds" in table else "seed", *(title for title, _, _ in FIGURES.values()),
            *(["file"] if "file" in table else [])]


def note(table):
    """What a reader of the numbers has to know."""
    several = "seeds" in table and (table.seeds > 1).any()
    return ("KD in nats, energy in pJ; test split unless said" +
            ("; ± half the 95 % interval of the mean over the seeds (Student's t)" if several else ""))


def markdown(table):
    lines = [heading(table), ["---"] * len(heading(table)), *(cells(row) for _, row in table.iterrows())]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines) + f"\n{note(table)}\n"


def latex(table):
    """A tabular environment with the rules of booktabs."""
    def escaped(text):
        text = re.sub(r"[\\{}$&#^_%~]", lambda c: {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}",
                                                   "~": r"\textasciitilde{}"}.get(c[0], "\\" + c[0]), text)
        return text.replace("±", r"$\pm$")

    rows = [heading(table), *(cells(row) for _, row in table.iterrows())]
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    comment = "% " + note(table).replace("±", "+-:")
    columns = "l" + "r" * (len(FIGURES) + 1) + ("l" if "file" in table else "")
    return "\n".join([comment, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:],
                      r"\bottomrule", r"\end{tabular}", ""])


def as_csv(table):
    """Every digit; what is not defined is empty."""
    output = io.StringIO()
    table.to_csv(output, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    return output.getvalue()


def files_of(path):
    """The run files that a path on the command line stands for: a file, a folder that searches had as --out, or one of
    a sweep. Raises Error. Runs of a sweep that have not begun are
    named."""
    if not os.path.isdir(path):
        return [path]
    searched = sorted(glob.glob(os.path.join(glob.escape(path), "tri_ppo_int_codes", "*.h5")))
    if searched:
        return searched
    runs = Sweep(path).runs
    for id_ in runs.index[runs.file.isna()]:
        command_line.report(f"left out: {path}: run {id_} has not begun", "")
    return list(runs.file.dropna())


def read(paths):
    """(entries of the finished runs, True if a file could not be read); names the others on standard error."""
    entries, failed = [], False
    for path in paths:
        try:
            files = files_of(path)
        except Error as error:
            command_line.report(error)
            files, failed = [], True
        for file in files:
            try:
                run = Run(file)
                if run.finished:
                    entries.append(entry(run))
                else:
                    command_line.report(f"left out: {file}: not finished, {len(run['episodes/reward'])} of "
                                        f"{run['@episodes_total']} episodes", "")
            except Error as error:
                command_line.report(error)
                failed = True
    return entries, failed


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5|DIR",
                           help="run file of triseg search, its folder (--out), or that of triseg sweep")
    arguments.add_argument("--each", action="store_true", help="a row a run instead of means over seeds")
    arguments.add_argument("--sort", choices=FIGURES, metavar="COLUMN",
                           help=f"best first by one of {', '.join(FIGURES)}")
    form = arguments.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const=as_csv,
                      help="comma-separated values, every digit; COLUMN-95 is what stands behind ±")
    form.add_argument("--latex", dest="form", action="store_const", const=latex,
                      help="a LaTeX table (package booktabs)")
    arguments.set_defaults(form=markdown)
    o = arguments.parse_args()
    entries, failed = read(o.runs)
    if not entries:
        if not failed:
            command_line.report("no finished run")
        return 1
    rows = tabulate(entries)
    for _, group in rows.groupby(["run", "seed"], sort=False):
        if len(group) > 1:
            command_line.report(f"of equal configuration and seed, counted once in means: {' = '.join(group.file)}", "")
    table = rows if o.each else means(rows)
    if o.sort:
        table = table.sort_values(o.sort, ascending=not FIGURES[o.sort][2], kind="stable")
    print(o.form(table), end="")
    return 1 if failed else 0


def program():
    command_line.run(main)


if __name__ == "__main__":
    program()
