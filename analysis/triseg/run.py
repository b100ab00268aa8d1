"""A run file of `triseg search` as data frames."""
import dataclasses
import functools
import tomllib
import typing

import numpy
import pandas

from triseg import chains, hdf5, schema
from triseg.codes import CODES
from triseg.files import Error
from triseg.score import score, wilson_95

# Groups whose rows have codes; /pareto has them by its rows of /top.
WITH_CODES = ("episodes", "evaluations", "top", "pareto")
# Tables: the groups whose columns are of one length.
TABLES = ("network/nodes", "sites", "episodes", "updates", "evaluations", "finalists", "top", "pareto")
NETWORK_SCALARS = ("input_channels", "input_height", "input_width", "classes")
NO_INPUT = -2  # behind the last input of a node in /network/nodes/inputs; -1 is the image
COSTS = ("coverage", "entropy_bits", "coded_bits", "multiplications", "skipped", "constant", "energy", "energy_exact",
         "energy_exact_skipping")


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a search is given: network, data and the terms of the reward."""
    model: str
    display_name: str
    model_sha256: str
    backend: str
    data: str
    data_sha256: str
    attention_layers: tuple
    attention_weight: float
    temperature: float
    energies: dict  # of operations by name, such as add8 [pJ]
    # Its nodes by name: operation, inputs (a list of names, None for the image), channels, ... relu. None in a file of
    # schema version 4, which has none.
    network: typing.Optional[pandas.DataFrame]
    input_channels: typing.Optional[int]
    input_height: typing.Optional[int]
    input_width: typing.Optional[int]
    classes: typing.Optional[int]


class Run:
    """A run file as it was when it was opened, finished or not: read at once, its content's digest checked, and closed.

    `check=False` opens a damaged or edited file all the same. Raises Error, one line "FILE: what is wrong", for what is
    no run file, was damaged or edited, or lacks what is asked for.

    Scores (kd, attention, accuracies) are computed from the stored sums, which the digest is over. Other derived
    fields, such as coverage and energy, are as the file has them; `triseg validate` checks those.

    >>> run = Run("run.h5")
    >>> run.status, run.finished, run.schema_version, run.attributes["model"]
    ('finished', True, 7, 'lenet5')
    >>> run.episodes[["iteration", "reward", "kd", "conv1.t1", "fc2.tmax"]].round(3).head(2)
       iteration  reward     kd  conv1.t1  fc2.tmax
    0          0  -0.010  0.010         1        40
    1          0  -0.021  0.021         2        40
    >>> run["episodes/codes"].shape, run.labels["/episodes/kd"]["units"]
    ((6, 4, 4), 'nats')

    >>> Run("nowhere.h5")
    Traceback (most recent call last):
    triseg.files.Error: nowhere.h5: No such file or directory
    """

    def __init__(self, path, check=True):
        self.content, self.digest = schema.read(path, check)
        self.path = self.content.path

    def __repr__(self):
        return f"Run({self.path!r})"

    def __getitem__(self, path):
        """The value of any dataset, "top/reward", or attribute of the root, "@seed": a number, a str, or an array."""
        return hdf5.plain(self.content["/" + path.lstrip("/")])

    @functools.cached_property
    def labels(self):
        """The attributes of every dataset, by its path: long_name, units where it has any, columns, and may_differ."""
        return {path: {name: hdf5.plain(value) for name, value in attributes.items()}
                for path, attributes in self.content.labels.items()}

    @functools.cached_property
    def attributes(self):
        """The attributes of the root by name: str, int or float."""
        return {path[2:]: hdf5.plain(value) for path, value in self.content.values.items() if path.startswith("/@")}

    @property
    def schema_version(self):
        return self["@schema_version"]

    @property
    def status(self):
        """"running" or "finished"."""
        return self["@status"]

    @property
    def finished(self):
        return self.status == "finished"

    @property
    def start_command(self):
        """The command that started the run or last continued it."""
        return self["@command_line"]

    @functools.cached_property
    def config(self):
        """All options by their long names, given or by default.

        >>> Run("run.h5").config["episodes-per-update"]
        2
        """
        try:
            return tomllib.loads(self["@config"])
        except tomllib.TOMLDecodeError as error:
            raise Error(f"{self.path}: /@config: {error}") from error

    @functools.cached_property
    def problem(self):
        """The Problem that was searched.

        >>> problem = Run("run.h5").problem
        >>> problem.display_name, problem.attention_layers
        ('LeNet-5', ('conv1', 'conv2'))
        >>> problem.network.loc["fc1", ["operation", "inputs", "channels"]].tolist()
        ['convolution', ['conv2.pool'], 120]
        """
        names = hdf5.text(self.content["/@attention_layers"])
        energies = {name.removeprefix("energy_"): value for name, value in self.attributes.items()
                    if name.startswith("energy_")}
        return Problem(model=self["@model"], display_name=self["@model_display_name"],
                       model_sha256=self["@model_sha256"], backend=self["@backend"],
                       data=self["@data"], data_sha256=self["@data_sha256"],
                       attention_layers=tuple(name for name in names.split(",") if name),
                       attention_weight=self["@attention_weight"], temperature=self["@temperature"], energies=energies,
                       **self._network())

    def _network(self):
        """The fields of Problem that describe the network."""
        at = lambda name: self["network/" + name]
        if self.schema_version < 5:
            return dict.fromkeys(("network", *NETWORK_SCALARS))
        if self.schema_version < 7:
            layers = pandas.DataFrame({name: at(name) for name in (*chains.TEXTS, *chains.SIZES)}).set_index("name")
            side = at("input_side")
            return {"network": chains.nodes_of(layers, side), "input_channels": at("input_channels"),
                    "input_height": side, "input_width": side, "classes": at("classes")}
        nodes = self.frame("network/nodes")
        names = list(nodes["name"])
        inputs = [[None if i < 0 else names[i] for i in row if i != NO_INPUT] for row in at("nodes/inputs")]
        nodes.insert(2, "inputs", inputs)
        return {"network": nodes.set_index("name")} | {name: at(name) for name in NETWORK_SCALARS}

    @functools.cached_property
    def sites(self):
        """The sites by name, in network order. Codes are columns: start.t1 .. start.v2, and so of init and mse; tmax is
        that of all three.

        >>> Run("run.h5").sites[["kind", "tmax", "mse.t1", "start.v2"]]
               kind  tmax  mse.t1  start.v2
        name
        conv1  conv    40       2         5
        conv2  conv    40       3         6
        fc1      fc    40       4         7
        fc2      fc    40       5         8
        """
        return self.frame("sites").set_index("name")

    @property
    def histograms(self):
        """(sites, 256): counts of the codes 0..255 in calibration."""
        return self["sites/histogram"]

    def codes(self, group):
        """(rows, sites, 5): the codes of "episodes", "evaluations", "top" or "pareto", in order t1, v1, t2, v2, tmax.

        >>> Run("run.h5").codes("top")[0, 0].tolist()
        [4, 5, 6, 7, 40]
        """
        if group not in WITH_CODES:
            raise Error(f"{self.path}: the rows of /{group} have no codes: expected one of {', '.join(WITH_CODES)}")
        if group == "pareto":
            return self.codes("top")[self["pareto/top_index"].astype(int)]
        return numpy.concatenate([self[f"{group}/codes"], self[f"{group}/tmax"][..., None]], axis=2)

    def frame(self, group, codes="columns"):
        """A group that is a table as a data frame, a row each.

        codes: "columns", five a site, "conv1.t1" to "conv1.tmax"; "arrays", one column `codes` of arrays (sites, 5); or
        "none". Arrays of another kind, such as top/validation_record_rewards, are left out:
        run["top/validation_record_rewards"].

        >>> run = Run("run.h5")
        >>> list(run.frame("top", codes="none").columns[:3])
        ['origin', 'episode', 'reward']
        >>> run.frame("pareto", codes="arrays").codes[0].shape
        (4, 5)
        """
        if group not in TABLES:
            raise Error(f"{self.path}: /{group} is no table: expected one of {', '.join(TABLES)}")
        if codes not in ("columns", "arrays", "none"):
            raise ValueError(f'codes = {codes!r}: expected "columns", "arrays" or "none"')
        values = self.content.group(group)
        order = {path: i for i, path in enumerate(schema.STORED)}
        names = sorted(values, key=lambda name: (order.get(f"/{group}/{name}", len(order)), name))
        columns = {name: values[name] for name in names if numpy.ndim(values[name]) == 1}
        for name in names if group == "sites" else ():
            columns |= self._site_columns(name, values[name])
        for prefix in ("", "validation_"):
            if prefix + "kd_sum" in columns:
                figures = (prefix + name for name in ("kd", "attention", "accuracy_teacher", "accuracy"))
                columns |= zip(figures, score(values, prefix))
        if len({len(column) for column in columns.values()}) > 1:
            raise Error(f"{self.path}: the datasets of /{group} have not as many rows each")
        frame = pandas.DataFrame(columns).rename(columns={"part": "branch"} if group == "updates" else {})
        if codes == "none" or group not in WITH_CODES:
            return frame
        found = self.codes(group)
        if codes == "arrays":
            return frame.assign(codes=list(found))
        names = [f"{site}.{code}" for site in self["sites/name"] for code in CODES]
        return pandas.concat([frame, pandas.DataFrame(found.reshape(len(found), len(names)), columns=names)], axis=1)

    def _site_columns(self, name, values):
        """Columns of what /sites has more than one value a site of: the codes and the policy's input."""
        ends = self.labels[f"/sites/{name}"].get("columns")
        ends = ends.split(",") if ends else ()
        return {f"{name.removesuffix('_codes')}.{end}": values[:, i] for i, end in enumerate(ends)}

    @functools.cached_property
    def episodes(self):
        """The episodes scored so far; the row is the episode's number."""
        return self.frame("episodes")

    @functools.cached_property
    def updates(self):
        """The policy updates."""
        return self.frame("updates")

    @functools.cached_property
    def evaluations(self):
        """The evaluations of the policy's most probable codes."""
        return self.frame("evaluations")

    @functools.cached_property
    def finalists(self):
        """The finalists while they are being scored; none in a finished run."""
        return self.frame("finalists")

    @functools.cached_property
    def top(self):
        """The candidates scored on validation, best first among those of as many images; none until the run is
        finished."""
        return self.frame("top")

    @functools.cached_property
    def pareto(self):
        """The candidates on the front; `top_index` is the row of .top.

        >>> run = Run("run.h5")
        >>> run.top.loc[run.pareto.top_index, "origin"].tolist()
        ['init']
        """
        return self.frame("pareto")

    @functools.cached_property
    def selected(self):
        """The selected candidate of a finished run, as a dict. Raises Error if the run is not finished.

        top_index, origin, episode (None unless it is one), codes (sites, 5), within_max_acc_drop; the scores
        `validation`, `test`, `mse` (test split, MSE optimum) and, with --repair, else None, `mse_repaired`: kd,
        attention, accuracy, accuracy_low, accuracy_high, accuracy_teacher, accuracy_drop and images each, of the test
        split also accuracy_drop_low, accuracy_drop_high and mcnemar_p; `gap`, test less validation; `cost`, of an
        inference, and `site_cost`, a data frame; `repair`, None or a data frame of multiplier and bias by layer and
        channel.

        >>> selected = Run("run.h5").selected
        >>> selected["codes"][0].tolist(), selected["test"]["accuracy"], selected["repair"].shape
        ([1, 2, 3, 4, 40], 71.875, (230, 2))
        """
        if not self.finished:
            raise Error(f"{self.path}: the run is not finished: nothing is selected yet")
        values = self.content.group("selected")
        row, top = values["top_index"], self.frame("top", codes="none")
        if not 0 <= row < len(top):
            raise Error(f"{self.path}: /selected/top_index is {row}: /top has {len(top)} rows")
        best = top.iloc[row].to_dict()
        test = _scores(values, "test_") | {name: values["test_" + name]
                                           for name in ("accuracy_drop_low", "accuracy_drop_high", "mcnemar_p")}
        sites = {name.removeprefix("site_"): value for name, value in values.items() if name.startswith("site_")}
        return {"top_index": row, "origin": best["origin"],
                "episode": best["episode"] if best["origin"] == "episode" else None,
                "codes": self.codes("top")[row], "within_max_acc_drop": bool(values["within_max_acc_drop"]),
                "within_error_of_best": values["within_error_of_best"],
                "validation": _scores(best, "validation_"), "test": test, "mse": _scores(values, "test_mse_"),
                "mse_repaired": None if self["@repair"] == "none" else _scores(values, "test_mse_repaired_"),
                "gap": {name.removeprefix("gap_"): value for name, value in values.items() if name.startswith("gap_")},
                "cost": {name: values[name] for name in COSTS} | {"passed": best["passed"]},
                "site_cost": pandas.DataFrame(sites, index=pandas.Index(self["sites/name"], name="name")),
                "repair": None if self["@repair"] == "none" else _repair(values)}


def _scores(values, prefix):
    """The figures of one score by name."""
    images = numpy.float64(values[prefix + "images"])
    kd, attention, teacher, student = score(values, prefix)
    low, high = wilson_95(student, images)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        drop = 100 * (float(values[prefix + "teacher_only"]) - float(values[prefix + "student_only"])) / images
    found = {"kd": kd, "attention": attention, "accuracy": student, "accuracy_low": low, "accuracy_high": high,
             "accuracy_teacher": teacher, "accuracy_drop": drop}
    return {name: float(value) for name, value in found.items()} | {"images": int(images)}


def _repair(values):
    """Multiplier and bias by layer and channel."""
    index = [(layer, channel) for layer, count in zip(values["repair_layer"], values["repair_channels"])
             for channel in range(count)]
    return pandas.DataFrame({"multiplier": values["repair_multiplier"], "bias": values["repair_bias"]},
                            index=pandas.MultiIndex.from_tuples(index, names=("layer", "channel")))
