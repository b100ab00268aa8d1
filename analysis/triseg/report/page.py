"""The page: one HTML file that holds its styles, its figures and what moves them."""
import html
import importlib.resources

import triseg
from triseg.report import outcome, search, sensitivity, sites

FILES = importlib.resources.files("triseg.report")


def run_chapter(run, measured=None, prefix="", heading=None):
    """A run as HTML: sentences, tiles, sections; of several on a page each has a heading, and its anchors a prefix.
    measured: what sensitivity.read() found, or None."""
    sections = [outcome.section(run), *search.sections(run), *sites.sections(run), sensitivity.section(measured)
                if measured else None,
                outcome.front(run), outcome.cost(run), outcome.reproduction(run)]
    sections = [section for section in sections if section]
    top = f'<h2 id="{prefix}run"><a href="#{prefix}run">{html.escape(heading)}</a></h2>\n' if heading else ""
    note = "" if heading else f'<p class="note">{outcome.KD_IS}.</p>'  # the comparison above has it
    links = "".join(f'<li><a href="#{prefix}{s.key}">{html.escape(s.title)}</a></li>' for s in sections)
    said = "".join(f'<p class="summary">{sentence}</p>\n' for sentence in outcome.sentences(run))
    return (f'<div class="chapter">{top}{said}{note}{tiles(run)}<nav aria-label="Sections"><ul>{links}</ul></nav>\n' +
            "".join(section.html(prefix) for section in sections) + "</div>\n")


def tiles(run):
    """The figures that people look for first."""
    if not run.finished:
        return ""
    s = run.selected
    test, cost, kd_mse = s["test"], s["cost"], s["mse"]["kd"]
    entries = [("accuracy on test", f"{test['accuracy']:.2f} %", f"teacher {test['accuracy_teacher']:.2f} %"),
               ("accuracy drop", f"{test['accuracy_drop']:.2f} points",
                f"95 %: {run['selected/test_accuracy_drop_low']:.2f} to {run['selected/test_accuracy_drop_high']:.2f}"),
               ("KD on test", f"{test['kd']:.4f} nats", f"{test['kd'] / kd_mse:.2f} times the MSE optimum's" if kd_mse
                else "MSE optimum: 0"),
               ("activations replaced", f"{100 * cost['coverage']:.1f} %",
                f"{100 * cost['passed']:.1f} % of the sites' pass"),
               ("energy of an inference", f"{cost['energy'] / 1e6:.3g} µJ",
                f"{100 * (1 - cost['energy'] / cost['energy_exact']):.0f} % less than exact" if cost["energy_exact"]
                else "")]
    return '<dl class="tiles">' + "".join(f"<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>"
                                          for name, value, more in entries) + "</dl>\n"


def title_of(run):
    return f"{run.problem.display_name} on {outcome.data_name(run)}"


def document(title, origin, body):
    """The whole file as text."""
    asset = lambda name: FILES.joinpath(name).read_text("utf-8").strip()
    licence = asset("d3/LICENSE").replace("*/", "")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="triseg report {html.escape(triseg.__version__)}">
<title>{html.escape(title)} – triseg report</title>
<link rel="icon" href="data:,">
<style>
{asset("report.css")}
</style>
</head>
<body>
<header><h1>{html.escape(title)}</h1><p class="origin">{html.escape(origin)}</p></header>
<main>
{body}</main>
<footer><p>Made by <code>triseg report</code>. Drag across a figure to look closer, double-click to see all of it again.
The page needs no network; D3 {_d3_version()} (ISC licence) is inside.</p></footer>
<script>/*!
{licence}
*/
{asset("d3/d3.min.js")}</script>
<script>
{asset("report.js")}
</script>
</body>
</html>
"""


def _d3_version():
    return FILES.joinpath("d3/d3.min.js").read_text("utf-8").split(" v", 1)[1].split(" ", 1)[0]
