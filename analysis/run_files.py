"""What scripts share that read run files: opening them, or refusing them in one line, and values as people read them.

Imported before numpy, so that a Python without either is told of h5py.
"""
import contextlib

from digest import content_digest, h5py  # first: it says that h5py is missing
import numpy

from script import Failure, open_input

SCHEMA_VERSIONS = (4, 5, 6)
# What h5py raises for a file that is damaged or lacks something.
UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)


def text(value):
    """A string of the file as str, an array of them as a list of str. Bytes that are no UTF-8, as a path may have them,
    are replaced."""
    if isinstance(value, numpy.ndarray):
        return [text(string) for string in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def faults_of(path):
    """What h5py raises in the block becomes a Failure that names the file: for a block that only reads it."""
    try:
        yield
    except KeyError as error:
        raise Failure(f"{path}: {error.args[0] if error.args else 'a part is missing'}") from error
    except UNREADABLE as error:
        raise Failure(f"{path}: {getattr(error, 'strerror', None) or error or type(error).__name__}") from error


def _open(path):
    """The HDF5 file, open for reading."""
    open_input(path).close()  # also says why a file cannot be opened in fewer words than HDF5
    try:
        return h5py.File(path, "r")
    except OSError:
        raise ValueError("expected a whole HDF5 file") from None


def _digests(file):
    """(content digest, the one that is stored) of an open file. Raises ValueError unless it is a run file."""
    found = file.attrs.get("format")
    if found != b"triseg-run":
        raise ValueError("expected a run file of triseg search, found " +
                         (f"format {text(found)!r}" if isinstance(found, bytes) else "none of triseg's files"))
    version = file.attrs["schema_version"]
    if version not in SCHEMA_VERSIONS:
        raise ValueError(f"it has schema version {version}; this script reads versions {SCHEMA_VERSIONS[0]} to "
                         f"{SCHEMA_VERSIONS[-1]}")
    return content_digest(file), text(file.attrs["content_sha256"])


def digests(path):
    """(content digest, the one that is stored) of a run file. Raises Failure, which names the file, if it is none."""
    with faults_of(path), _open(path) as file:
        return _digests(file)


@contextlib.contextmanager
def open_run(path):
    """The run file, open for reading, after its content was checked by its digest. Raises Failure, which names the
    file, if it is no run file or another than was written; what the block raises stays as it is. Derived fields are not
    part of the digest: what must be right is computed from stored ones."""
    with contextlib.ExitStack() as stack:
        with faults_of(path):
            file = stack.enter_context(_open(path))
            computed, stored = _digests(file)
            if computed != stored:
                raise ValueError("its content does not have the digest of its attribute content_sha256: it was damaged "
                                 "or edited")
        yield file


def score(group, prefix=""):
    """(KD [nats], accuracy of the teacher, of the student [percent]) of a group's scores, from the stored sums; NaN
    without images."""
    names = ("images", "kd_sum", "both_right", "teacher_only", "student_only")
    images, kd_sum, both, teacher, student = (group[prefix + name][()] for name in names)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return kd_sum / images, 100 * (both + teacher) / images, 100 * (both + student) / images


def columns(group):
    """The columns of a group whose datasets are a table, such as /episodes, by name: a dict of arrays (rows), as
    pandas.DataFrame takes it. A dataset with more axes becomes a column for each of their indices: "codes.2.v1" is v1
    of the third site, by the dataset's attribute `columns`, "tmax.2" its tmax. Raises ValueError for a group whose
    datasets are not of one length, such as /selected."""
    found = {}
    for name, dataset in group.items():
        if not isinstance(dataset, h5py.Dataset):
            continue
        if not dataset.shape:
            raise ValueError(f"{dataset.name} is a single value: {group.name} is no table")
        values = numpy.array(text(dataset[()])) if dataset.dtype.kind == "S" else dataset[()]
        labels = text(dataset.attrs["columns"]).split(",") if "columns" in dataset.attrs else []
        for index in numpy.ndindex(values.shape[1:]):
            ends = [str(i) for i in index[:-1]] + ([labels[index[-1]] if labels else str(index[-1])] if index else [])
            found[".".join([name, *ends])] = values[(slice(None), *index)]
    if len({len(column) for column in found.values()}) > 1:
        raise ValueError(f"the datasets of {group.name} have not as many rows each: it is no table")
    return found


def shown(value, format_):
    """The number in this format; "-" if it is not defined, as a multiple of 0 is not."""
    return format(value, format_) if numpy.isfinite(value) else "-"
