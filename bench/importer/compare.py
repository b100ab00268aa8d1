#!/usr/bin/env python3
"""How far imported networks give the logits and accuracies that ONNX Runtime gives for the same files: Markdown tables.

    bench/importer/compare.py NETWORK.onnx ... --images RECORDS [--data FOLDER] --preprocessing cifar10

RECORDS is a file of CIFAR-10's binary version; the imported network's logits of its images are those of the reference
engine. FOLDER has the data set whose test split `triseg evaluate` and ONNX Runtime classify. scripts/onnxruntime.sh
makes the build that this needs, and installs ONNX Runtime there.

ONNX Runtime runs as it does by default, and with "integers": with tensors of type int8 left as integers
(session.qdqisint8allowed), which it else computes in float32 in part. "equal" is the share of logits with the same
code, "one apart" that of those whose codes differ by one, "furthest apart" the largest difference of codes, "same
class" the number of images whose largest logit, or one of several as large, is ONNX Runtime's too. A Softmax at
the end, which the importer drops, is cut off for ONNX Runtime, too.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "importer")]
from common import checked  # noqa: E402  behind its folder
from triseg import Error  # noqa: E402
from triseg.command_line import packages, parser, run  # noqa: E402

with packages():
    import numpy as np
    import onnx

import onnxruntime  # noqa: E402

RECORD = 1 + 3 * 32 * 32
PREPROCESSING = {"0..1": ([0], [1]), "0..255": ([0], [1 / 255]),
                 "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
                 "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])}
LEVELS = {"default": "all", "integers": "all integers"}


def read_records(path):
    """Labels (N) and pixels (N, 3, 32, 32)."""
    try:
        records = np.fromfile(path, np.uint8)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from None
    if not records.size or records.size % RECORD:
        raise Error(f"{path}: expected records of {RECORD} bytes, found {records.size} bytes")
    records = records.reshape(-1, RECORD)
    return records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32)


def preprocessing_of(name, options):
    fitting = [text.split("=")[-1] for text in options if "=" not in text or text.split("=")[0] in name]
    if not fitting:
        raise Error(f"--preprocessing: none of {', '.join(options)} is for {name}")
    return fitting[-1]


def mean_and_deviation(text):
    if text in PREPROCESSING:
        return PREPROCESSING[text]
    try:
        return [[float(x) for x in part.split(",")] for part in text.split("/", 1)]
    except ValueError:
        raise Error(f"--preprocessing {text}: expected {', '.join(PREPROCESSING)} or MEAN/DEVIATION") from None


class OnnxRuntime:
    def __init__(self, packages, preprocessing):
        self.packages, self.preprocessing = packages, preprocessing

    def outputs(self, path, pixels, level):
        mean, deviation = (np.float32(np.reshape(v, (-1, 1, 1))) for v in mean_and_deviation(self.preprocessing))
        images = (np.float32(pixels) / np.float32(255) - mean) / deviation
        graph = onnx.load(path).graph
        initializers = {tensor.name for tensor in graph.initializer}
        shape = next(i for i in graph.input if i.name not in initializers).type.tensor_type.shape.dim
        if shape[1].dim_value != 3 and shape[3].dim_value == 3:
            images = images.transpose(0, 2, 3, 1)
        try:
            return onnxruntime.outputs(self.packages, path, images, level)
        except RuntimeError as error:
            raise Error(f"{path}: ONNX Runtime: {error}") from None


def imported(build, path, preprocessing, model):
    """Makes the model file; the names of its sites."""
    if os.path.exists(model):
        os.remove(model)
    said = checked([f"{build}/bin/triseg-import", path, "--out", model, "--preprocessing", preprocessing]).stdout
    return next(line for line in said.splitlines() if line.startswith("Sites: "))[len("Sites: "):].split(", ")


def imported_logits(build, model, pixels, folder):
    """(scale, logits) of a model file."""
    raw = os.path.join(folder, "pixels")
    pixels.tofile(raw)
    done = subprocess.run([f"{build}/bin/logit_codes", model, raw], capture_output=True)
    if done.returncode != 0:
        raise Error(f"logit_codes: {done.stderr.decode(errors='replace')}")
    line, codes = done.stdout.split(b"\n", 1)
    scale, zero_point = line.split()
    codes = np.frombuffer(codes, np.uint8).reshape(len(pixels), -1)
    return float(scale), float(scale) * (codes.astype(float) - int(zero_point))


def imported_accuracy(build, model, name, site, data, folder):
    """What `triseg evaluate` finds for the network as it is, in percent: with a staircase that changes no code."""
    result = os.path.join(folder, "exact.json")
    codes = dict.fromkeys(("t1_code", "v1_code", "t2_code", "v2_code", "tmax_code"), 0)
    with open(result, "w") as file:
        json.dump({"model": name, "layers": {site: codes}}, file)
    command = [f"{build}/bin/triseg", "evaluate", result, "--teacher", model, "--data", data, "--format", "json"]
    return json.loads(checked(command).stdout)["acc_teacher"]


def with_logits(path, folder):
    """The file whose output is the logits: itself, or without the Softmax at its end, which the importer drops."""
    model = onnx.load(path)
    ends = [node for node in model.graph.node if node.op_type in ("Softmax", "QLinearSoftmax")]
    if not ends:
        return path
    logits = ends[-1].input[0]
    if ends[-1].op_type == "QLinearSoftmax":
        model.graph.node.append(onnx.helper.make_node("DequantizeLinear", ends[-1].input[:3], ["the.logits"]))
        logits = "the.logits"
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
    cut = os.path.join(folder, "logits.onnx")
    onnx.save(model, cut)
    return cut


def row(name, mode, expected, scale, found):
    if expected.shape != found.shape:
        raise Error(f"{name}: expected {expected.shape[1]} classes, imported {found.shape[1]}")
    best = np.arange(len(expected)), expected.argmax(1)
    same = np.sum(found[best] == found.max(1))
    apart = np.abs(np.rint((found - expected) / scale))
    shares = " | ".join(f"{100 * np.mean(apart == steps):.2f} %" for steps in (0, 1))
    return f"| {name} | {mode} | {shares} | {apart.max():.0f} | {same} of {len(expected)} |"


def main():
    arguments = parser(__doc__)
    arguments.add_argument("networks", nargs="+")
    arguments.add_argument("--images", required=True)
    arguments.add_argument("--data", help="data set whose test split is classified, too")
    arguments.add_argument("--preprocessing", action="append", required=True,
                           help="as triseg import takes it, or PART=TEXT for files whose name has PART")
    arguments.add_argument("--build", default="build/cpu")
    o = arguments.parse_args()

    packages_folder = f"{o.build}/onnxruntime/node_modules"
    for needed in "bin/triseg-import", "bin/logit_codes", "bin/triseg", "onnxruntime/node_modules":
        if not os.path.exists(f"{o.build}/{needed}"):
            raise Error(f"{o.build}/{needed} is missing: run scripts/onnxruntime.sh, or name another build by --build")
    _, pixels = read_records(o.images)
    rows, accuracies = [], []
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.h5")
        for path in o.networks:
            name = os.path.splitext(os.path.basename(path))[0]
            preprocessing = preprocessing_of(name, o.preprocessing)
            other = OnnxRuntime(packages_folder, preprocessing)
            sites = imported(o.build, path, preprocessing, model)
            scale, found = imported_logits(o.build, model, pixels, folder)
            signed = "s8s8" in name
            logits = with_logits(path, folder)
            for mode in LEVELS if signed else ["default"]:
                rows.append(row(name, mode, other.outputs(logits, pixels, LEVELS[mode]), scale, found))
                print(rows[-1], file=sys.stderr)
            if o.data:
                labels, test = read_records(os.path.join(o.data, "test_batch.bin"))
                theirs = 100 * np.mean(other.outputs(path, test, LEVELS["default"]).argmax(1) == labels)
                ours = imported_accuracy(o.build, model, name, sites[-1], o.data, folder)
                accuracies.append(f"| {name} | {ours:.2f} | {theirs:.2f} |")
                print(accuracies[-1], file=sys.stderr)
    print("| file | ONNX Runtime | equal | one apart | furthest apart | same class |")
    print("\n".join(["|---|---|---|---|---|---|"] + rows))
    if accuracies:
        print("\n| file | imported | ONNX Runtime |\n|---|---|---|")
        print("\n".join(accuracies))


if __name__ == "__main__":
    run(main)
