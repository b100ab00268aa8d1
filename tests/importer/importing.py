"""What tests of triseg import share: images, a network, and the comparison of both sides' logits."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

import onnxruntime
from onnx_net import Net

IMPORT, LOGIT_CODES = os.environ["TRISEG_IMPORT"], os.environ["TRISEG_LOGIT_CODES"]
ONNXRUNTIME = os.environ.get("TRISEG_ONNXRUNTIME")  # where it is: node_modules
IMAGES = 24


def pixels(shape=(3, 8, 8), images=IMAGES, seed=3):
    """Images with structure: waves, so that averages differ."""
    random = np.random.default_rng(seed)
    c, h, w = shape
    y, x = np.mgrid[0:h, 0:w]
    waves = [np.sin(random.uniform(0.2, 1.5) * y + random.uniform(0.2, 1.5) * x + random.uniform(0, 6))
             for _ in range(images * c)]
    noise = random.normal(size=(images, c, h, w)) * 0.2
    return np.clip(128 + 100 * (np.reshape(waves, (images, c, h, w)) + noise), 0, 255).astype(np.uint8)


def as_input(image_pixels, mean=0.0, deviation=1.0):
    """What the graph takes, as docs/int8-contract.md makes it of pixels: float32."""
    x = np.float32(image_pixels) / np.float32(255)
    mean, deviation = (np.float32(np.reshape(v, (-1, 1, 1))) for v in (mean, deviation))
    return (x - mean) / deviation


class Importing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_import(self, *words):
        return subprocess.run([IMPORT, *map(str, words)], capture_output=True, text=True, timeout=120)

    def imported(self, net, output, *options, pixels_, **saving):
        """(scale, zero point, codes (N, classes), what the program said)"""
        onnx, model = self.folder / "net.onnx", self.folder / "net.h5"
        model.unlink(missing_ok=True)
        net.save(onnx, output, **saving)
        done = self.run_import(onnx, "--out", model, *(options or ("--preprocessing", "0..1")))
        self.assertEqual(done.returncode, 0, done.stderr)
        raw = self.folder / "pixels"
        raw.write_bytes(np.ascontiguousarray(pixels_).tobytes())
        ran = subprocess.run([LOGIT_CODES, str(model), str(raw)], capture_output=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        line, codes = ran.stdout.split(b"\n", 1)
        scale, zero = line.split()
        codes = np.frombuffer(codes, np.uint8).reshape(len(pixels_), -1)
        return float(scale), int(zero), codes, done.stdout

    def check(self, net, output, *options, pixels_=None, logits=None, exact=True, others=True, **saving):
        """The logits are the ONNX file's, `logits` or its output; on the images they take more than a few values. Not
        others: ONNX Runtime does not read the file."""
        pixels_ = self.pixels if pixels_ is None else pixels_
        scale, zero, codes, said = self.imported(net, output, *options, pixels_=pixels_, **saving)
        expected = np.float64(net.values[output] if logits is None else net.values[logits]).reshape(len(pixels_), -1)
        self.assertEqual(codes.shape, expected.shape)
        self.assertGreater(len(np.unique(expected)), 20)
        found = scale * (np.float64(codes) - zero)
        if exact:
            wrong = np.sum(np.abs(found - expected) > scale / 4)
            self.assertEqual(wrong, 0, f"{wrong} of {codes.size} codes differ")
        if ONNXRUNTIME and others:
            self.check_onnxruntime(net, output, scale)
        return scale, found - expected, said

    def check_onnxruntime(self, net, output, scale):
        """What onnx_net evaluates is what ONNX Runtime gives, up to a code where float32 rounds another way."""
        integers = any(node.op_type.startswith("QLinear") for node in net.nodes)
        level = "all" if integers else "disabled"  # operators on integers get their exact sums by an optimization
        given = onnxruntime.outputs(ONNXRUNTIME, self.folder / "net.onnx", net.images, level)
        apart = np.abs(given - np.reshape(net.values[output], given.shape)) / scale
        self.assertLess(apart.max(), 1.1)
        self.assertLess(np.mean(apart > 0.25), 0.03)

    def net(self, shape=(3, 8, 8), mean=0.0, deviation=1.0, nhwc=False, **how):
        self.pixels = pixels(shape)
        x = as_input(self.pixels, mean, deviation)
        return Net(x.transpose(0, 2, 3, 1) if nhwc else x, **how)

    def first(self, n, channels=4, kind="u8"):
        """A convolution of the image with a ReLU: a site, without which no network is imported."""
        return n.qdq(n.add("Relu", [n.conv(n.qdq("image", kind), channels, pads=[1, 1, 1, 1])]), kind)

    def sites(self, said):
        line = next(line for line in said.splitlines() if line.startswith("Sites:"))
        return [name for name in line[len("Sites:"):].replace(" ", "").split(",") if name != "none"]
