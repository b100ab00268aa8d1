"""Reading, comparing and making the files of triseg.

    Run       a run file: every episode, update and candidate as data frames
    Sweep     the folder of a sweep: its table of runs, their files
    Result    a result file: codes and figures as JSON, read and written
    Model     a model file: a quantized network, read and written
    Scorer    a process that scores codes as a search does, for searchers of one's own

`python3 -m triseg.images` makes the file of a data set of folders of images or of a NumPy file.
`python3 -m triseg.import_torch` makes a model file of a checkpoint of the Python original (docs/migrating.md).

Everything that cannot be read or written raises Error, one line "FILE: what is wrong". docs/reading-runs.md shows the
way, docs/run-file.md has every field.
"""
import importlib

from triseg.files import Error

__version__ = "0.1.0"
_PLACES = {"Run": "run", "Problem": "run", "Sweep": "sweep", "Result": "result", "Model": "model", "Node": "model",
           "Description": "model", "Scorer": "scorer", "staircase": "codes",
           "CODES": "codes"}
__all__ = ["Error", *_PLACES]


def __getattr__(name):
    """The classes are loaded when they are asked for: pandas takes longer to load than most files to read."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
