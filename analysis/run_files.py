"""What the scripts of this folder share: run files opened, or refused in one line.

Imported before numpy, so that a Python without either is told of h5py.
"""
import signal
import sys

try:
    import h5py
except ModuleNotFoundError:
    print("needs h5py: run with /usr/bin/python3 (Debian package python3-h5py)", file=sys.stderr)
    sys.exit(2)


class Unreadable(Exception):
    """One line for the user: which file, and what is wrong with it."""


def open_run(path):
    """The run file, open for reading. Raises Unreadable if it is none."""
    try:
        with open(path, "rb"):  # says why a file cannot be opened in fewer words than HDF5
            pass
        file = h5py.File(path, "r")
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror or 'expected a whole HDF5 file'}") from None
    found = file.attrs.get("format")
    if found != b"triseg-run":
        file.close()
        what = f"format {found.decode()!r}" if isinstance(found, bytes) else "none of triseg's files"
        raise Unreadable(f"cannot read {path}: expected a run file of triseg search, found {what}")
    return file


def run(main):
    """Ends the program with main(arguments); a file that is no whole run file is one line and exit status 2."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough, such as head, ends it without a word
    try:
        sys.exit(main(sys.argv[1:]))
    except Unreadable as error:
        print(error, file=sys.stderr)
    except (OSError, KeyError, IndexError) as error:  # damaged inside
        print(f"cannot read {' '.join(sys.argv[1:])}: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)
