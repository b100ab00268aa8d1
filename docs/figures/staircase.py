#!/usr/bin/env python3
"""Draws a site's histogram with its staircase, as in triseg report, as an SVG of its own.

    docs/figures/staircase.py RUN.h5 SITE > docs/figures/staircase.svg
"""
import os
import re
import sys

ANALYSIS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "analysis")
sys.path.append(ANALYSIS)
from triseg import Run  # noqa: E402  behind its folder
from triseg.report import sites  # noqa: E402


def main(path, site):
    run = Run(path)
    codes, what = sites.chosen(run)
    row = list(run.sites.index).index(site)
    drawing = sites.histogram(site, run.histograms[row], codes[row], what).body
    with open(os.path.join(ANALYSIS, "triseg", "report", "report.css"), encoding="utf-8") as file:
        style = file.read()
    svg = re.search(r"<svg.*</svg>", drawing, re.DOTALL)[0]
    if "xmlns=" not in svg:
        svg = svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    style = re.sub(r"\s+", " ", style)
    print(re.sub(r"<svg([^>]*)>", lambda found: f'<svg{found[1]} width="660"><style>.plot {{ font-family: sans-serif; '
                 f'}} {style}</style>', svg, count=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
