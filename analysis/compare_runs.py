#!/usr/bin/env python3
"""Compares two run files dataset by dataset, byte for byte.

    compare_runs.py A.h5 B.h5

Two runs of one config and seed must agree in everything but wall clock and placement, whatever their ranks and interruptions.
What may differ, the files say themselves: datasets with the attribute may_differ = 1, and the root attributes listed in the
root attribute may_differ. Prints the paths that differ (a root attribute is "/@name"). Exit status: 0 equal, 1 different,
2 unreadable.
"""
import sys

from run_files import h5py, open_run, run


def root_attributes(file):
    skipped = file.attrs["may_differ"].decode().split(",")
    return {"/@" + name: value for name, value in file.attrs.items() if name not in skipped}


def datasets(file):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not item.attrs.get("may_differ", 0):
            found["/" + name] = item

    file.visititems(visit)
    return found


def content(item):
    """Type, shape and bytes of a dataset or attribute."""
    value = item[()] if isinstance(item, h5py.Dataset) else item
    return str(value.dtype), value.shape, value.tobytes()


def describe(item):
    value = item[()] if isinstance(item, h5py.Dataset) else item
    return f"{value.dtype} {list(value.shape)}" if value.shape else repr(value)


def differences(a, b):
    """Yields a line for every path whose content differs between two open run files."""
    items_a = root_attributes(a) | datasets(a)
    items_b = root_attributes(b) | datasets(b)
    for path in sorted(items_a.keys() | items_b.keys()):
        if path not in items_a or path not in items_b:
            yield f"{path}: only in the {'second' if path not in items_a else 'first'} file"
            continue
        x, y = content(items_a[path]), content(items_b[path])
        if x[:2] != y[:2] or (x[2] != y[2] and not x[1]):
            yield f"{path}: {describe(items_a[path])} and {describe(items_b[path])}"
        elif x[2] != y[2]:
            rows = items_a[path][()] != items_b[path][()]
            while rows.ndim > 1:
                rows = rows.any(axis=-1)
            where = f", the first is {rows.nonzero()[0][0]}" if rows.any() else ""
            yield f"{path}: {rows.sum()} of {rows.size} rows differ{where}"


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open_run(arguments[0]) as a, open_run(arguments[1]) as b:
        lines = list(differences(a, b))
    print("\n".join(lines) if lines else "equal")
    return 1 if lines else 0


if __name__ == "__main__":
    run(main)
