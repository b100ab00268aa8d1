"""The content digest of docs/run-file.md, from the documentation alone.

    content_digest.py RUN.h5

Prints the digest of a run file, computed anew. Exit status: 0 if the file stores the same, 1 if it stores another, 2 if
it cannot be read.
"""
import hashlib
import os
import re
import sys

try:
    import h5py
    import numpy
except ModuleNotFoundError:
    print("needs h5py: run with /usr/bin/python3 (Debian package python3-h5py)", file=sys.stderr)
    sys.exit(2)

NAMES = {"uint8": "u8", "int8": "s8", "int32": "s32", "uint64": "u64", "float32": "f32", "float64": "f64"}


class ContentDigest:
    def __init__(self):
        self.sha = hashlib.sha256()

    def add(self, path, value):
        """value: a numpy number or array, or (a list of) str."""
        if isinstance(value, (str, list)):
            strings = [value] if isinstance(value, str) else value
            shape = "" if isinstance(value, str) else str(len(value))
            self.sha.update(f"{path} string {shape}\n".encode())
            for string in strings:
                self.sha.update(string.encode(errors="surrogateescape") + b"\0")
        else:
            array = numpy.asarray(value)
            self.sha.update(f"{path} {NAMES[str(array.dtype)]} {','.join(map(str, array.shape))}\n".encode())
            self.sha.update(array.tobytes())

    def hex(self):
        return self.sha.hexdigest()


def tables(text):
    """Yields (path, type, shape, units, meaning, columns, kind) of every field in the documentation's tables."""
    group = None
    for line in text.split("<!-- schema begin -->")[1].split("<!-- schema end -->")[0].splitlines():
        heading = re.match(r"### `(.*)`", line)
        if heading:
            group = heading[1]
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 6 and cells[0].startswith("`"):
            name, type_, shape, units, meaning, kind = cells
            columns = re.search(r" \(columns (.*)\)$", meaning)
            meaning = meaning[:columns.start()] if columns else meaning
            path = "/@" + name.strip("`") if group == "/" else f"{group}/{name.strip('`')}"
            yield path, type_, shape, units, meaning, columns and columns[1], kind


def run_digest(file, documentation):
    """The digest of an open run file, laid out by the tables of docs/run-file.md."""
    digest = ContentDigest()
    for path, type_, _, _, _, _, kind in tables(documentation):
        values = file.attrs if path.startswith("/@") else file
        name = path[2:] if path.startswith("/@") else path
        if not kind.startswith("stored") or name not in values:
            continue
        value = values[name] if path.startswith("/@") else values[name][()]
        if type_ == "string":
            strings = [value] if isinstance(value, bytes) else list(value)
            strings = [string.decode(errors="surrogateescape") for string in strings]  # a path need not be UTF-8
            value = strings[0] if isinstance(value, bytes) else strings
        digest.add(path, value)
    tensors = []

    def visit(_, item):
        if isinstance(item, h5py.Dataset):
            tensors.append(item.name)

    file["/checkpoint/tensors"].visititems(visit)
    for path in sorted(tensors):
        digest.add(path, file[path][()])
    return digest.hex()


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/run-file.md")) as file:
        documentation = file.read()
    try:
        with h5py.File(arguments[0], "r") as file:
            if file.attrs.get("format") != b"triseg-run":
                raise OSError("expected a run file of triseg search")
            found, stored = run_digest(file, documentation), file.attrs["content_sha256"].decode()
    except (OSError, KeyError) as error:
        print(f"cannot read {arguments[0]}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(found)
    if found != stored:
        print(f"{arguments[0]} stores another: {stored}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
