"""Makes one page of runs or a sweep: what was searched, what came out, and every figure of it, in a file that needs no
network.

A run file named on the command line gets a chapter: outcome, search, learning, sites, codes, Pareto front, cost, configuration.
Several runs, or the folder of a sweep, are compared first. NAME.sensitivity.json beside NAME.h5, written by triseg
sensitivity, adds what each site's staircase costs. A run need not be finished.

--png and --pdf need Chromium. Exit status: 0 if all is written, 1 if a file cannot be read or written, 2 if the command line is
not understood.
"""
import os

from triseg import command_line
from triseg.files import commit
from triseg.report import page, sensitivity
from triseg.run import Run


def main():
    arguments = command_line.parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5|SWEEP-DIR", help="run file of triseg search, or folder of triseg sweep")
    arguments.add_argument("-o", "--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    o = arguments.parse_args()
    run = Run(o.runs[0])
    beside = sensitivity.beside(run.path)
    commit(o.out, page.document(page.title_of(run), run.path, page.run_chapter(run, sensitivity.read(beside, run) if beside else None)).encode())
    return 0


def program():
    command_line.run(main)
