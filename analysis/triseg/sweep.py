"""The folder of a sweep: its table of runs, their files, and what `triseg sweep collect` has made of them."""
import json
import os

import pandas

from triseg import hdf5
from triseg.files import Error, name_of, read_text
from triseg.run import Run

FORMAT = "triseg-sweep 1"


class Sweep:
    """A sweep. Its runs' files are opened when they are asked for.

    >>> sweep = Sweep("sweep")
    >>> sweep.runs[sweep.varied].reset_index(drop=True)  # a row a run; the index is its id
      strategy  seed
    0      mse     1
    1      mse     2
    2   random     1
    3   random     2
    >>> [run.attributes["seed"] for run in sweep]
    [1, 2, 1, 2]
    >>> table = sweep.collected  # written by triseg sweep collect
    >>> table[table.state == "finished"].groupby("strategy").episodes_scored.sum().to_dict()
    {'mse': 0, 'random': 64}
    """

    def __init__(self, path):
        self.path = name_of(path)
        table = os.path.join(self.path, "sweep.json")
        if os.path.isdir(self.path) and not os.path.exists(table):
            raise Error(f"{self.path}: expected the folder of a sweep or the --out of a search: it has neither "
                        "sweep.json nor tri_ppo_int_codes")
        try:
            values = json.loads(read_text(table))
            if values["format"] != FORMAT:
                raise ValueError
            self.varied = [str(name) for name in values["varied"]]
            rows = {str(run["id"]): [str(value) for value in run["values"]] for run in values["runs"]}
            ids = pandas.Index(list(rows), name="id", dtype=object)
            frame = pandas.DataFrame(list(rows.values()), index=ids, columns=self.varied)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise Error(f"{table}: expected the table of a sweep: triseg sweep writes it") from error
        self.runs = frame.apply(_typed).assign(file=[self._file(id_) for id_ in rows])

    def __repr__(self):
        return f"Sweep({self.path!r})"

    def __iter__(self):
        """The runs that have a file, finished or not, in the order of the table. Raises Error at one that cannot be
        read."""
        return (Run(file) for file in self.runs.file if file)

    def run(self, id_):
        """The run of this id. Raises Error if it has no file yet."""
        if id_ not in self.runs.index:
            raise Error(f"{self.path}: the sweep has no run {id_}")
        file = self.runs.file[id_]
        if not file:
            raise Error(f"{self.path}: the run {id_} has not begun")
        return Run(file)

    def _file(self, id_):
        file = os.path.join(self.path, "runs", id_, "tri_ppo_int_codes", "run.h5")
        return file if os.path.exists(file) else None

    @property
    def collected(self):
        """The table that `triseg sweep collect` has written, a row a run by its id (docs/sweep.md has its columns), its
        content's digest checked. Raises Error if there is none."""
        path = os.path.join(self.path, "sweep.h5")
        if not os.path.exists(path):
            raise Error(f"{path}: it is not there: triseg sweep collect {self.path} writes it")
        content = hdf5.read(path, "triseg-sweep", "the table of a sweep", (1,))
        columns = hdf5.text(content["/runs/@columns"]).split(",")
        hdf5.check(content, content.digest([f"/runs/{name}" for name in columns]))
        return pandas.DataFrame({name: hdf5.plain(content[f"/runs/{name}"]) for name in columns}).set_index("id")


def _typed(column):
    """Numbers where all are."""
    try:
        return pandas.to_numeric(column)
    except ValueError:
        return column
