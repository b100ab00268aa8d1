#!/usr/bin/env python3
"""How far imported networks give the logits that another program gave for the same ONNX files and images: a table in
Markdown.

    bench/importer/compare.py NETWORK.onnx ... --images RECORDS --preprocessing cifar10 [--build build/cpu]

NETWORK.logits.npy beside each file has the other program's outputs, (N, classes). RECORDS is a file of CIFAR-10's
binary version whose first N images they are of. The imported network's logits are those of the reference engine.

Needs a build with tests. "equal" is the share of logits with the same code, "one apart" that of those whose codes
differ by one, "furthest apart" the largest difference of codes, "same class" the share of images whose largest logit,
or one of several as large, is the other program's too. Outputs that are probabilities, of a Softmax, which the importer
drops, are compared with the Softmax of the imported network's logits, in codes whose step is the smallest difference of
two of the other program's.
"""
import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import checked  # noqa: E402  behind its folder
from triseg import Error  # noqa: E402
from triseg.command_line import packages, parser, run  # noqa: E402

with packages():
    import numpy as np

RECORD = 1 + 3 * 32 * 32


def read_logits(path):
    try:
        logits = np.load(path)
    except (OSError, ValueError) as error:
        raise Error(f"{path}: {error}") from None
    if logits.ndim != 2 or not len(logits):
        raise Error(f"{path}: expected logits as (images, classes), found {logits.shape}")
    if len(np.unique(logits)) < 2:
        raise Error(f"{path}: all logits are the same")
    return logits


def read_pixels(path):
    try:
        records = np.fromfile(path, np.uint8)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from None
    if not records.size or records.size % RECORD:
        raise Error(f"{path}: expected records of {RECORD} bytes, found {records.size} bytes")
    return records.reshape(-1, RECORD)[:, 1:]


def imported_logits(build, onnx, pixels, preprocessing, folder):
    """(scale, logits) of the network that the importer makes of the file."""
    model, raw = os.path.join(folder, "model.h5"), os.path.join(folder, "pixels")
    if os.path.exists(model):
        os.remove(model)
    checked([f"{build}/bin/triseg-import", onnx, "--out", model, "--preprocessing", preprocessing])
    pixels.tofile(raw)
    done = subprocess.run([f"{build}/bin/logit_codes", model, raw], capture_output=True)
    if done.returncode != 0:
        raise Error(f"logit_codes: {done.stderr.decode(errors='replace')}")
    line, codes = done.stdout.split(b"\n", 1)
    scale, zero_point = line.split()
    codes = np.frombuffer(codes, np.uint8).reshape(len(pixels), -1)
    return float(scale), float(scale) * (codes.astype(float) - int(zero_point))


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def are_probabilities(outputs):
    classes = outputs.shape[1]
    return outputs.min() >= 0 and np.abs(outputs.sum(1) - 1).max() <= classes / 256


def row(name, expected, scale, found):
    if expected.shape != found.shape:
        raise Error(f"{name}: expected {expected.shape[1]} classes, imported {found.shape[1]}")
    best = np.arange(len(expected)), expected.argmax(1)
    same = 100 * np.mean(found[best] == found.max(1))
    kind = "codes"
    if are_probabilities(expected):
        scale, kind = np.diff(np.unique(expected)).min(), "probabilities"
        found = np.minimum(softmax(found), 255 * scale)
    apart = np.abs(np.rint((found - expected) / scale))
    shares = " | ".join(f"{100 * np.mean(apart == steps):.2f} %" for steps in (0, 1))
    return f"| {name} | {kind} | {len(expected)} | {shares} | {apart.max():.0f} | {same:.1f} % |"


def main():
    arguments = parser(__doc__)
    arguments.add_argument("networks", nargs="+")
    arguments.add_argument("--images", required=True)
    arguments.add_argument("--preprocessing", required=True, help="as triseg import takes it")
    arguments.add_argument("--build", default="build/cpu")
    o = arguments.parse_args()

    for program in "triseg-import", "logit_codes":
        if not os.path.exists(f"{o.build}/bin/{program}"):
            raise Error(f"{o.build}/bin/{program} is missing: build first, or name another build by --build")
    pixels = read_pixels(o.images)
    print("| file | compared | images | equal | one apart | furthest apart | same class "
          "|\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for onnx in o.networks:
            name = os.path.splitext(onnx)[0]
            expected = read_logits(f"{name}.logits.npy")
            if len(expected) > len(pixels):
                raise Error(f"{name}.logits.npy: has logits of {len(expected)} images; {o.images} has {len(pixels)}")
            scale, found = imported_logits(o.build, onnx, pixels[:len(expected)], o.preprocessing, folder)
            print(row(os.path.basename(name), expected, scale, found), flush=True)


if __name__ == "__main__":
    run(main)
