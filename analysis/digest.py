#!/usr/bin/env python3
"""Prints the content digest of run files and whether they store the same: "as stored", or the one that a file stores.

The digest is computed anew over all stored fields, docs/run-file.md has how. Exit status: 0 if every file stores its
digest, 1 if one stores another, a file cannot be read or standard output takes no more, 2 if the command line is not
understood.
"""
from triseg import Error
from triseg.command_line import packages, parser, report, run

with packages():
    from triseg import hdf5, schema


def main():
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", metavar="RUN.h5", help="run file of triseg search")
    status = 0
    for path in arguments.parse_args().runs:
        try:
            content, computed = schema.read(path, check=False)
            stored = hdf5.text(content["/@content_sha256"])
        except Error as error:
            report(error)
            status = 1
            continue
        print(f"{computed}  {path}: {'as stored' if computed == stored else f'the file stores {stored}'}")
        status |= computed != stored
    return status


if __name__ == "__main__":
    run(main)
