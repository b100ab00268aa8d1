"""Reading, comparing and making the files of triseg: runs, sweeps, results, models.

    Run       a run file: every episode, update and candidate as data frames

Everything that cannot be read raises Error, one line "FILE: what is wrong". docs/reading-runs.md shows the way, docs/run-file.md
has every field.
"""
import importlib

from triseg.files import Error

_PLACES = {"Run": "run", "Problem": "run"}
__all__ = ["Error", *_PLACES]


def __getattr__(name):
    """The classes are loaded when they are asked for: pandas takes longer to load than most files to read."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
