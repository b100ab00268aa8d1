"""What each site's staircase costs, as `triseg sensitivity RESULT.json --out FILE` has written it."""
import html
import json
import math
import os

from triseg import command_line
from triseg.codes import CODES
from triseg.files import Error, read_text
from triseg.report.figure import Figure, Section
from triseg.report.svg import Plot, span

# Figures: key, title, unit, and the entries of the file: a site alone, all but the site, all.
FIGURES = (("kd", "KD by site", "KD [nats]", "kd_alone", "kd_without", "kd"),
           ("drop", "Accuracy drop by site", "accuracy drop [points]", "acc_drop_alone", "acc_drop_without",
            "acc_drop"))
ENDS = ("value", "low", "high")


def read(path, run):
    """Its values. Raises Error for what is no such file, or was not measured of the run's selected student."""
    try:
        values = json.loads(read_text(path))
        if values["format"] != "triseg-sensitivity":
            raise ValueError("not a file of triseg sensitivity")
        entries = [values[all_] for *_, all_ in FIGURES]
        entries += [site[name] for site in values["sites"] for *_, alone, without, _ in FIGURES
                    for name in (alone, without, "kd_saved")]
        if not all(isinstance(entry[end], (int, float)) and math.isfinite(entry[end]) for entry in entries
                   for end in ENDS):
            raise ValueError(
                "a number is not finite, as the bounds of intervals from a single record of images are not")
        if not all(isinstance(values[name], str) for name in ("split", "repair", "result")):
            raise ValueError("a name is no text")
        codes = {site["site"]: [site["codes"][code] for code in CODES] for site in values["sites"]}
        if not codes or not isinstance(values["images"], int):
            raise ValueError("no sites, or no number of images")
        of_file = [values[name] for name in ("teacher_sha256", "data_sha256", "temperature", "repair")]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Error(f"{path}: expected a file of triseg sensitivity --out: {error}") from error
    if not run.finished:
        raise Error(f"{path}: {run.path} is not finished, so it has no selected student yet")
    problem = run.problem
    of_run = [problem.model_sha256, problem.data_sha256, problem.temperature, run["@repair"]]
    other = [name for name, here, there in zip(("teacher", "images", "temperature", "repair"), of_file, of_run)
             if here != there]
    if codes != dict(zip(run.sites.index, run.selected["codes"].tolist())):
        other.append("codes")
    if other:
        remedy = "" if run["@repair"] == "none" else f" --repair {run['@repair']}"
        raise Error(f"{path}: it is of another student than the selected one of {run.path}: other {', '.join(other)}; "
                    f"measure that with triseg sensitivity RESULT.json{remedy} --out FILE")
    return values


def beside(run):
    """The values of NAME.sensitivity.json beside NAME.h5; None where there is none, or where it does not fit the run,
    which is said on standard error."""
    path = os.path.splitext(run.path)[0] + ".sensitivity.json"
    if not os.path.exists(path):
        return None
    try:
        return read(path, run)
    except Error as error:
        command_line.report(f"left out: {error}", "")
        return None


def section(values):
    """The section "sensitivity"."""
    text = (f"<p>What each staircase costs, on {values['images']:,} images of the {html.escape(values['split'])} "
            f"split, repair {html.escape(values['repair'])}: <code>triseg sensitivity "
            f"{html.escape(values['result'])}</code>.</p>")
    return Section("sensitivity", "Sensitivity", text, [*(figure(values, *each) for each in FIGURES), saved(values)])


def figure(values, key, title, unit, alone, without, all_):
    sites = values["sites"]
    names = [site["site"] for site in sites]
    entries = [site[name] for site in sites for name in (alone, without)] + [values[all_]]
    plot = Plot.rows(span(*([entry[end] for entry in entries] for end in ENDS), zero=True), names, unit)
    plot.upright(values[all_]["value"], "c-grey dashed")
    for i, site in enumerate(sites):
        for offset, name, css, text in ((-0.14, alone, "c-blue", "alone"),
                                        (0.14, without, "c-orange", "all but this site")):
            value, low, high = (site[name][end] for end in ENDS)
            plot.whisker(i + offset, value, low, high, css, f"{names[i]}, {text}: {value:.4g} [{low:.4g}, {high:.4g}]")
    return Figure(f"sensitivity-{key}", title, plot.svg(title),
                  "Blue: only this site has its staircase, the others are exact. Orange: all sites "
                  "but this one have theirs. Dashed: all have. Lines are 95 % intervals; lower is better.",
                  (("c-blue", "this site alone"), ("c-orange", "all but this site"), ("c-grey dashed", "all sites")),
                  "half")


def saved(values):
    """KD that the student would lose if a site were exact, paired by records of 125 images."""
    names = [site["site"] for site in values["sites"]]
    entries = [site["kd_saved"] for site in values["sites"]]
    plot = Plot.rows(span(*([entry[end] for entry in entries] for end in ENDS), zero=True), names, "KD saved [nats]")
    plot.upright(0, "c-grey dashed")
    for i, entry in enumerate(entries):
        value, low, high = (entry[end] for end in ENDS)
        plot.whisker(i, value, low, high, "c-green", f"{names[i]}: {value:.4g} [{low:.4g}, {high:.4g}]")
    return Figure("sensitivity-saved", "KD saved by leaving a site exact", plot.svg("KD saved by leaving a site exact"),
                  "KD with all staircases less KD with all but this one, paired over records of 125 images; lines are "
                  "95 % intervals. Right of 0 the site's staircase costs KD; left of 0 its errors cancel those of "
                  "others.")
