"""Makes one page of runs or of a sweep: what was searched, what came out, and figures of all of it, in a file that
needs no network.

A run file named here, or in a folder that searches had as --out, gets a chapter: outcome, search, learning, sites,
codes, Pareto front, cost, configuration.
Several runs, or the folder of a sweep, are compared first; of a sweep, and of more than 8 files, the run of least KD on
validation has the only chapter. A run need not be finished. NAME.sensitivity.json beside NAME.h5, which triseg
sensitivity has written of the run's result, adds what each site's staircase costs; one of another student is left out,
which is said on standard error.

--png and --pdf need Chromium. Exit status: 0 if all is written, 1 if something cannot be read or written, 2 if the
command line is not understood.
"""
import os

from triseg import command_line
from triseg.files import Error, commit, name_of, reason
from triseg.report import browser, compare, page, sensitivity
from triseg.run import Run
from triseg.table import files_of

CHAPTERS = 8  # the most run files that have a chapter each


def read(paths):
    """(runs, whether a sweep is among the paths, whether something could not be read, which is named)."""
    runs, sweep, failed = {}, False, False
    for path in paths:
        try:
            sweep = sweep or os.path.exists(os.path.join(path, "sweep.json"))
            for file in files_of(path):
                runs.setdefault(os.path.realpath(file), Run(file))
        except Error as error:
            command_line.report(error)
            failed = True
    return list(runs.values()), sweep, failed


def body(runs, sweep, measured):
    """(title, the page's HTML). measured: the path of a file of triseg sensitivity for the one run, or None."""
    def chapter(run, **where):
        found = sensitivity.read(measured, run) if measured else sensitivity.beside(run)
        return page.run_chapter(run, found, **where)

    if len(runs) == 1:
        return page.title_of(runs[0]), chapter(runs[0])
    if measured:
        raise Error("--sensitivity is of one run: give one, or let the files stand beside theirs as "
                    "NAME.sensitivity.json")
    found = compare.members(runs)
    title = ", ".join(dict.fromkeys(page.title_of(run) for run in runs)) + f": {len(runs)} runs"
    if sweep or len(runs) > CHAPTERS:
        done = [m for m in found if m.figures]
        best = min(done, key=lambda m: m.figures["validation-kd"], default=None)
        heading = "The run of least KD on validation: "
        chapters = [chapter(best.run, prefix="best-", heading=heading + label(best))] if best else []
    else:
        chapters = [chapter(m.run, prefix=f"run-{i}-", heading=f"Run {i}: {label(m)}") for i, m in enumerate(found, 1)]
    return title, compare.chapter(found) + "".join(chapters)


def label(member):
    return ", ".join([*([member.setting] if member.values else []), f"seed {member.run['@seed']}"])


def pictures(path, folder, pdf):
    """Each figure of the page as a PNG of its name, light, in the folder, and the page as a PDF; None leaves one out.
    """
    with browser.Browser() as chromium:
        chromium.open(path, height=1600, density=2)
        if folder:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise Error(f"cannot write {folder}: {reason(error)}") from error
            for key in chromium.evaluate("[...document.querySelectorAll('figure')].map(figure => figure.id)"):
                commit(os.path.join(folder, f"{key}.png"), chromium.picture(key))
        if pdf:
            commit(pdf, chromium.pdf())


def check_output(path, begin):
    """Raises Error if the path names a file that does not begin as one that this program writes there."""
    if path and os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                own = file.read(len(begin)) in (begin, b"")
        except OSError as error:
            raise Error(f"cannot read {path}: {reason(error)}") from error
        if not own:
            raise Error(f"{path} is there and was not written by triseg report: move it away or choose another name")


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5|DIR",
                           help="run file of triseg search, its folder (--out), or that of triseg sweep")
    arguments.add_argument("-o", "--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    arguments.add_argument("--sensitivity", metavar="FILE",
                           help="of one run, what triseg sensitivity --out has written, wherever it lies")
    arguments.add_argument("--png", metavar="DIR", help="also write each figure as a PNG into this folder")
    arguments.add_argument("--pdf", metavar="FILE", help="also write the page as a PDF")
    o = arguments.parse_args()
    check_output(o.out, b"<!DOCTYPE html>")
    check_output(o.pdf, b"%PDF")
    runs, sweep, failed = read(o.runs)
    if not runs:
        if not failed:
            command_line.report("no run")
        return 1
    title, content = body(runs, sweep, o.sensitivity)
    commit(o.out, page.document(title, ", ".join(map(name_of, o.runs)), content).encode(errors="replace"))
    if o.png or o.pdf:
        pictures(o.out, o.png, o.pdf)
    return 1 if failed else 0


def program():
    command_line.run(main)
