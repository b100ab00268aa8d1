"""Model files: quantized networks. docs/int8-contract.md has the arithmetic."""
import dataclasses
import datetime
import io

import h5py
import numpy
import pandas

from triseg import __version__, hdf5
from triseg.files import Error, commit, name_of

VERSIONS = (1, 2, 3)
# Attributes of the root in the order of the digest, what describes the network left out. Version 1 has no data_sha256.
PROVENANCE = {"data": str, "data_sha256": str, "creator": str, "creator_version": str, "file_time": str,
              "command_line": str, "seed": numpy.uint64, "epochs": numpy.int32, "float_accuracy": numpy.float64,
              "int8_test_accuracy": numpy.float64}
SIDES = ("input_channels", "input_side", "classes")
TEXTS = ("name", "kind")
SIZES = ("in_channels", "out_channels", "kernel", "stride", "padding", "pool", "relu")
QUANTIZATION = {"input_scale": numpy.float64, "input_zero_point": numpy.int32, "output_scale": numpy.float64,
                "output_zero_point": numpy.int32}
PARAMETERS = {"weights": "i1", "weight_scale": "f8", "bias": "i4", "multiplier": "f4"}


@dataclasses.dataclass
class Layer:
    """One layer's integers and scales: O output channels, I input channels, k the kernel's side."""
    weights: numpy.ndarray  # (O, I, k, k), or (O, I) when fully connected: s8
    weight_scale: numpy.ndarray  # (O): real value of one weight step
    bias: numpy.ndarray  # (O): s32, at scale input_scale weight_scale
    multiplier: numpy.ndarray  # (O): f32, input_scale weight_scale / output_scale
    input_scale: float  # real value of one step of its input codes
    input_zero_point: int
    output_scale: float
    output_zero_point: int


@dataclasses.dataclass
class Description:
    """The network as a chain of layers."""
    display_name: str
    input_channels: int
    input_side: int
    classes: int
    default_attention: list  # names of layers
    layers: pandas.DataFrame  # by name: kind (conv or fc), in_channels, out_channels, kernel, stride, ... relu


@dataclasses.dataclass
class Model:
    """A model file: read, made anew, written with its digest.

    >>> model = Model.read("model.h5")
    >>> model.network, model.backend, list(model.layers)
    ('lenet5', 'fbgemm', ['conv1', 'conv2', 'fc1', 'fc2', 'fc3'])
    >>> model.layers["conv1"].weights.shape, model.layers["conv1"].bias.dtype
    ((6, 3, 5, 5), dtype('int32'))
    >>> model.layers["fc3"].bias += 1
    >>> model.write("changed.h5")
    >>> int(Model.read("changed.h5").layers["fc3"].bias[0] - Model.read("model.h5").layers["fc3"].bias[0])
    1
    """
    network: str  # its name, as --model takes it
    backend: str  # fbgemm or qnnpack
    layers: dict  # Layer by name, in network order
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
        names = sorted({p.split("/")[2] for p in content.values if p.startswith("/layers/")},
                       key=lambda name: content[f"/layers/{name}/@index"])
        if check:
            hdf5.check(content, content.digest(_paths(names, version)))
        at = lambda p: hdf5.plain(content[p])
        layers = {name: Layer(**{key: at(f"/layers/{name}/{key}") for key in PARAMETERS},
                              **{key: at(f"/layers/{name}/@{key}") for key in QUANTIZATION}) for name in names}
        description = None
        if version >= 3:
            columns = pandas.DataFrame({key: at(f"/network/{key}") for key in (*TEXTS, *SIZES)}).set_index("name")
            description = Description(at("/@display_name"), *(at(f"/network/@{key}") for key in SIDES),
                                      list(at("/network/default_attention")), columns)
        root = {key: at(f"/@{key}") for key in PROVENANCE if key != "data_sha256" or version >= 2}
        return cls(at("/@network"), at("/@backend"), layers, at("/normalization/mean"),
                   at("/normalization/standard_deviation"), description, **root)

    def write(self, path):
        """Writes the file as a whole, in version 3, or without a description in version 2, with creator and time of
        now. Raises Error if a part has another type or shape than the format's; what triseg's arithmetic does not allow
        it says itself."""
        self.creator, self.creator_version = "triseg for Python", __version__
        self.file_time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = 3 if self.description else 2
        try:
            values = self._values(version)
            digest = hdf5.Content(name_of(path), values, {}).digest(_paths(list(self.layers), version))
            values |= {"/@format": numpy.bytes_("triseg-model"), "/@schema_version": numpy.int32(version),
                       "/@content_sha256": numpy.bytes_(digest)}
            content = _hdf5_of(values)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RuntimeError) as error:
            raise Error(f"cannot write {name_of(path)}: {error}") from error
        commit(path, content)

    def _values(self, version):
        values = {"/@network": _bytes(self.network), "/@backend": _bytes(self.backend),
                  "/normalization/mean": _array(self.mean, "f8"),
                  "/normalization/standard_deviation": _array(self.standard_deviation, "f8")}
        for key, kind in PROVENANCE.items():
            value = getattr(self, key)
            values[f"/@{key}"] = _bytes(value) if kind is str else _scalar(key, value, kind)
        if version >= 3:
            d = self.description
            columns = d.layers.reset_index(names="name")
            values |= {"/@display_name": _bytes(d.display_name),
                       "/network/default_attention": _texts(d.default_attention)}
            values |= {f"/network/@{key}": _scalar(key, getattr(d, key), numpy.int32) for key in SIDES}
            values |= {f"/network/{key}": _texts(columns[key]) for key in TEXTS}
            values |= {f"/network/{key}": _array(columns[key], "i4") for key in SIZES}
            if list(columns["name"]) != list(self.layers):
                raise ValueError(f"the layers are {', '.join(self.layers)}, those of the description "
                                 f"{', '.join(columns['name'])}")
        for index, (name, layer) in enumerate(self.layers.items()):
            if not name or "/" in name or name in (".", ".."):
                raise ValueError(f"the layer name {name!r}: expected one without '/'")
            if numpy.ndim(layer.weights) not in (2, 4):
                raise ValueError(f"layer {name}: weights: expected 2 or 4 dimensions, found {numpy.ndim(layer.weights)}")
            values[f"/layers/{name}/@index"] = numpy.int32(index)
            values |= {f"/layers/{name}/@{key}": _scalar(key, getattr(layer, key), kind) for key, kind in QUANTIZATION.items()}
            values |= {f"/layers/{name}/{key}": _array(getattr(layer, key), kind) for key, kind in PARAMETERS.items()}
        return values


def _paths(layers, version):
    """What the digest of a model file is over, in order."""
    paths = ["/@network", "/@backend"]
    if version >= 3:
        paths += ["/@display_name", *(f"/network/@{key}" for key in SIDES), "/network/default_attention",
                  *(f"/network/{key}" for key in (*TEXTS, *SIZES))]
    paths += [f"/@{key}" for key in PROVENANCE] + ["/normalization/mean", "/normalization/standard_deviation"]
    for name in layers:
        paths += [f"/layers/{name}/{key}" for key in ("@index", *(f"@{key}" for key in QUANTIZATION), *PARAMETERS)]
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
