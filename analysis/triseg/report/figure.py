"""What a page is made of: sections of figures, tables and text."""
import dataclasses
import html
import re


@dataclasses.dataclass
class Figure:
    """A figure; `key` is unique in its chapter and names its PNG, `caption` is HTML, `legend` a list of (css, text)."""
    key: str
    title: str
    body: str
    caption: str
    legend: tuple = ()
    size: str = "third"  # of the page's width where that is large: "third" or "half"

    def html(self, prefix):
        legend = "".join(f'<li><span class="swatch {css}"></span>{html.escape(text)}</li>' for css, text in self.legend)
        return (f'<figure id="{prefix}{self.key}" class="{self.size}"><h4>{html.escape(self.title)}</h4>'
                + (f'<ul class="legend">{legend}</ul>' if legend else "") +
                f'<div class="drawing">{self.body}</div><figcaption>{self.caption}</figcaption></figure>\n')


@dataclasses.dataclass
class Section:
    """A heading with an anchor, HTML below it, and figures."""
    key: str
    title: str
    text: str = ""
    figures: list = dataclasses.field(default_factory=list)
    after: str = ""

    def html(self, prefix):
        figures = "".join(figure.html(prefix) for figure in self.figures)
        key = prefix + self.key
        return (f'<section id="{key}"><h3><a href="#{key}">{html.escape(self.title)}</a></h3>\n{self.text}\n'
                + (f'<div class="figures">{figures}</div>\n' if figures else "") + self.after + "</section>\n")


def table(heading, rows, css="", caption=""):
    """A table of text; the first column names the row."""
    cells = lambda row: f'<th scope="row">{html.escape(row[0])}</th>' + "".join(f"<td>{html.escape(c)}</td>"
                                                                                for c in row[1:])
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heading)
    body = "".join(f"<tr>{cells(row)}</tr>\n" for row in rows)
    return (f'<div class="table {css}"><table>' + (f"<caption>{caption}</caption>" if caption else "") +
            (f"<thead><tr>{head}</tr></thead>\n" if head else "") + f"<tbody>{body}</tbody></table></div>\n")


def identifier(text):
    """A name for an anchor.

    >>> identifier("block 1/conv")
    'block-1-conv'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)
