"""Result files: codes and figures as JSON, ours and those of the Python original."""
import json
import math

import pandas

from triseg.codes import CODES, staircase
from triseg.files import Error, commit, name_of, read_text


class Result:
    """What a result file holds. `values` are its keys as JSON has them; codes may be looked at and set as a data frame.

    >>> result = Result({"model": "lenet5", "backend": "fbgemm"})
    >>> result.codes = {"conv1": [7, 14, 21, 28, 35], "fc1": [5, 12, 17, 26, 40]}
    >>> result.write("mine.json")
    >>> Result.read("mine.json").codes
           t1  v1  t2  v2  tmax
    conv1   7  14  21  28    35
    fc1     5  12  17  26    40

    `triseg evaluate mine.json` scores it. A result of a search has metrics, too:

    >>> found = Result.read("result.json")
    >>> found.values["backend"], sorted(found.metrics)[:3]
    ('fbgemm', ['acc_drop', 'acc_drop_95', 'acc_mse_codes'])
    """

    def __init__(self, values, path="result"):
        self.values, self.path = values, path

    @classmethod
    def read(cls, path):
        """Raises Error for what is no JSON object, gives a key twice, or whose codes are none."""
        path = name_of(path)
        result = cls(_parse(path, read_text(path)), path)
        result.codes
        return result

    def write(self, path):
        """Writes the file as a whole. Raises Error."""
        self.codes
        try:
            text = json.dumps(self.values, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise Error(f"{name_of(path)!r}: cannot be written as JSON: {error}") from error
        commit(path, text)

    @property
    def codes(self):
        """The codes by the name of the site, a row each, in the file's order; sites that are not there are exact. Set
        it to a data frame with these columns, or a dict of the five codes; record keys stay. Raises Error, also when
        set, for codes that are no integers from 0 to 255 or make no monotone staircase."""
        layers = self.values.get("layers")
        if not isinstance(layers, dict) or not layers:
            raise Error(f"{self.path}: layers: expected an object with the codes of each site")
        rows = [[self._code(site, entry, name) for name in CODES] for site, entry in layers.items()]
        for site, row in zip(layers, rows):
            try:
                staircase(row)
            except ValueError as error:
                raise Error(f"{self.path}: layers.{site}: {error}") from error
        return pandas.DataFrame(rows, index=list(layers), columns=CODES)

    @codes.setter
    def codes(self, codes):
        before = self.values.get("layers", {})
        if not isinstance(before, dict):
            raise Error(f"{self.path}: layers: expected an object with the codes of each site")
        layers = {}
        for site, row in self._rows(codes):
            if site in layers:
                raise Error(f"{self.path}: layers.{site}: given twice")
            if len(row) != len(CODES):
                raise Error(f"{self.path}: layers.{site}: expected {', '.join(CODES)}, found {len(row)} codes")
            entry = {f"{name}_code": code.item() if hasattr(code, "item") else code for name, code in zip(CODES, row)}
            layers[site] = entry | {key: value for key, value in _entry(before.get(site)).items()
                                    if key == "record_key"}
        changed = Result({"layers": layers}, self.path)
        changed.codes
        self.values["layers"] = layers

    def _rows(self, codes):
        """Pairs of a site and its codes in the order of CODES."""
        if isinstance(codes, pandas.DataFrame):
            names = [str(column).rpartition(".")[2] for column in codes.columns]  # "mse.t1" is a t1
            if sorted(names) != sorted(CODES):
                raise Error(f"{self.path}: layers: expected the columns {', '.join(CODES)}, found "
                            f"{', '.join(map(str, codes.columns))}")
            return [(site, [row[names.index(name)] for name in CODES]) for site, row in zip(codes.index, codes.values)]
        try:
            return [(site, list(row)) for site, row in codes.items()]
        except (TypeError, AttributeError) as error:
            raise Error(f"{self.path}: layers: expected five codes by the name of each site: {error}") from error

    @property
    def metrics(self):
        """What the test split said, by name; empty for a candidate that was picked."""
        return self.values.get("metrics", {})

    def _code(self, site, entry, name):
        value = entry.get(f"{name}_code") if isinstance(entry, dict) else None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value <= 255 or value != math.floor(value):
            raise Error(f"{self.path}: layers.{site}.{name}_code: expected an integer 0..255, found "
                        f"{json.dumps(value)}")
        return int(value)


def _entry(value):
    return value if isinstance(value, dict) else {}


def _parse(path, text):
    def object_of(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise Error(f"{path}: the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
        return found

    def constant(name):
        raise ValueError(f"{name} is no number of JSON")

    try:
        values = json.loads(text, object_pairs_hook=object_of, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Error(f"{path}: expected JSON: {error}") from error
    if not isinstance(values, dict):
        raise Error(f"{path}: top level: expected an object")
    return values
