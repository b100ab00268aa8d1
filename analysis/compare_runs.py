#!/usr/bin/env python3
"""Compares two run files dataset by dataset, byte for byte.

Two runs of one config and seed must agree in everything but wall clock and placement, whatever their ranks and
interruptions. What may differ, the files say themselves: datasets with the attribute may_differ = 1, and the root
attributes listed in the root attribute may_differ. Prints "equal", or a line for each path that differs (a root
attribute is "/@name"): how many rows of it and the first, or both values, or both types and shapes.

Exit status, as that of cmp: 0 equal, 1 different, 2 in trouble: a file cannot be read, was damaged or edited, the
command line is not understood, or standard output takes no more.
"""
from triseg.command_line import packages, parser, run

with packages():
    import numpy
    from triseg import hdf5, schema


def contents(path):
    """Values by path of what must be equal."""
    content, _ = schema.read(path)
    skipped = ["/@" + name for name in hdf5.text(content["/@may_differ"]).split(",")]
    return {name: numpy.asarray(value) for name, value in content.values.items()
            if name not in skipped and not content.labels.get(name, {}).get("may_differ", 0)}


def describe(value):
    return f"{value.dtype} {list(value.shape)}" if value.shape else repr(value[()])


def differing_rows(a, b):
    """Whether each row of two arrays of one type and shape has other bytes."""
    a, b = (numpy.frombuffer(value.tobytes(), "u1").reshape(len(value), -1) for value in (a, b))
    return (a != b).any(axis=1)


def differences(a, b):
    """Yields a line for every path whose content differs."""
    for path in sorted(a.keys() | b.keys()):
        if path not in a or path not in b:
            yield f"{path}: only in the {'second' if path not in a else 'first'} file"
            continue
        x, y = a[path], b[path]
        if (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()):
            continue
        if (x.dtype, x.shape) != (y.dtype, y.shape) or not x.shape:
            yield f"{path}: {describe(x)} and {describe(y)}"
        else:
            rows = differing_rows(x, y)
            yield f"{path}: {rows.sum()} of {rows.size} rows differ, the first is {rows.nonzero()[0][0]}"


def main():
    arguments = parser(__doc__)
    for name, metavar in (("first", "A.h5"), ("second", "B.h5")):
        arguments.add_argument(name, metavar=metavar, help="run file of triseg search")
    o = arguments.parse_args()
    lines = list(differences(contents(o.first), contents(o.second)))
    print("\n".join(lines) if lines else "equal")
    return 1 if lines else 0


if __name__ == "__main__":
    run(main, failed=2)
