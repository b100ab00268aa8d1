"""What each site's staircase does, where its codes went in the search, and how those of the finalists spread."""
import numpy

from triseg.codes import CODES
from triseg.report import series
from triseg.report.figure import Figure, Section, identifier, table
from triseg.report.search import width_of
from triseg.report.svg import Plot, span

# What becomes of an activation, and the colour of it.
REGIONS = (("zero", "becomes 0", "c-zero"), ("v1", "becomes v1", "c-v1"), ("v2", "becomes v2", "c-v2"),
           ("passed", "passes", "c-passed"))
CODE_STYLES = {"t1": "c-zero dashed", "v1": "c-v1", "t2": "c-grey dashed", "v2": "c-v2", "tmax": "c-passed"}


def chosen(run):
    """((sites, 5) codes that the page shows, what they are)."""
    if run.finished:
        return run.selected["codes"], "selected"
    if len(run.episodes):
        gain = series.gain(run)
        return run.codes("episodes")[numpy.nanargmax(gain) if numpy.isfinite(gain).any() else 0], "best so far"
    return numpy.column_stack([run["sites/start_codes"], run["sites/tmax"]]), "start"


def region_of(codes):
    """(256): 0 to 3, the row of REGIONS that each code falls into."""
    t1, _, t2, _, tmax = (int(code) for code in codes)
    return numpy.searchsorted([t1, t2, tmax], numpy.arange(256), side="left")


def sections(run):
    codes, what = chosen(run)
    names = list(run.sites.index)
    histograms = [histogram(name, counts, row, what) for name, counts, row in zip(names, run.histograms, codes)]
    text = ("<p>A <em>site</em> is a place behind a layer of the network where a staircase replaces the 8-bit "
            "activations q: those up to t1 become 0, those up to t2 become v1, those up to tmax become v2, and larger "
            "ones pass as they are.</p>")
    found = [Section("sites", "Sites", text, [shares(run, codes, what), *histograms], code_table(names, codes, what))]
    wander = [wandering(run, i, name) for i, name in enumerate(names)] if len(run.episodes) else []
    if wander:
        found.append(Section("codes", "Codes over the search", "", wander))
    if len(run.top):
        found.append(Section("finalists", "Codes of the finalists", "", [top_spread(run, names)]))
    return found


def code_table(names, codes, what):
    rows = [[name, *(str(int(code)) for code in row)] for name, row in zip(names, codes)]
    return table(["site", *CODES], rows, caption=f"The codes ({what})")


def histogram(name, counts, codes, what):
    """A site's histogram on a logarithmic axis, coloured by what becomes of each code, with the staircase."""
    share = counts / max(1, counts.sum())
    seen = numpy.flatnonzero(counts)
    last = int(max(seen[-1] if len(seen) else 0, codes[4])) + 2
    low = 10.0 ** numpy.floor(numpy.log10(share[seen].min())) if len(seen) else 1e-3
    plot = Plot((-1, min(256, last)), (low, 1.2), "activation q (8-bit code)", "share of activations", log="y",
                zoom="x", whole="x", right=40)
    regions = region_of(codes)
    for region, (_, _, css) in enumerate(REGIONS):
        mine = seen[regions[seen] == region]
        plot.bars(mine, share[mine], 0.9, css)
    for threshold in (codes[0], codes[2], codes[4]):
        plot.upright(threshold + 0.5, "c-text thin dashed")
    staircase(plot, codes, min(255, last - 2))
    outputs = [0, int(codes[1]), int(codes[3])]
    tips = [outputs[r] if r < 3 else q for q, r in enumerate(regions)][:last]
    plot.read_across("q", numpy.arange(last), [("share", "c-blue", share[:last]), ("becomes", "c-text", tips)])
    legend = [(css, text) for _, text, css in REGIONS]
    named = ", ".join(f"{name}\u00a0=\u00a0{code}" for name, code in zip(CODES, codes))
    caption = (f"Activations of calibration images, coloured by what becomes of them. The line is the {what} "
               f"staircase, its output on the right; dashed uprights are its thresholds: {named}.")
    return Figure("site-" + identifier(name), f"Site {name}", plot.svg(f"Histogram and staircase of site {name}"),
                  caption, tuple(legend))


def staircase(plot, codes, last):
    """The output code over q, on an axis of its own to the right, whose range is that of q."""
    t1, v1, t2, v2, tmax = (int(code) for code in codes)
    top = max(last, v2)
    height = lambda value: plot.y.low * (plot.y.high / plot.y.low) ** (0.02 + 0.93 * value / top)
    xs = [-1, t1 + 0.5, t2 + 0.5, tmax + 0.5]
    ys = [height(0), height(v1), height(v2), height(min(tmax + 1, top))]
    if tmax < last:
        plot.line(xs[:-1] + [tmax + 0.5], ys[:3] + [ys[2]], "c-text", step=True)
        plot.line([tmax + 0.5, tmax + 0.5, last + 0.5], [ys[2], ys[3], height(last)], "c-text")
    else:
        plot.line(xs[:-1] + [last + 1], ys[:3] + [ys[2]], "c-text", step=True)
    for label, share in _apart([("0", 0), (f"v1 {v1}", v1 / top), (f"v2 {v2}", v2 / top)], 0.055):
        plot.text(plot.x.high, height(top * share), label, dx=3, css="small")


def shares(run, codes, what):
    """What becomes of the activations, a bar a site."""
    names, histograms = list(run.sites.index), run.histograms
    plot = Plot.rows((0, 100), names, "share of the site's activations [%]", 26)
    for i, (counts, row) in enumerate(zip(histograms, codes)):
        total = numpy.bincount(region_of(row), weights=counts, minlength=4) / max(1, counts.sum())
        at = 0.0
        for (_, text, css), share in zip(REGIONS, 100 * total):
            plot.box_of(at, at + share, i - 0.36, i + 0.36, css, f"{names[i]}: {share:.2f} % {text}")
            at += share
    caption = (f"By the histograms of calibration, with the codes that are {what}. What becomes 0 needs no "
               f"multiplication, what becomes v1 or v2 only additions; what passes costs as before.")
    return Figure("shares", "What becomes of the activations", plot.svg("Shares of activations by site"), caption,
                  tuple((css, text) for _, text, css in REGIONS))


def top_spread(run, names):
    """The codes of all finalists, a row a site."""
    codes = run.codes("top").astype(float)
    plot = Plot.rows((0, max(20, codes.max() * 1.03)), names, "code", 34)
    selected = run.selected["codes"]
    for j, code in enumerate(CODES):
        offset = (j - 2) * 0.16
        for i, name in enumerate(names):
            low, high = codes[:, i, j].min(), codes[:, i, j].max()
            tip = f"{name}, {code}: {low:.0f} to {high:.0f}, selected {selected[i, j]}"
            plot.whisker(i + offset, selected[i, j], low, high, CODE_STYLES[code].split()[0], tip)
        plot.dots(codes[:, :, j].ravel(), numpy.tile(numpy.arange(len(names)) + offset, len(codes)),
                  "small " + CODE_STYLES[code].split()[0])
    caption = (f"The {len(codes)} finalists, the candidates that were scored again on validation images: small dots "
               f"are their codes, lines go from the least to the largest, large dots are the selected ones. A short "
               f"line is a code that all finalists agree on.")
    return Figure("top-spread", "How the finalists' codes spread", plot.svg("Spread of the codes of the finalists"),
                  caption,
                  tuple((CODE_STYLES[code].split()[0], code) for code in CODES), "half")


def wandering(run, i, name):
    """Where the codes of a site went over the episodes."""
    turns = max(1, run.updates.branch.nunique())
    steps = series.Iterations(run.episodes.iteration, turns=turns)
    codes = run.codes("episodes")[:, i, :].astype(float)
    searched = bool(run["sites/tmax_searched"][i]) or numpy.ptp(codes[:, 4]) > 0
    plot = Plot(width_of(codes), span(codes, zero=True), "episode", "code", zoom="x", whole="xy", right=40)
    rows = []
    for j, code in enumerate(CODES):
        mean = steps.mean(codes[:, j])
        css = CODE_STYLES[code]
        if code != "tmax" or searched:
            plot.band(steps.at, steps.quantile(codes[:, j], 0.1), steps.quantile(codes[:, j], 0.9), css.split()[0])
        plot.line(steps.at, mean, css)
        rows.append((code, css.split()[0], mean))
    for label, y in _apart([(code, mean[-1]) for code, _, mean in rows], (plot.y.high - plot.y.low) * 0.055):
        plot.text(plot.x.high, y, label, dx=3, css="small")
    plot.read_across("near episode", steps.at, rows)
    fixed = ("" if searched else " tmax is not searched.") + (f" The {turns} branches of the search are together."
                                                              if turns > 1 else "")
    return Figure("wander-" + identifier(name), f"Codes of {name} over the search",
                  plot.svg(f"Codes of site {name} over episodes"),
                  f"Means of {steps.text}, with the band of the middle 80 % of the drawn codes.{fixed}",
                  tuple((CODE_STYLES[code], code) for code in CODES))


def _apart(labels, distance):
    """(label, height) in ascending heights, at least so far apart."""
    found = []
    for label, y in sorted(labels, key=lambda each: each[1]):
        found.append((label, max(y, found[-1][1] + distance) if found else y))
    return found
