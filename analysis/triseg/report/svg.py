"""Figures as SVG by hand: scales with axes, and marks inside them.

Colours and sizes of text are classes of report.css, so that one figure serves light and dark, wide and narrow. A plot's
marks lie in a group of their own, with strokes that do not scale: report.js zooms by transforming it.
"""
import dataclasses
import html
import json
import math

import numpy

WIDTH, HEIGHT = 440, 270  # of a figure, in units of its viewBox; report.css chooses the width on the page
LONGEST = 24  # characters of a name in the place of a tick
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 10, 48  # what the axes take


def number(value, digits=5):
    """A number as short as these significant digits allow, for coordinates and data.

    >>> number(0.1234567), number(3.0), number(-0.0), number(float("nan"))
    ('0.12346', '3', '0', 'null')
    """
    if not math.isfinite(value):
        return "null"
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def shown(value, step):
    """A tick's number as people read it, with as many decimals as ticks that far apart need.

    >>> shown(-0.15, 0.05), shown(20000, 5000), shown(0.0, 0.5)
    ('−0.15', '20,000', '0.0')
    """
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}".replace("-", "−")


@dataclasses.dataclass(frozen=True)
class Scale:
    """Maps low..high to the pixels start..end, linearly or by the logarithm.

    >>> Scale(0, 10, 100, 200)(5)
    150.0
    >>> [text for _, text in Scale(0, 0.1, 0, 100).ticks(5)]
    ['0.00', '0.02', '0.04', '0.06', '0.08', '0.10']
    >>> [text for _, text in Scale(1e-4, 1, 0, 100, log=True).ticks(5)]
    ['10⁻⁴', '10⁻³', '10⁻²', '0.1', '1']
    """
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values):
        if self.log:
            share = numpy.log(numpy.asarray(values, dtype=float) / self.low) / math.log(self.high / self.low)
        else:
            share = (numpy.asarray(values, dtype=float) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count, whole=False):
        """About so many (value, text) at round numbers, or at whole ones."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / (count + 1)))
            return [(10.0 ** power, _power_of_ten(power)) for power in range(first, last + 1, stride)]
        step = max(_round_step((self.high - self.low) / count), 1 if whole else 0)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(i * step, shown(i * step, step)) for i in range(first, last + 1)]


def _power_of_ten(power):
    return f"{10.0 ** power:g}" if -1 <= power <= 3 else "10" + str(power).translate(str.maketrans("-0123456789",
                                                                                                   "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _round_step(step):
    """The nearest of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor * power / step))) * power


def span(*values, zero=False, margin=0.05):
    """(low, high) around all finite numbers of the arrays, with a margin; with 0 in it on request.

    >>> span([0, 10], [5, float("nan")])
    (-0.5, 10.5)
    >>> span([2.0], zero=True), span([])
    ((0.0, 2.1), (0.0, 1.0))
    """
    found = numpy.concatenate([numpy.ravel(numpy.asarray(v, dtype=float)) for v in values] or [numpy.zeros(0)])
    found = found[numpy.isfinite(found)]
    if not len(found):
        return 0.0, 1.0
    low, high = float(found.min()), float(found.max())
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    pad = margin * (high - low)
    return (0.0 if zero and low == 0 else low - pad), (0.0 if zero and high == 0 else high + pad)


def points(xs, ys):
    """Runs of neighbouring finite points, each an array (points, 2)."""
    both = numpy.column_stack([numpy.asarray(xs, dtype=float), numpy.asarray(ys, dtype=float)])
    fine = numpy.isfinite(both).all(axis=1)
    parts = numpy.split(both, numpy.flatnonzero(numpy.diff(fine.astype(int))) + 1)
    return [part for part in parts if len(part) and numpy.isfinite(part[0]).all()]


def path(xs, ys, step=False):
    """The `d` of a line through the points, interrupted where one is not finite; a single point is a dot.

    >>> path([0, 1, 2], [5, 6, 7.25])
    'M0,5L1,6 2,7.25'
    >>> path([0, 2], [5, 6], step=True)
    'M0,5H2V6'
    """
    found = []
    for part in points(xs, ys):
        texts = [(number(x, 6), number(y, 6)) for x, y in numpy.round(part, 2)]
        found.append("M{},{}".format(*texts[0]))
        if step:
            found += [f"H{x}V{y}" for x, y in texts[1:]]
        elif len(texts) > 1:
            found.append("L" + " ".join(f"{x},{y}" for x, y in texts[1:]))
        else:
            found.append("h0")
    return "".join(found)


def tag(name, content="", **attributes):
    """An element; an underscore in the name of an attribute stands for a hyphen, one at its end for nothing."""
    text = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
                   for key, value in attributes.items() if value is not None)
    return f"<{name}{text}>{content}</{name}>"


class Plot:
    """Two axes and the marks between them. Values are those of the axes; `css` are classes of report.css.

    x and y: (low, high); log: the axes, of "x" and "y", that are logarithmic; zoom: those that report.js zooms; whole:
    those of whole numbers.
    """

    def __init__(self, x, y, x_title, y_title, log="", zoom="", whole="", height=HEIGHT, left=LEFT, right=RIGHT,
                 bottom=BOTTOM):
        self.box = left, TOP, WIDTH - left - right, height - TOP - bottom
        self.height, self.zoom, self.whole = height, zoom, whole
        self.x = Scale(*x, 0, self.box[2], "x" in log)
        self.y = Scale(*y, self.box[3], 0, "y" in log)
        self.titles = x_title, y_title
        self.marks, self.over, self.readout = [], [], None
        self.x_ticks, self.y_ticks = self.x.ticks(5, "x" in whole), self.y.ticks(5, "y" in whole)

    @classmethod
    def rows(cls, x, names, x_title, row=34):
        """A plot whose y has names in the place of numbers, at 0, 1, ... from above."""
        names = [name if len(name) <= LONGEST else name[:9] + "…" + name[10 - LONGEST:] for name in names]
        left = max(LEFT, 18 + int(7.6 * max(map(len, names))))
        plot = cls(x, (0, 1), x_title, "", height=TOP + BOTTOM + 10 + row * len(names), left=left, right=22)
        plot.y = Scale(len(names) - 0.4, -0.6, plot.box[3], 0)
        plot.y_ticks = list(enumerate(names))
        return plot

    def line(self, xs, ys, css, step=False):
        self.marks.append(tag("path", d=path(self.x(xs), self.y(ys), step), class_="line " + css))

    def band(self, xs, lows, highs, css):
        """The area between two lines."""
        xs, lows, highs = (numpy.asarray(values, dtype=float) for values in (xs, lows, highs))
        fine = numpy.isfinite(lows) & numpy.isfinite(highs)
        if fine.any():
            around = path(numpy.concatenate([self.x(xs[fine]), self.x(xs[fine])[::-1]]),
                          numpy.concatenate([self.y(highs[fine]), self.y(lows[fine])[::-1]]))
            self.marks.append(tag("path", d=around + "Z", class_="band " + css))

    def dots(self, xs, ys, css):
        """Points, all in one path: round ends of lines without length."""
        parts = [numpy.round(part, 1) for part in points(self.x(xs), self.y(ys))]
        texts = [f"M{number(x, 6)},{number(y, 6)}h0" for part in parts for x, y in part]
        self.marks.append(tag("path", d="".join(texts), class_="dots " + css))

    def bars(self, xs, tops, width, css):
        """Upright bars around xs, from the axis up, all in one path."""
        base = self.y(self.y.low)
        half = abs(self.x(width) - self.x(0)) / 2
        texts = [f"M{number(x - half, 5)},{number(base, 5)}V{number(y, 5)}h{number(2 * half, 4)}V{number(base, 5)}z"
                 for x, y in zip(self.x(xs), self.y(tops))]
        self.marks.append(tag("path", d="".join(texts), class_="bar " + css))

    def box_of(self, x0, x1, y0, y1, css, tip=None):
        """A rectangle."""
        (left, right), (top, bottom) = sorted(self.x([x0, x1])), sorted(self.y([y0, y1]))
        self.marks.append(tag("rect", x=number(left), y=number(top), width=number(right - left),
                              height=number(bottom - top), class_="bar " + css, data_tip=tip))

    def whisker(self, y, value, low, high, css, tip):
        """A value with its interval, at the height y."""
        at = number(self.y(y))
        content = ""
        if math.isfinite(low) and math.isfinite(high):
            content = tag("path", d=f"M{number(self.x(low))},{at}H{number(self.x(high))}", class_="line " + css)
        dot = tag("path", d=f"M{number(self.x(value))},{at}h0", class_="dots big " + css)
        self.marks.append(tag("g", content + dot, data_tip=tip))

    def interval(self, xs, lows, highs, css):
        """Upright lines from low to high."""
        ends = (map(number, numpy.round(values, 2)) for values in (self.x(xs), self.y(lows), self.y(highs)))
        self.marks.append(tag("path", d="".join(f"M{x},{low}V{high}" for x, low, high in zip(*ends)),
                              class_="line " + css))

    def upright(self, x, css):
        """A line across the whole height."""
        at = number(self.x(x))
        self.marks.append(tag("path", d=f"M{at},0V{number(self.box[3])}", class_="line " + css))

    def level(self, y, css):
        """A line across the whole width."""
        self.marks.append(tag("path", d=f"M0,{number(self.y(y))}H{number(self.box[2])}", class_="line " + css))

    def text(self, x, y, content, anchor="start", dx=0, dy=4, css=""):
        """Text above the marks, which does not take part in zooming."""
        self.over.append(tag("text", html.escape(content), x=number(self.x(x) + dx), y=number(self.y(y) + dy),
                             text_anchor=anchor, class_=css or None))

    def read_across(self, name, xs, rows):
        """What the pointer reads: at the nearest x the value of every row, (name, css, values)."""
        self.readout = {"kind": "across", "name": name, "x": _data(xs),
                        "rows": [{"name": row, "css": css, "y": _data(values)} for row, css, values in rows]}

    def read_points(self, xs, ys, tips):
        """What the pointer reads: the text of the nearest point."""
        self.readout = {"kind": "points", "x": _data(xs), "y": _data(ys), "tips": list(tips)}

    def svg(self, label):
        """The figure; label says what it shows to those who do not see it."""
        left, top, width, height = self.box
        inside = tag("g", "".join(self.marks), class_="marks")
        content = (self._axis_x() + self._axis_y() +
                   tag("svg", inside, class_="view", x=left, y=top, width=width, height=height) +
                   tag("g", "".join(self.over), class_="over", transform=f"translate({left},{top})"))
        axes = {"x": [self.x.low, self.x.high], "y": [self.y.low, self.y.high], "zoom": self.zoom, "whole": self.whole,
                "box": list(self.box), "logs": ("x" if self.x.log else "") + ("y" if self.y.log else "")}
        drawn = tag("svg", content, class_="plot", viewBox=f"0 0 {WIDTH} {self.height}", role="img", aria_label=label)
        if self.zoom or self.readout:
            values = json.dumps({"axes": axes, "readout": self.readout}, separators=(",", ":")).replace("<", "\\u003c")
            drawn += f'<script type="application/json" class="data">{values}</script>'
        return drawn

    def _axis_x(self):
        left, top, width, height = self.box
        ticks = [tag("g", tag("line", y2=-height) + tag("text", html.escape(text), y=16, text_anchor="middle"),
                     class_="tick", transform=f"translate({number(self.x(value))},0)") for value, text in self.x_ticks]
        title = _title(self.titles[0], x=number(width / 2), y=36)
        return _axis("x", ticks, title, f"translate({left},{top + height})")

    def _axis_y(self):
        left, top, width, height = self.box
        name = {"x": -7, "dy": "0.34em", "text_anchor": "end"}
        ticks = [tag("g", tag("line", x2=width) + tag("text", html.escape(text), **name),
                     class_="tick", transform=f"translate(0,{number(self.y(value))})") for value, text in self.y_ticks]
        title = _title(self.titles[1], transform=f"translate({12 - left},{number(height / 2)}) rotate(-90)")
        return _axis("y", ticks, title, f"translate({left},{top})")


def _title(text, **where):
    return tag("text", html.escape(text), text_anchor="middle", class_="title", **where) if text else ""


def _axis(name, ticks, title, place):
    return tag("g", tag("g", "".join(ticks), class_="ticks") + title, class_=f"axis {name}", transform=place)


def _data(values):
    """Numbers for JSON, with 5 significant digits; None where one is not finite."""
    return [json.loads(number(value)) for value in numpy.asarray(values, dtype=float)]
