"""Writes the content of a model file anew, all by h5py. Usage: rewrite_model.py FROM TO [SCHEMA_VERSION]

Versions before 4 held chains: there a convolution and the pool behind it are one layer. A file of version 1 or 2, which
does not describe its network, becomes one of version 1 or 2."""
import sys

import h5py
import numpy
from content_digest import ContentDigest

SIDES = ["input_channels", "input_height", "input_width", "classes"]
COLUMNS = ["name", "operation", "inputs", "channels", "height", "width", "window_height", "window_width", "stride_y",
           "stride_x", "dilation_y", "dilation_x", "pad_top", "pad_left", "pad_bottom", "pad_right", "ceil", "groups",
           "count_padding", "relu"]
ROOT = ["network", "backend", "data", "data_sha256", "creator", "creator_version", "file_time", "command_line", "seed",
        "epochs", "float_accuracy", "int8_test_accuracy"]
GROUP = ["index", "output_scale", "output_zero_point", "lowest", "highest"]
PARTS = {"convolution": ["weights", "weight_scale", "bias", "multiplier"], "table": ["@map_count", "maps"],
         "concatenate": ["@map_count", "maps"], "constant": ["codes"]}


def get(attrs, name):
    value = attrs[name]
    return value.decode() if isinstance(value, bytes) else value


class Writer:
    def __init__(self, file):
        self.file, self.digest = file, ContentDigest()

    def attribute(self, group, name, value, digest=True):
        if digest:
            self.digest.add("/@" + name if group == "/" else f"{group}/@{name}", value)
        attrs = self.file.require_group(group).attrs
        if isinstance(value, str):
            attrs.create(name, value, dtype=h5py.string_dtype("utf-8", max(len(value.encode()), 1)))
        else:
            attrs.create(name, value)

    def dataset(self, path, values):
        self.digest.add(path, [value.decode() for value in values] if values.dtype.kind == "S" else values)
        self.file.create_dataset(path, data=values)  # contiguous, no filters


def copy_nodes(old, new):
    for name, operation in zip(old["network/nodes/name"], old["network/nodes/operation"]):
        group = old["nodes"][name.decode()]
        for key in GROUP:
            new.attribute(group.name, key, get(group.attrs, key))
        for key in PARTS.get(operation.decode(), []):
            if key.startswith("@"):
                new.attribute(group.name, key[1:], get(group.attrs, key[1:]))
            else:
                new.dataset(f"{group.name}/{key}", group[key][()])


def layers_of(old):
    """A dict a layer: its name, row among the nodes, and columns."""
    column = {name: old[f"network/nodes/{name}"][()] for name in COLUMNS}
    layers = []
    channels, side = old["network"].attrs["input_channels"], old["network"].attrs["input_height"]
    for i, name in enumerate(column["name"]):
        at = {key: values[i] for key, values in column.items()}
        assert column["inputs"][i].tolist() == [i - 1], "a chain"
        if at["operation"] == b"maximum":
            layers[-1]["pool"] = at["window_height"]
        else:
            fc = at["window_height"] == side and at["pad_top"] == 0
            layers.append({"node": name.decode(), "name": name, "kind": b"fc" if fc else b"conv",
                           "in_channels": channels * side * side if fc else channels, "out_channels": at["channels"],
                           "kernel": 1 if fc else at["window_height"], "stride": at["stride_y"],
                           "padding": at["pad_top"], "pool": 1, "relu": at["relu"]})
        channels, side = at["channels"], at["height"]
    return layers


def write_layers(old, new, layers):
    scale, zero_point = (old["network"].attrs[f"input_{key}"] for key in ("scale", "zero_point"))
    for index, layer in enumerate(layers):
        source, group = old["nodes"][layer["node"]], f"/layers/{layer['node']}"
        new.attribute(group, "index", numpy.int32(index))
        new.attribute(group, "input_scale", scale)
        new.attribute(group, "input_zero_point", zero_point)
        scale, zero_point = source.attrs["output_scale"], source.attrs["output_zero_point"]
        new.attribute(group, "output_scale", scale)
        new.attribute(group, "output_zero_point", zero_point)
        weights = source["weights"][()]
        new.dataset(group + "/weights", weights.reshape(len(weights), -1) if layer["kind"] == b"fc" else weights)
        for key in PARTS["convolution"][1:]:
            new.dataset(f"{group}/{key}", source[key][()])


def copy_layers(old, new):
    for layer in sorted(old["layers"].values(), key=lambda group: group.attrs["index"]):
        for key in ("index", "input_scale", "input_zero_point", "output_scale", "output_zero_point"):
            new.attribute(layer.name, key, layer.attrs[key])
        for key in PARTS["convolution"]:
            new.dataset(f"{layer.name}/{key}", layer[key][()])


version = int(sys.argv[3]) if len(sys.argv) > 3 else 4
with h5py.File(sys.argv[1], "r") as old, h5py.File(sys.argv[2], "w") as file:
    new = Writer(file)
    new.attribute("/", "format", "triseg-model", digest=False)
    new.attribute("/", "schema_version", numpy.int32(version), digest=False)
    for name in ROOT:
        if name == "data_sha256" and version < 2:
            continue
        new.attribute("/", name, get(old.attrs, name))
        if name != "backend" or version < 3:
            continue
        new.attribute("/", "display_name", get(old.attrs, "display_name"))
        if version == 4:
            for side in SIDES:
                new.attribute("/network", side, old["network"].attrs[side])
            for texts in ("all_sites", "default_attention"):
                new.dataset(f"/network/{texts}", old[f"network/{texts}"][()])
            for column in COLUMNS:
                new.dataset(f"/network/nodes/{column}", old[f"network/nodes/{column}"][()])
        else:
            for side, name_now in (("input_channels", "input_channels"), ("input_side", "input_height"),
                                   ("classes", "classes")):
                new.attribute("/network", side, old["network"].attrs[name_now])
            new.dataset("/network/default_attention", old["network/default_attention"][()])
            layers = layers_of(old)
            for key in list(layers[0])[1:]:
                values = [layer[key] for layer in layers]
                new.dataset(f"/network/{key}", numpy.array(values, None if key in ("name", "kind") else "i4"))
    new.dataset("/normalization/mean", old["normalization/mean"][()])
    new.dataset("/normalization/standard_deviation", old["normalization/standard_deviation"][()])
    if version == 4:
        for key in ("input_scale", "input_zero_point"):
            new.attribute("/network", key, old["network"].attrs[key])
        copy_nodes(old, new)
    elif "layers" in old:
        copy_layers(old, new)
    else:
        write_layers(old, new, layers_of(old))
    new.attribute("/", "content_sha256", new.digest.hex(), digest=False)
