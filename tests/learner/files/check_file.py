"""Reads every dataset and attribute of an HDF5 file with h5py and compares them with expected ones.

Usage: check_file.py FILE EXPECTED.json SKIPPED
EXPECTED maps "/group/dataset", "@root_attribute" and "/group@attribute" to {"dtype", "values"}; SKIPPED names entries,
separated by commas, that must exist but may hold anything. Exits with 1 and names what differs.
"""
import json
import sys

import h5py
import numpy


def entry(value, dtype):
    string = h5py.check_string_dtype(dtype)
    if string is not None:
        assert string.encoding == "utf-8" and string.length is not None, "expected a fixed-length UTF-8 string"
        array = numpy.asarray(value)
        decoded = [s.decode("utf-8") for s in array.reshape(-1)]
        return "string", decoded if array.shape else decoded[0]
    array = numpy.asarray(value)
    if dtype.kind == "f":  # JSON has null in the place of NaN
        array = numpy.where(numpy.isnan(array), None, array)
    return str(dtype), array.tolist()


def main(path, expected_path, skipped):
    expected = json.load(open(expected_path))
    found, errors = {}, []
    with h5py.File(path, "r") as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                found["/" + name] = entry(item[()], item.dtype)
                if item.shape and not (item.chunks and item.fletcher32 and item.shuffle and item.compression == "gzip"):
                    errors.append(f"/{name}: not chunked, shuffled, deflated and checksummed")
                if item.shape and item.maxshape[0] is not None:
                    errors.append(f"/{name}: not extendible")
                if path.endswith("run.h5") and not name.startswith("checkpoint/tensors/"):
                    if "long_name" not in item.attrs:
                        errors.append(f"/{name}: no long_name")
                    if name.endswith("codes") and item.attrs["columns"] != b"t1,v1,t2,v2":
                        errors.append(f"/{name}: columns {item.attrs['columns']}")
                    seconds = name.endswith("_seconds")
                    if seconds != ("may_differ" in item.attrs) or (seconds and item.attrs["units"] != b"s"):
                        errors.append(f"/{name}: units or may_differ")
            else:
                attributes("/" + name, item)

        def attributes(prefix, item):
            for name in item.attrs:
                found[f"{prefix}@{name}"] = entry(item.attrs[name], item.attrs.get_id(name).dtype)

        attributes("", file)
        file.visititems(visit)
    for name in skipped.split(","):
        if found.pop(name, None) is None:
            errors.append(f"{name}: missing")
    for name in sorted(set(expected) | set(found)):
        if name not in found:
            errors.append(f"{name}: missing")
        elif name not in expected:
            errors.append(f"{name}: unexpected")
        elif found[name] != (expected[name]["dtype"], expected[name]["values"]):
            errors.append(f"{name}: expected {str(expected[name])[:200]}, found {str(found[name])[:200]}")
    print("\n".join(errors))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
