"""Writes the content of a model file anew, all by h5py. Usage: rewrite_model.py FROM TO [SCHEMA_VERSION]"""
import sys

import h5py
import numpy
from content_digest import ContentDigest

SINCE_3 = ["input_channels", "input_side", "classes"]
NETWORK = ["default_attention", "name", "kind", "in_channels", "out_channels", "kernel", "stride", "padding", "pool", "relu"]
ROOT = ["network", "backend", "data", "data_sha256", "creator", "creator_version", "file_time", "command_line", "seed", "epochs",
        "float_accuracy", "int8_test_accuracy"]
GROUP = ["index", "input_scale", "input_zero_point", "output_scale", "output_zero_point"]
LAYER = ["weights", "weight_scale", "bias", "multiplier"]


def put(attrs, name, value):
    if isinstance(value, str):
        attrs.create(name, value, dtype=h5py.string_dtype("utf-8", max(len(value.encode()), 1)))
    else:
        attrs.create(name, value)


def get(attrs, name):
    value = attrs[name]
    return value.decode() if isinstance(value, bytes) else value


version = int(sys.argv[3]) if len(sys.argv) > 3 else 3
with h5py.File(sys.argv[1], "r") as old, h5py.File(sys.argv[2], "w") as new:
    digest = ContentDigest()

    def copy_attribute(source, target, name):
        value = get(source.attrs, name)
        digest.add("/@" + name if source.name == "/" else f"{source.name}/@{name}", value)
        put(target.attrs, name, value)

    def copy_dataset(path):
        values = old[path][()]
        digest.add(path, [value.decode() for value in values] if values.dtype.kind == "S" else values)
        new.create_dataset(path, data=values)  # contiguous, no filters

    put(new.attrs, "format", "triseg-model")
    put(new.attrs, "schema_version", numpy.int32(version))
    for name in ROOT:
        if name == "data_sha256" and version < 2:
            continue
        copy_attribute(old, new, name)
        if name == "backend" and version >= 3:
            copy_attribute(old, new, "display_name")
            for number in SINCE_3:
                copy_attribute(old["network"], new.require_group("network"), number)
            for column in NETWORK:
                copy_dataset(f"/network/{column}")
    copy_dataset("/normalization/mean")
    copy_dataset("/normalization/standard_deviation")
    for layer in sorted(old["layers"].values(), key=lambda g: g.attrs["index"]):
        group = new.create_group(layer.name)
        for name in GROUP:
            copy_attribute(layer, group, name)
        for name in LAYER:
            copy_dataset(f"{layer.name}/{name}")
    put(new.attrs, "content_sha256", digest.hex())
