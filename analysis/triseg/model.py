"""Model files: quantized networks. docs/int8-contract.md has the arithmetic."""
import dataclasses
import datetime
import io

import h5py
import numpy
import pandas

from triseg import __version__, chains, hdf5
from triseg.files import Error, commit, name_of

VERSIONS = (1, 2, 3, 4)
# Attributes of the root in the order of the digest, what describes the network left out. Version 1 has no data_sha256.
PROVENANCE = {"data": str, "data_sha256": str, "creator": str, "creator_version": str, "file_time": str,
              "command_line": str, "seed": numpy.uint64, "epochs": numpy.int32, "float_accuracy": numpy.float64,
              "int8_test_accuracy": numpy.float64}
SIDES = ("input_channels", "input_height", "input_width", "classes")
LISTS = ("all_sites", "default_attention")
TEXTS = ("name", "operation")
WINDOW = ("window_height", "window_width", "stride_y", "stride_x", "dilation_y", "dilation_x", "pad_top", "pad_left",
          "pad_bottom", "pad_right", "ceil")
SIZES = ("channels", "height", "width", *WINDOW, "groups", "count_padding", "relu")
NO_INPUT = -2  # behind the last input of a node in /network/nodes/inputs; -1 is the image
QUANTIZATION = {"output_scale": numpy.float64, "output_zero_point": numpy.int32, "lowest": numpy.int32,
                "highest": numpy.int32}
PARAMETERS = {"weights": "i1", "weight_scale": "f8", "bias": "i4", "multiplier": "f4"}
# What else the nodes of an operation have, in the order of the digest.
OF_OPERATION = {"convolution": PARAMETERS, "table": {"maps": "u1"}, "concatenate": {"maps": "u1"},
                "constant": {"codes": "u1"}}


@dataclasses.dataclass
class Node:
    """One node's integers and scales. Members that its operation has not are None."""
    output_scale: float  # real value of one step of its value's codes
    output_zero_point: int
    lowest: int = 0  # code of its value
    highest: int = 255
    weights: numpy.ndarray = None  # convolution: (output channels, input channels / groups, height, width), s8
    weight_scale: numpy.ndarray = None  # (output channels): real value of one weight step
    bias: numpy.ndarray = None  # (output channels): s32, at scale input scale times weight_scale
    multiplier: numpy.ndarray = None  # (output channels): f32, input scale weight_scale / output_scale
    maps: numpy.ndarray = None  # table: (1, 256); concatenate: (inputs or 0, 256), u8
    codes: numpy.ndarray = None  # constant: (channels, height, width), u8


@dataclasses.dataclass
class Description:
    """The network as nodes in an order in which each comes after its inputs; the last makes the logits."""
    display_name: str
    input_channels: int
    input_height: int
    input_width: int
    classes: int
    all_sites: list  # names that --sites all stands for; none: all behind a ReLU
    default_attention: list  # names
    nodes: pandas.DataFrame  # by name: operation, inputs (a list of names, None for the image), channels, ... relu


@dataclasses.dataclass
class Model:
    """A model file: read, made anew, written with its digest. The layers of older files become nodes: a fully connected
    layer a convolution over the whole plane, a pool a node of its own, called LAYER.pool.

    >>> model = Model.read("model.h5")
    >>> model.network, model.backend, list(model.nodes)
    ('lenet5', 'fbgemm', ['conv1', 'conv1.pool', 'conv2', 'conv2.pool', 'fc1', 'fc2', 'fc3'])
    >>> model.nodes["conv1"].weights.shape, model.nodes["conv1"].bias.dtype
    ((6, 3, 5, 5), dtype('int32'))
    >>> model.description.nodes.loc["fc1", ["operation", "inputs", "channels"]].tolist()
    ['convolution', ['conv2.pool'], 120]
    >>> model.nodes["fc3"].bias += 1
    >>> model.write("changed.h5")
    >>> int(Model.read("changed.h5").nodes["fc3"].bias[0] - Model.read("model.h5").nodes["fc3"].bias[0])
    1
    """
    network: str  # its name, as --model takes it
    backend: str  # fbgemm or qnnpack
    nodes: dict  # Node by name, in network order
    input_scale: float  # real value of one step of the image's codes
    input_zero_point: int
    mean: numpy.ndarray  # (channels of the input): x = (pixel / 255 - mean) / standard_deviation
    standard_deviation: numpy.ndarray
    description: Description = None  # None in a file of version 1 or 2, whose network triseg makes by its name
    data: str = ""  # the data set it was trained on, by its short name
    data_sha256: str = ""  # empty if not known
    command_line: str = ""
    seed: int = 0
    epochs: int = 0
    float_accuracy: float = 0.0  # on the test split [percent]
    int8_test_accuracy: float = 0.0
    creator: str = ""
    creator_version: str = ""
    file_time: str = ""

    @classmethod
    def read(cls, path, check=True):
        """Raises Error for what is no model file, was damaged or edited (unless `check` is False), or lacks a part."""
        content = hdf5.read(path, "triseg-model", "a model file", VERSIONS)
        version = content["/@schema_version"]
        at = lambda p: hdf5.plain(content[p])
        if version < 4:
            description, nodes, input_ = chains.read(content, version, check)
        else:
            names = list(at("/network/nodes/name"))
            if check:
                hdf5.check(content, content.digest(_paths(names, at("/network/nodes/operation"))))
            description = _description(at)
            input_ = at("/network/@input_scale"), at("/network/@input_zero_point")
            nodes = {name: Node(**{key: at(f"/nodes/{name}/@{key}") for key in QUANTIZATION},
                                **{key: at(f"/nodes/{name}/{key}") for key in OF_OPERATION.get(operation, ())})
                     for name, operation in description.nodes["operation"].items()}
        root = {key: at(f"/@{key}") for key in PROVENANCE if key != "data_sha256" or version >= 2}
        return cls(at("/@network"), at("/@backend"), nodes, *input_, at("/normalization/mean"),
                   at("/normalization/standard_deviation"), description, **root)

    def write(self, path):
        """Writes the file as a whole, with creator and time of now. Raises Error if it has no description, or a part
        has another type or shape than the format's; what triseg's arithmetic does not allow it says itself."""
        self.creator, self.creator_version = "triseg for Python", __version__
        self.file_time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            if self.description is None:
                raise ValueError("it has no description of its network: expected a Description")
            values = self._values()
            paths = _paths(list(self.nodes), self.description.nodes["operation"])
            digest = hdf5.Content(name_of(path), values, {}).digest(paths)
            values |= {"/@format": numpy.bytes_("triseg-model"), "/@schema_version": numpy.int32(VERSIONS[-1]),
                       "/@content_sha256": numpy.bytes_(digest)}
            content = _hdf5_of(values)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RuntimeError) as error:
            raise Error(f"cannot write {name_of(path)}: {error}") from error
        commit(path, content)

    def _values(self):
        values = {"/@network": _bytes(self.network), "/@backend": _bytes(self.backend),
                  "/network/@input_scale": _scalar("input_scale", self.input_scale, numpy.float64),
                  "/network/@input_zero_point": _scalar("input_zero_point", self.input_zero_point, numpy.int32),
                  "/normalization/mean": _array(self.mean, "f8"),
                  "/normalization/standard_deviation": _array(self.standard_deviation, "f8")}
        for key, kind in PROVENANCE.items():
            value = getattr(self, key)
            values[f"/@{key}"] = _bytes(value) if kind is str else _scalar(key, value, kind)
        d = self.description
        columns = d.nodes.reset_index(names="name")
        if list(columns["name"]) != list(self.nodes):
            raise ValueError(f"the nodes are {', '.join(self.nodes)}, those of the description "
                             f"{', '.join(columns['name'])}")
        values |= {"/@display_name": _bytes(d.display_name)}
        values |= {f"/network/{key}": _texts(getattr(d, key)) for key in LISTS}
        values |= {f"/network/@{key}": _scalar(key, getattr(d, key), numpy.int32) for key in SIDES}
        values |= {f"/network/nodes/{key}": _texts(columns[key]) for key in TEXTS}
        values |= {f"/network/nodes/{key}": _array(columns[key], "i4") for key in SIZES}
        values["/network/nodes/inputs"] = _inputs(list(columns["name"]), list(columns["inputs"]))
        for index, (name, node) in enumerate(self.nodes.items()):
            if not name or "/" in name or name in (".", ".."):
                raise ValueError(f"the node name {name!r}: expected one without '/'")
            operation = columns["operation"][index]
            values[f"/nodes/{name}/@index"] = numpy.int32(index)
            values |= {f"/nodes/{name}/@{key}": _scalar(key, getattr(node, key), kind)
                       for key, kind in QUANTIZATION.items()}
            for key, kind in OF_OPERATION.get(operation, {}).items():
                value = getattr(node, key)
                if value is None:
                    raise ValueError(f"node {name}: expected {key} of a node of operation {operation}")
                expected = {"weights": 4, "maps": 2, "codes": 3}.get(key, 1)
                if numpy.ndim(value) != expected:
                    raise ValueError(f"node {name}: {key}: expected {expected} dimensions, found {numpy.ndim(value)}")
                values[f"/nodes/{name}/{key}"] = _array(value, kind)
            if "maps" in OF_OPERATION.get(operation, {}):
                values[f"/nodes/{name}/@map_count"] = numpy.int32(len(node.maps))
        return values


def _description(at):
    """The description in a file of version 4."""
    names = list(at("/network/nodes/name"))
    columns = pandas.DataFrame({key: at(f"/network/nodes/{key}") for key in (*TEXTS, *SIZES)})
    inputs = [[None if i < 0 else names[i] for i in row if i != NO_INPUT] for row in at("/network/nodes/inputs")]
    columns.insert(2, "inputs", inputs)
    return Description(at("/@display_name"), *(at(f"/network/@{key}") for key in SIDES),
                       *(list(at(f"/network/{key}")) for key in LISTS), columns.set_index("name"))


def _inputs(names, inputs):
    """(nodes, the most inputs of one): numbers of nodes."""
    rows = [[-1 if name is None else names.index(name) for name in row] for row in inputs]
    most = max(map(len, rows), default=0)
    return numpy.array([row + [NO_INPUT] * (most - len(row)) for row in rows], "i4").reshape(len(rows), most)


def _paths(names, operations):
    """What the digest of a model file is over, in order."""
    paths = ["/@network", "/@backend", "/@display_name", *(f"/network/@{key}" for key in SIDES),
             *(f"/network/{key}" for key in LISTS), *(f"/network/nodes/{key}" for key in (*TEXTS, "inputs", *SIZES))]
    paths += [f"/@{key}" for key in PROVENANCE] + ["/normalization/mean", "/normalization/standard_deviation"]
    paths += ["/network/@input_scale", "/network/@input_zero_point"]
    for name, operation in zip(names, operations):
        parts = OF_OPERATION.get(operation, ())
        count = ("@map_count",) if "maps" in parts else ()
        paths += [f"/nodes/{name}/{key}" for key in ("@index", *(f"@{key}" for key in QUANTIZATION), *count, *parts)]
    return paths


def _bytes(text):
    return numpy.bytes_(text.encode())


def _texts(texts):
    encoded = [text.encode() for text in texts]
    return numpy.array(encoded, dtype=f"S{max(map(len, encoded), default=0) or 1}")


def _scalar(name, value, kind):
    """The number in this type. Raises ValueError if it does not fit."""
    if numpy.ndim(value) == 0:
        with numpy.errstate(all="ignore"):
            converted = numpy.asarray(value).astype(kind)[()]
        if converted == value:
            return converted
    raise ValueError(f"{name}: expected a number of type {numpy.dtype(kind)}, found {value!r}")


def _array(values, kind):
    """The values in this type. Raises ValueError if they do not fit."""
    values = numpy.asarray(values)
    converted = values.astype(kind)
    if not numpy.array_equal(converted, values):
        raise ValueError(f"expected values of type {numpy.dtype(kind)}, found {values.dtype} that do not fit")
    return numpy.ascontiguousarray(converted)


def _hdf5_of(values):
    """The bytes of an HDF5 file with these values by path, laid out as triseg's own."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, value in values.items():
            group, _, name = path.rpartition("/")
            texts = isinstance(value, (bytes, numpy.bytes_)) or value.dtype.kind == "S"
            type_ = h5py.string_dtype("utf-8", max(numpy.asarray(value).dtype.itemsize, 1)) if texts else value.dtype
            if name.startswith("@"):
                file.require_group(group or "/").attrs.create(name[1:], value, dtype=type_)
            else:
                file.create_dataset(path, data=value.tolist() if texts else value, dtype=type_, shuffle=True,
                                    compression="gzip", fletcher32=True, maxshape=(None, *value.shape[1:]))
    return memory.getvalue()
