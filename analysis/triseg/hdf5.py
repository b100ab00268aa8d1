"""The whole content of one of triseg's HDF5 files as values by path, and the digest over it. Needs h5py and numpy.

The path of a dataset is "/GROUP/NAME", that of an attribute of a group "/GROUP/@NAME", of the root "/@NAME".
"""
import dataclasses
import hashlib

import h5py
import numpy

from triseg.files import Error, name_of, open_input, reason

# What h5py raises for a file that is damaged or lacks something.
UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)
DEEPEST = 32  # groups in groups: to visit those of a deeper file takes ever longer
# The names that the digest has for the types of the files.
TYPES = {"|u1": "u8", "|i1": "s8", "<i4": "s32", "<u8": "u64", "<f4": "f32", "<f8": "f64"}


class Group(dict):
    """The datasets of a group by name, as plain() has them. One that is not there raises Error."""

    def __init__(self, content, name):
        start = f"/{name}/"
        super().__init__((path[len(start):], plain(value)) for path, value in content.values.items()
                         if path.startswith(start))
        self.where = f"{content.path}: {start}"

    def __missing__(self, name):
        raise Error(f"{self.where}{name} is missing")


@dataclasses.dataclass(frozen=True)
class Content:
    """What was in the file when it was opened; nothing keeps the file open."""
    path: str
    values: dict  # by path, as h5py gives them: numpy scalars and arrays, strings as bytes
    labels: dict  # of datasets, by path: the attributes of each by name, such as units and long_name

    def __getitem__(self, path):
        """Raises Error if it is not there."""
        try:
            return self.values[path]
        except KeyError:
            raise Error(f"{self.path}: {path} is missing") from None

    def group(self, name):
        """Raises Error if there is none."""
        found = Group(self, name)
        if not found:
            raise Error(f"{self.path}: /{name} is missing")
        return found

    def digest(self, paths):
        """64 hexadecimal digits over the values of these paths, in this order, leaving out those that are not there.
        Raises Error if one has a type that none of triseg's has."""
        sha = hashlib.sha256()
        for path in paths:
            if path not in self.values:
                continue
            value = numpy.asarray(self.values[path])
            is_text = value.dtype.kind == "S"
            type_ = "string" if is_text else TYPES.get(value.dtype.str)
            if not type_:
                raise Error(f"{self.path}: {path} has the type {value.dtype}")
            sha.update(f"{path} {type_} {','.join(map(str, value.shape))}\n".encode())
            if is_text:
                sha.update(b"".join(string.split(b"\0")[0] + b"\0" for string in value.flat))
            else:
                sha.update(value.tobytes())
        return sha.hexdigest()


def read(path, format_, what, versions):
    """The content of a file of this format ("triseg-run") and one of these schema versions; `what` names it in errors
    ("a run file of triseg search"). Raises Error."""
    path, values, labels = name_of(path), {}, {}

    def take_attributes(start, item):
        values.update({f"{start}@{name}": value for name, value in item.attrs.items()})

    def take(name, item):
        if name.count("/") >= DEEPEST:
            raise ValueError(f"its groups are nested more than {DEEPEST} deep: no file of triseg's is")
        if isinstance(item, h5py.Dataset):
            values["/" + name] = item[()]
            labels["/" + name] = dict(item.attrs)
        else:
            take_attributes(f"/{name}/", item)

    try:
        open_input(path).close()  # also says why a file cannot be opened in fewer words than HDF5
        try:
            file = h5py.File(path, "r")
        except OSError:
            raise ValueError("expected a whole HDF5 file") from None
        with file:
            found = file.attrs.get("format")
            if found != format_.encode():
                raise ValueError(f"expected {what}, found " + (f"format {text(found)!r}" if isinstance(found, bytes)
                                                               else "none of triseg's files"))
            version = file.attrs["schema_version"]
            if version not in versions:
                raise ValueError(f"it has schema version {version}; this package reads versions {versions[0]} to "
                                 f"{versions[-1]}")
            take_attributes("/", file)
            file.visititems(take)
    except UNREADABLE as error:
        raise Error(f"{path}: {reason(error)}") from error
    return Content(path, values, labels)


def check(content, computed):
    """Raises Error unless the file stores this digest."""
    if text(content["/@content_sha256"]) != computed:
        raise Error(f"{content.path}: its content does not have the digest of its attribute content_sha256: it was "
                    "damaged or edited")


def text(value):
    """A string of the file as str, an array of them as a list of str. Bytes that are no UTF-8, as a path may have them,
    are replaced."""
    if isinstance(value, numpy.ndarray):
        return [text(string) for string in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def plain(value):
    """A value as Python and numpy have it: str, int or float, or an array, of strings one of str."""
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, numpy.ndarray):
        return numpy.array(text(value), dtype=object) if value.dtype.kind == "S" else value
    return value.item() if isinstance(value, numpy.generic) else value
