"""triseg import on files of every construct: the logit codes of the model file, by the reference engine, are those of
the ONNX file, which onnx_net evaluates on its own."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

from onnx_net import Net, quantized

IMPORT, LOGIT_CODES = os.environ["TRISEG_IMPORT"], os.environ["TRISEG_LOGIT_CODES"]
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

    def check(self, net, output, *options, pixels_=None, logits=None, exact=True, **saving):
        """The logits are the ONNX file's, `logits` or its output; on the images they take more than a few values."""
        pixels_ = self.pixels if pixels_ is None else pixels_
        scale, zero, codes, said = self.imported(net, output, *options, pixels_=pixels_, **saving)
        expected = np.float64(net.values[output] if logits is None else net.values[logits]).reshape(len(pixels_), -1)
        self.assertEqual(codes.shape, expected.shape)
        self.assertGreater(len(np.unique(expected)), 20)
        found = scale * (np.float64(codes) - zero)
        if exact:
            self.assertLess(np.abs(found - expected).max(), scale / 4,
                            f"codes differ: {np.sum(np.abs(found - expected) > scale / 4)}")
        return scale, found - expected, said

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


class Qdq(Importing):
    """QuantizeLinear and DequantizeLinear around float operators."""

    def test_relu_that_the_scale_has_folded(self):
        for kind in "u8", "s8":
            n = self.net()
            x = n.qdq("image", kind)
            x = n.qdq(n.add("Relu", [n.conv(x, 6, pads=[1, 1, 1, 1])]), kind)
            x = n.qdq(n.classifier(x), kind)
            _, _, said = self.check(n, x)
            self.assertEqual(len(self.sites(said)), 1)

    def test_relu_is_left_out_where_the_zero_point_says_it(self):
        for kind in "u8", "s8":
            n = self.net()
            x = n.qdq("image", kind)
            y = n.conv(x, 6)
            n.values[y] = np.maximum(n.values[y], 0)  # so that the scale is that of a ReLU
            x = n.qdq(y, kind)
            x = n.qdq(n.classifier(x), kind)
            self.assertEqual(len(self.sites(self.check(n, x)[2])), 1)

    def test_relu6(self):
        n = self.net()
        x = n.conv(n.qdq("image"), 6)
        x = n.add("Clip", [x, np.float32(0), np.float32(0.7)])
        x = n.qdq(x, scale=np.float32(0.004))
        x = n.qdq(n.classifier(x))
        self.assertEqual(len(self.sites(self.check(n, x)[2])), 1)

    def test_explicit_relu_of_symmetric_activations(self):
        n = self.net()
        x = n.qdq("image", "s8", symmetric=True)
        x = n.qdq(n.conv(x, 6), "s8", symmetric=True)
        scale = n.values[n.nodes[-1].input[1]]
        x = n.qdq(n.add("Relu", [x]), "s8", symmetric=True, scale=scale)
        x = n.qdq(n.classifier(x), "s8", symmetric=True)
        self.assertEqual(len(self.sites(self.check(n, x)[2])), 1)

    def test_explicit_clip_of_symmetric_activations(self):
        n = self.net()
        x = n.qdq("image", "s8", symmetric=True)
        x = n.qdq(n.conv(x, 6), "s8", symmetric=True)
        scale = n.values[n.nodes[-1].input[1]]
        x = n.add("Clip", [x, np.float32(0), np.float32(scale * 77.3)])
        x = n.qdq(x, "s8", symmetric=True, scale=scale)
        x = n.qdq(n.classifier(x), "s8", symmetric=True)
        self.check(n, x)

    def test_relu_with_another_scale(self):
        n = self.net()
        x = n.qdq(n.conv(n.qdq("image"), 6))
        x = n.qdq(n.add("Relu", [x]), "u8")
        x = n.qdq(n.classifier(x))
        self.check(n, x)

    def test_relu_behind_which_no_scale_stands(self):
        n = self.net()
        x = n.add("Relu", [n.qdq(n.conv(n.qdq("image"), 6))])
        x = n.qdq(n.conv(x, 4))
        x = n.qdq(n.classifier(x))
        self.check(n, x)

    def test_value_before_a_relu_is_used_too(self):
        n = self.net()
        a = n.qdq(n.conv(n.qdq("image", "s8", symmetric=True), 6, pads=[1, 1, 1, 1]), "s8", symmetric=True)
        scale = n.values[n.nodes[-1].input[1]]
        b = n.qdq(n.add("Relu", [a]), "s8", symmetric=True, scale=scale)
        b = n.qdq(n.conv(b, 6, pads=[1, 1, 1, 1]), "s8", symmetric=True)
        x = n.qdq(n.add("Add", [a, b]), "s8", symmetric=True)
        self.check(n, n.qdq(n.classifier(x)))

    def test_weights(self):
        for form in "int8", "float", "uint8":
            for axis in None, 0, -4:
                if axis == -4 and form != "int8":
                    continue
                n = self.net()
                n_axis = axis if axis is None else axis % 4
                weights = n.real_weights((6, 3, 3, 3))
                scale = n.weight_scale(weights, n_axis)
                kind = "u8" if form == "uint8" else "s8"
                zero = np.full(scale.shape, 128 if kind == "u8" else 0, np.uint8 if kind == "u8" else np.int8)
                where = {} if axis is None else {"axis": axis}
                codes = (n.add("QuantizeLinear", [weights, scale, zero], **where) if form == "float"
                         else quantized(weights, scale, zero, kind, n_axis))
                w = n.add("DequantizeLinear", [codes, scale, zero], **where)
                x = n.qdq(n.add("Relu", [n.add("Conv", [n.qdq("image"), w])]))
                with self.subTest(form=form, axis=axis):
                    self.check(n, n.qdq(n.classifier(x)))

    def test_weights_of_a_matrix_by_columns(self):
        n = self.net()
        x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6, 8)]))
        flat = n.add("Reshape", [x, np.array([0, -1], np.int64)])
        w = n.weights((6, 5), 1)
        x = n.add("Add", [n.add("MatMul", [flat, w]), np.float32(n.random.normal(size=5))])
        self.check(n, n.qdq(x))

    def test_weights_that_are_transposed_in_the_graph(self):
        n = self.net()
        x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6, 8)]))
        flat = n.add("Flatten", [x])
        w = n.add("Transpose", [n.weights((5, 6), 0)], perm=[1, 0])
        self.check(n, n.qdq(n.add("MatMul", [flat, w])))

    def test_biases(self):
        for form in "none", "units", "s32", "float", "s8":
            n = self.net()
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6, bias=form)]))
            with self.subTest(form=form):
                scale, difference, _ = self.check(n, n.qdq(n.classifier(x)), exact=form in ("none", "units", "s32"))
                # A bias is rounded to the accumulator's unit, which may be the difference of one code.
                self.assertLess(np.abs(difference).max(), 1.1 * scale)
                self.assertLess(np.mean(np.abs(difference) > scale / 4), 0.05)

    def test_scales_as_scalars_lists_nodes_and_inputs(self):
        n = self.net()
        scale, zero = n.range_of("image", "u8")
        s, z = n.constant(scale.reshape(1)), n.constant(np.asarray(zero).reshape(1))
        n.also_inputs += [s, z]
        x = n.add("DequantizeLinear", [n.add("QuantizeLinear", ["image", s, z]), s, z])
        y = n.add("Relu", [n.conv(x, 6)])
        scale, zero = n.range_of(y, "u8")
        s, z = n.constant(scale, node=True), n.constant(zero, node=True)
        x = n.add("DequantizeLinear", [n.add("QuantizeLinear", [y, s, z]), s, z])
        self.check(n, n.qdq(n.classifier(x)), check=False)

    def test_zero_points_that_are_left_out(self):
        n = self.net()
        scale = np.float32(1 / 255)
        x = n.add("DequantizeLinear", [n.add("QuantizeLinear", ["image", scale]), scale])
        y = n.add("Relu", [n.conv(x, 6)])
        scale, _ = n.range_of(y, "u8")
        x = n.add("DequantizeLinear", [n.add("QuantizeLinear", [y, scale]), scale])
        self.check(n, n.qdq(n.classifier(x)))

    def test_averages(self):
        for wrapped in True, False:
            for operator in ("GlobalAveragePool", "AveragePool", "ReduceMean", "ReduceMean 18",
                             "ReduceMean without axes kept"):
                n = self.net(opset=18 if operator.endswith("18") else 13)
                x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
                if operator == "GlobalAveragePool":
                    x = n.add(operator, [x])
                elif operator == "AveragePool":
                    x = n.add(operator, [x], kernel_shape=[6, 6])
                elif operator.endswith("18"):
                    x = n.add("ReduceMean", [x, np.array([-1, -2], np.int64)])
                else:
                    x = n.add("ReduceMean", [x], axes=[2, 3], keepdims=int(operator == "ReduceMean"))
                if wrapped:
                    x = n.qdq(x)
                with self.subTest(operator=operator, wrapped=wrapped):
                    self.check(n, n.qdq(n.classifier(x)))

    def test_averages_without_a_scale_before_convolutions(self):
        """Before a window of one position the convolution takes them in; before others they are rounded to codes."""
        for size, relu in (1, False), (1, True), (3, False):
            n = self.net(shape=(3, 12, 12))
            x = n.add("AveragePool", [self.first(n)], kernel_shape=[2, 3], strides=[2, 2], pads=[1, 0, 1, 0],
                      count_include_pad=1)
            x = n.add("Relu", [x]) if relu else x
            y = n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(x, 6, size)]))))
            exact = size == 1 and not relu
            with self.subTest(size=size, relu=relu):
                scale, difference, said = self.check(n, y, exact=exact)
                self.assertEqual(": average" not in said, exact)
                self.assertLess(np.abs(difference).max(), 3.1 * scale)

    def test_average_that_two_nodes_read(self):
        n = self.net()
        x = n.add("GlobalAveragePool", [self.first(n)])
        a, b = (n.qdq(n.conv(x, 4, 1)) for _ in range(2))
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Add", [a, b])))))

    def test_pools(self):
        for operator, how in (("MaxPool", {"pads": [1, 0, 0, 1]}), ("MaxPool", {"ceil_mode": 1}),
                              ("MaxPool", {"dilations": [2, 2]}), ("AveragePool", {"pads": [1, 0, 0, 1]}),
                              ("AveragePool", {"pads": [1, 1, 0, 0], "count_include_pad": 1}),
                              ("AveragePool", {"ceil_mode": 1}), ("MaxPool", {"auto_pad": "SAME_LOWER"})):
            n = self.net()
            x = n.qdq(n.conv(self.first(n), 6, pads=[1, 1, 1, 1]))
            x = n.add(operator, [x], kernel_shape=[3, 2], strides=[2, 2], **how)
            with self.subTest(operator=operator, how=how):
                self.check(n, n.qdq(n.classifier(n.qdq(x))))

    def test_pool_before_the_scale(self):
        n = self.net()
        x = n.add("MaxPool", [n.add("Relu", [n.conv(n.qdq("image"), 6)])], kernel_shape=[2, 2], strides=[2, 2])
        self.check(n, n.qdq(n.classifier(n.qdq(x))))

    def test_pool_without_a_scale(self):
        n = self.net()
        x = n.add("MaxPool", [n.qdq(n.conv(self.first(n), 6))], kernel_shape=[2, 2], strides=[2, 2])
        self.check(n, n.qdq(n.classifier(x)))

    def test_windows(self):
        for how in ({"pads": [0, 1, 2, 0]}, {"strides": [2, 1]}, {"dilations": [2, 1]}, {"group": 3},
                    {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, {"auto_pad": "VALID"}):
            n = self.net()
            x = n.qdq(n.conv(self.first(n, 3), 6, **how))
            with self.subTest(how=how):
                self.check(n, n.qdq(n.classifier(x)))

    def test_pad_nodes(self):
        for after in "Conv", "MaxPool", "AveragePool":
            for wrapped in False, True:
                n = self.net()
                x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
                scale, zero = (n.values[i] for i in n.nodes[-1].input[1:])
                x = n.add("Pad", [x, np.array([0, 0, 1, 1, 0, 0, 0, 1], np.int64)])
                if wrapped:
                    x = n.add("DequantizeLinear", [n.add("QuantizeLinear", [x, scale, zero]), scale, zero])
                if after == "Conv":
                    x = n.conv(x, 4)
                else:
                    how = {"count_include_pad": 1} if after == "AveragePool" else {}
                    x = n.add(after, [x], kernel_shape=[2, 2], strides=[2, 2], **how)
                with self.subTest(after=after, wrapped=wrapped):
                    self.check(n, n.qdq(n.classifier(n.qdq(x))))

    def test_batch_normalization_that_was_left_unfused(self):
        for negative in False, True:
            n = self.net()
            y = n.conv(n.qdq("image"), 6)
            scale = np.float32(n.random.uniform(0.5, 2, 6) * (np.where(np.arange(6) % 2, -1, 1) if negative else 1))
            x = n.add("BatchNormalization",
                      [y, scale, np.float32(n.random.normal(size=6)), np.float32(n.random.normal(size=6)),
                       np.float32(n.random.uniform(0.5, 2, 6))], epsilon=1e-3)
            with self.subTest(negative=negative):
                self.check(n, n.qdq(n.classifier(n.qdq(n.add("Relu", [x])))))

    def test_products_and_sums_that_were_left_unfused(self):
        n = self.net()
        y = n.conv(n.qdq("image"), 6, bias="none")
        x = n.add("Mul", [y, np.float32(n.random.uniform(0.5, 2, (1, 6, 1, 1)))])
        x = n.add("Add", [np.float32(n.random.normal(size=(6, 1, 1))), x])
        x = n.add("Div", [n.add("Sub", [x, np.float32(0.1)]), np.float32(1.7)])
        scale, difference, _ = self.check(n, n.qdq(n.classifier(n.qdq(n.add("Relu", [x])))), exact=False)
        self.assertLess(np.abs(difference).max(), 1.1 * scale)  # sums are rounded as biases are
        self.assertLess(np.mean(np.abs(difference) > scale / 4), 0.05)

    def test_batch_normalization_before_a_convolution(self):
        n = self.net()
        x = n.qdq(n.conv(self.first(n), 6))
        x = n.add("BatchNormalization",
                  [x, np.float32(n.random.uniform(0.5, 2, 6)), np.float32(n.random.normal(size=6)),
                   np.float32(n.random.normal(size=6)), np.float32(n.random.uniform(0.5, 2, 6))])
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Relu", [x])))))

    def test_channels_last(self):
        n = self.net(nhwc=True)
        x = n.add("Transpose", ["image"], perm=[0, 3, 1, 2])
        x = n.qdq(n.add("Relu", [n.conv(n.qdq(x), 6, strides=[2, 2])]))
        x = n.add("Transpose", [x], perm=[0, 2, 3, 1])
        self.check(n, n.qdq(n.classifier(x)))

    def test_scale_before_the_transpose(self):
        n = self.net(nhwc=True)
        x = n.add("Transpose", [n.qdq("image")], perm=[0, 3, 1, 2])
        x = n.qdq(n.add("Relu", [n.conv(x, 6, strides=[2, 2])]))
        self.check(n, n.qdq(n.classifier(x)), "--preprocessing", "0..1", "--layout", "nhwc")

    def test_flattening(self):
        for how in "Flatten", "Reshape", "Reshape -1", "Shape", "Squeeze", "Squeeze 13":
            n = self.net(opset=11 if how == "Squeeze" else 13, batch="N" if how != "Reshape -1" else 24)
            size = 8 if how.startswith("Squeeze") else 3
            axis = None if how == "Squeeze" else 0
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6, size, axis=axis)]))
            count = int(np.prod(n.values[x].shape[1:]))
            if how == "Flatten":
                flat = n.add("Flatten", [x])
            elif how == "Reshape":
                flat = n.add("Reshape", [x, np.array([0, -1], np.int64)])
            elif how == "Reshape -1":
                flat = n.add("Reshape", [x, np.array([-1, count], np.int64)])
            elif how == "Shape":
                first = n.add("Gather", [n.add("Shape", [x]), np.int64(0)], axis=0)
                first = n.add("Unsqueeze", [first, np.array([0], np.int64)])
                flat = n.add("Reshape", [x, n.add("Concat", [first, np.array([-1], np.int64)], axis=0)])
            elif how == "Squeeze":
                flat = n.add("Squeeze", [x], axes=[2, 3])
            else:
                flat = n.add("Squeeze", [x, np.array([-1, 2], np.int64)])
            x = n.add("Gemm", [flat, n.weights((5, count), axis)], transB=1)
            with self.subTest(how=how):
                self.check(n, n.qdq(x))

    def test_additions_and_concatenations(self):
        for kind in "u8", "s8":
            n = self.net()
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image", kind), 6, pads=[1, 1, 1, 1])]), kind)
            y = n.qdq(n.conv(x, 6, pads=[1, 1, 1, 1]), kind)
            z = n.qdq(n.add("Relu", [n.add("Add", [x, y])]), kind)
            w = n.qdq(n.add("Concat", [z, y, x], axis=1), kind)
            self.check(n, n.qdq(n.classifier(w), kind))

    def test_concatenation_of_equal_scales_without_one(self):
        n = self.net()
        x = n.qdq("image")
        a = n.qdq(n.add("Relu", [n.conv(x, 4)]), scale=0.01)
        b = n.qdq(n.add("Relu", [n.conv(x, 3)]), scale=0.01)
        x = n.add("Concat", [a, b], axis=1)
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(x, 5)])))))

    def test_products_of_values(self):
        """Squeeze and excitation."""
        n = self.net()
        x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
        s = n.qdq(n.add("GlobalAveragePool", [x]))
        s = n.qdq(n.add("Relu", [n.conv(s, 4, 1)]))
        s = n.qdq(n.conv(s, 6, 1))
        s = n.qdq(n.add("Sigmoid", [s]))
        _, _, said = self.check(n, n.qdq(n.classifier(n.qdq(n.add("Mul", [x, s])))))
        self.assertEqual(len(self.sites(said)), 2)

    def test_tables(self):
        for operator, how in (("Sigmoid", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
                              ("LeakyRelu", {"alpha": 0.1}), ("Tanh", {}), ("HardSwish", {})):
            for kind in "u8", "s8":
                n = self.net(opset=14)
                x = n.qdq(n.conv(self.first(n, kind=kind), 6), kind)
                x = n.qdq(n.add(operator, [x], **how), kind)
                with self.subTest(operator=operator, kind=kind):
                    _, _, said = self.check(n, n.qdq(n.classifier(x), kind))
                    self.assertEqual(len(self.sites(said)), 1)

    def test_products_with_a_sigmoid_of_oneself(self):
        for wrapped in False, True:
            n = self.net()
            x = n.qdq(n.conv(self.first(n), 6))
            s = n.add("Sigmoid", [x])
            s = n.qdq(s) if wrapped else s
            with self.subTest(wrapped=wrapped):
                self.check(n, n.qdq(n.classifier(n.qdq(n.add("Mul", [x, s])))))

    def test_hard_swish_in_parts(self):
        n = self.net()
        x = n.qdq(n.conv(self.first(n), 6))
        s = n.add("Div", [n.add("Clip", [n.add("Add", [x, np.float32(3)]), np.float32(0), np.float32(6)]),
                          np.float32(6)])
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Mul", [x, s])))))

    def test_one_scale_behind_another(self):
        n = self.net()
        x = n.qdq(n.conv(self.first(n), 6), "s8", symmetric=True)
        x = n.qdq(x, "s8", symmetric=True, scale=np.float32(0.031))
        self.check(n, n.qdq(n.classifier(x)))

    def test_constant_operand(self):
        n = self.net()
        x = n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))))
        constant = n.add("DequantizeLinear",
                         [np.array([3, 90, 200, 17, 255], np.uint8), np.float32(0.01), np.uint8(119)])
        self.check(n, n.qdq(n.add("Add", [x, constant])))

    def test_last_layer_without_a_scale(self):
        for last in "Gemm", "average", "Add":
            n = self.net()
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
            if last == "average":
                x = n.add("Flatten", [n.add("GlobalAveragePool", [n.qdq(n.conv(x, 5))])])
            elif last == "Add":
                x = n.add("Add", [n.classifier(x, bias="none"), np.float32(n.random.normal(size=5))])
            else:
                x = n.classifier(x)
            with self.subTest(last=last):
                scale, difference, said = self.check(n, x, exact=False)
                self.assertLess(np.abs(difference).max(), scale * 0.51)
                self.assertLess(scale, np.ptp(n.values[x]) / 20)
                self.assertIn("no scale", said)

    def test_last_function_without_a_scale(self):
        n = self.net()
        x = n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))))
        x = n.add("Mul", [x, np.float32(2.5)])
        self.check(n, x)

    def test_softmax_at_the_end_is_dropped(self):
        for wrapped in False, True:
            n = self.net()
            logits = n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))))
            x = n.add("Softmax", [logits], axis=1)
            x = n.qdq(x) if wrapped else x
            _, _, said = self.check(n, x, logits=logits)
            self.assertIn("Softmax): dropped", said)

    def test_softmax_of_logits_without_a_scale(self):
        n = self.net()
        logits = n.classifier(n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)])))
        scale, difference, said = self.check(n, n.add("Softmax", [logits], axis=1), logits=logits, exact=False)
        self.assertLess(np.abs(difference).max(), scale * 0.51)
        for part in "no scale", "Softmax): dropped":
            self.assertIn(part, said)

    def test_input_normalized_in_the_graph(self):
        n = self.net(mean=0, deviation=1 / 255)
        x = n.add("Mul", ["image", np.float32(1 / 255)])
        x = n.add("Sub", [x, np.float32([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1)])
        x = n.add("Div", [x, np.float32([0.2, 0.25, 0.3]).reshape(1, 3, 1, 1)])
        x = n.qdq(n.add("Relu", [n.conv(n.qdq(x), 6)]))
        self.check(n, n.qdq(n.classifier(x)), "--preprocessing", "0..255")

    def test_preprocessing(self):
        for name, mean, deviation in (("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
                                      ("cifar10", [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
                                      ("0..255", 0, 1 / 255),
                                      ("0.5,0.4,0.3/0.25,0.5,0.75", [0.5, 0.4, 0.3], [0.25, 0.5, 0.75])):
            n = self.net(mean=mean, deviation=deviation)
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
            with self.subTest(name=name):
                self.check(n, n.qdq(n.classifier(x)), "--preprocessing", name)

    def test_operator_sets(self):
        for opset in 10, 11, 13, 15, 17, 19, 21, 23:
            n = self.net(opset=opset)
            axis = None if opset < 13 else 0
            conv = lambda x, c: n.add("Conv", [x, n.weights((c, n.values[x].shape[1], 3, 3), axis)])
            x = n.qdq(n.add("Relu", [conv(n.qdq("image"), 6)]))
            x = n.add("Flatten", [n.qdq(conv(x, 4))])
            x = n.add("Gemm", [x, n.weights((5, n.values[x].shape[1]), axis), np.zeros(5, np.float32)], transB=1)
            with self.subTest(opset=opset):
                self.check(n, n.qdq(x))


class Qonnx(Importing):
    def test_quant(self):
        for domain in "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general":
            n = self.net()
            x = n.quant("image", 1 / 64, domain=domain)
            w = n.quant(n.real_weights((6, 3, 3, 3)), 1 / 128, narrow=1, domain=domain)
            b = n.quant(np.float32(n.random.normal(size=6) * 0.1), 1 / 8192, bits=16, domain=domain)
            x = n.quant(n.add("Conv", [x, w, b]), 1 / 32, domain=domain)
            x = n.quant(n.add("Relu", [x]), 1 / 32, signed=0, domain=domain)
            x = n.quant(x, 1 / 32, domain=domain)
            x = n.quant(x, 1 / 21.3, domain=domain)
            flat = n.add("Flatten", [x])
            w = n.quant(n.real_weights((n.values[flat].shape[1], 5)), 1 / 103, domain=domain)
            x = n.quant(n.add("MatMul", [flat, w]), 1 / 25.7, domain=domain)
            with self.subTest(domain=domain):
                self.check(n, x)

    def test_quant_of_fewer_bits(self):
        n = self.net()
        x = n.quant("image", 1 / 255, signed=0)
        w = n.quant(n.real_weights((6, 3, 3, 3)), 1 / 8.3, bits=4, narrow=1)
        x = n.quant(n.add("Relu", [n.add("Conv", [x, w])]), 1 / 9.1, bits=4, signed=0)
        flat = n.add("Flatten", [x])
        w = n.quant(n.real_weights((n.values[flat].shape[1], 5)), 1 / 103, bits=6)
        self.check(n, n.quant(n.add("MatMul", [flat, w]), 1 / 25.7, bits=8, narrow=1))

    def test_quant_by_channel(self):
        n = self.net()
        x = n.quant("image", 1 / 255, signed=0)
        w = n.real_weights((6, 3, 3, 3))
        scale = n.weight_scale(w, 0).reshape(6, 1, 1, 1)
        w = n.add("Quant", [w, scale, np.float32(0), np.float32(8)], domain="qonnx.custom_op.general", signed=1,
                  narrow=1, rounding_mode="ROUND")
        x = n.quant(n.add("Relu", [n.add("Conv", [x, w])]), 1 / 60, signed=0)
        flat = n.add("Flatten", [x])
        w = n.quant(n.real_weights((n.values[flat].shape[1], 5)), 1 / 100)
        self.check(n, n.quant(n.add("MatMul", [flat, w]), 1 / 25))

    def test_narrow_image(self):
        n = self.net(mean=0.5, deviation=0.5)
        x = n.quant("image", 1 / 127, narrow=1)
        w = n.quant(n.real_weights((6, 3, 3, 3)), 1 / 128, narrow=1)
        x = n.quant(n.add("Relu", [n.add("Conv", [x, w])]), 1 / 60, signed=0)
        flat = n.add("Flatten", [x])
        w = n.quant(n.real_weights((n.values[flat].shape[1], 5)), 1 / 100)
        self.check(n, n.quant(n.add("MatMul", [flat, w]), 1 / 25), "--preprocessing", "0.5/0.5")

    def test_codes_clipped_to_narrow(self):
        """QuantizeLinear, Clip, DequantizeLinear, as Brevitas exports fewer bits."""
        n = self.net()
        x = n.qdq("image")
        y = n.add("Relu", [n.conv(x, 6)])
        scale, zero = np.float32(n.values[y].max() / 15), np.uint8(0)
        c = n.add("Clip", [n.add("QuantizeLinear", [y, scale, zero]), np.uint8(0), np.uint8(15)])
        x = n.add("DequantizeLinear", [c, scale, zero])
        self.check(n, n.qdq(n.classifier(x)))

    def test_codes_and_weights_clipped_as_brevitas_does(self):
        """Narrow codes of image and weights; signed ones of an activation, from the zero point up, are a ReLU's."""
        n = self.net(mean=0.5, deviation=0.5)

        def clipped(tensor, scale, low, high):
            c = n.add("Clip", [n.add("QuantizeLinear", [tensor, np.float32(scale), np.int8(0)]), np.int8(low),
                               np.int8(high)])
            return n.add("DequantizeLinear", [c, np.float32(scale), np.int8(0)])

        x = clipped("image", 1 / 127, -127, 127)
        y = n.add("Conv", [x, clipped(n.real_weights((6, 3, 3, 3)), 1 / 100, -7, 7)])
        x = clipped(y, np.abs(n.values[y]).max() / 100, 0, 100)
        _, _, said = self.check(n, n.qdq(n.classifier(x)), "--preprocessing", "0.5/0.5")
        self.assertEqual(len(self.sites(said)), 1)


class Integers(Importing):
    """QLinearConv and its like."""

    def test_operators(self):
        for kind in "u8", "s8":
            n = self.net()
            dtype = np.uint8 if kind == "u8" else np.int8

            def scaled(real):
                """Scale and zero point of a tensor whose numbers are known."""
                n.values["real"] = real
                return n.range_of("real", kind)

            def conv(x, xs, xz, channels, size=3, relu=False, **how):
                real = n.real_weights((channels, n.values[x].shape[1], size, size))
                ws = n.weight_scale(real, 0)
                w = quantized(real, ws, 0, "s8", 0)
                b = quantized(np.float32(n.random.normal(size=channels) * 0.3), xs * ws, 0, "s32", 0)
                float_net = Net(np.zeros((1, 1, 1, 1)))
                float_net.values["x"] = (np.float64(n.values[x]) - xz) * xs
                y = float_net.add("Conv", ["x", np.float64(w) * ws.reshape(-1, 1, 1, 1), np.float64(b) * xs * ws],
                                  **how)
                y = float_net.values[y]
                ys, yz = scaled(np.maximum(y, 0) if relu else y)
                return n.add("QLinearConv", [x, xs, xz, w, ws, np.zeros(channels, np.int8), ys, yz, b], **how), ys, yz

            x = n.q("image", kind)
            a = conv(*x, 6, relu=True, pads=[1, 1, 1, 1])
            b = conv(*a, 6, pads=[1, 1, 1, 1])
            real = lambda v: (np.float64(n.values[v[0]]) - v[2]) * v[1]
            s = scaled(np.maximum(real(a) + real(b), 0))
            c = (n.add("QLinearAdd", [*a, *b, *s], domain="com.microsoft"), *s)
            s = scaled(1 / (1 + np.exp(-real(b))))
            d = (n.add("QLinearSigmoid", [*b, *s], domain="com.microsoft"), *s)
            s = scaled(real(c) * real(d))
            e = (n.add("QLinearMul", [*c, *d, *s], domain="com.microsoft"), *s)
            s = scaled(np.where(real(b) < 0, 0.1 * real(b), real(b)))
            f = (n.add("QLinearLeakyRelu", [*b, *s], domain="com.microsoft", alpha=0.1), *s)
            s = scaled(np.concatenate([real(e), real(f)], 1))
            g = (n.add("QLinearConcat", [*s, *e, *f], domain="com.microsoft", axis=1), *s)
            g = (n.add("MaxPool", [g[0]], kernel_shape=[2, 2], strides=[2, 2]), *s)
            y = Net(real(g))
            s = scaled(y.values[y.add("AveragePool", ["image"], kernel_shape=[2, 2], strides=[2, 2])])
            h = (n.add("QLinearAveragePool", [*g, *s], domain="com.microsoft", kernel_shape=[2, 2], strides=[2, 2]), *s)
            s = scaled(real(h).mean((2, 3)))
            i = (n.add("QLinearGlobalAveragePool", [*h, *s], domain="com.microsoft", channels_last=0), *s)
            i = (n.add("Flatten", [i[0]]), *s)
            w = n.real_weights((7, 12))
            ws = n.weight_scale(w, 0)
            w = quantized(w, ws, 0, "s8", 0)
            bias = quantized(np.float32(n.random.normal(size=7) * 0.3), s[0] * ws, 0, "s32", 0)
            s = scaled(real(i) @ (np.float64(w) * ws.reshape(-1, 1)).T + np.float64(bias) * s[0] * ws)
            j = (n.add("QGemm", [*i, w, ws, np.zeros(7, np.int8), bias, *s], domain="com.microsoft", transB=1), *s)
            w = n.real_weights((5, 7)).T
            ws = n.weight_scale(w, 1)
            w = quantized(w, ws, 0, "s8", 1)
            s = scaled(real(j) @ (np.float64(w) * ws))
            k = (n.add("QLinearMatMul", [*j, w, ws, np.zeros(5, np.int8), *s]), *s)
            with self.subTest(kind=kind):
                self.check(n, n.add("DequantizeLinear", [k[0], dtype(0) + s[0], s[1]]))

            s = np.float32(1 / 256), dtype(0 if kind == "u8" else -128)
            x = n.add("QLinearSoftmax", [*k, *s], domain="com.microsoft", opset=13, axis=-1)
            logits = n.nodes[-2].output[0]
            with self.subTest(kind=kind, last="QLinearSoftmax"):
                self.check(n, n.add("DequantizeLinear", [x, *s]), logits=logits)


class Refusals(Importing):
    def test_image_that_is_clipped(self):
        n = self.net()
        x = n.quant("image", 1 / 255, narrow=1, signed=0)
        y = n.add("Conv", [x, n.quant(n.real_weights((4, 3, 3, 3)), 1 / 128)])
        self.refused(n, n.add("Flatten", [n.quant(y, 1 / 32)]), "/quant0", "255 codes")

    def refused(self, net, output, *parts, **saving):
        onnx, model = self.folder / "net.onnx", self.folder / "net.h5"
        net.save(onnx, output, check=False, **saving)
        done = self.run_import(onnx, "--out", model, "--preprocessing", "0..1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for part in ("net.onnx",) + parts:
            self.assertIn(part, done.stderr)
        self.assertFalse(model.exists())

    def start(self):
        n = self.net()
        return n, n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))

    def test_operators(self):
        for operator, domain, part in (("MatMulInteger", "", "statically"), ("DynamicQuantizeLinear", "", "statically"),
                                       ("ConvInteger", "", "statically"), ("Resize", "", "enlarge"),
                                       ("LSTM", "", "ecurrent"),
                                       ("MultiThreshold", "finn.custom_op.general", "MultiThreshold"),
                                       ("RequantShift", "PACTOps", "RequantShift"),
                                       ("RequantShift", "", "RequantShift")):
            n, x = self.start()
            y = n.add(operator, [x], domain=domain, evaluate=False)
            with self.subTest(operator=operator):
                self.refused(n, y, y, operator, part)

    def test_several_outputs(self):
        n, x = self.start()
        y = n.qdq(n.classifier(x))
        self.refused(n, f"{y} {x}", "2 outputs", "extract_model")

    def test_convolution_of_one_dimension(self):
        n, x = self.start()
        n.values["line"] = np.zeros((24, 6, 8))
        y = n.add("Conv", [x, n.weights((4, 6, 3), 0)], evaluate=False)
        self.refused(n, y, "Conv", "planes")

    def test_float_network(self):
        n = self.net()
        y = n.add("Conv", ["image", n.real_weights((4, 3, 3, 3))])
        self.refused(n, n.add("Flatten", [y]), "/conv", "not quantized", "QuantizeLinear")

    def test_output_of_a_convolution_without_a_scale(self):
        n, x = self.start()
        y = n.add("Add", [n.conv(x, 6, 1), x])
        self.refused(n, n.qdq(n.classifier(n.qdq(y))), "/add", "not quantized")

    def test_activations_of_more_than_8_bits(self):
        n = self.net()
        x = n.quant("image", 1 / 4096, bits=16)
        w = n.quant(n.real_weights((6, 3, 3, 3)), 1 / 128)
        self.refused(n, n.add("Flatten", [n.quant(n.add("Conv", [x, w]), 1 / 32)]), "/quant0", "Quant", "8")

    def test_files_that_are_none(self):
        path = self.folder / "net.onnx"
        for content in b"", b"no model at all\n", bytes(range(256)) * 50:
            path.write_bytes(content)
            done = self.run_import(path, "--out", self.folder / "net.h5", "--preprocessing", "0..1")
            self.assertEqual(done.returncode, 1)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn("net.onnx", done.stderr)
        n, x = self.start()
        n.save(path, n.qdq(n.classifier(x)))
        whole = path.read_bytes()
        for size in range(0, len(whole), len(whole) // 40):
            path.write_bytes(whole[:size])
            done = self.run_import(path, "--out", self.folder / "net.h5", "--preprocessing", "0..1")
            self.assertEqual(done.returncode, 1, size)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Command(Importing):
    def test_dry_run(self):
        n = self.net()
        x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))
        n.save(self.folder / "net.onnx", n.qdq(n.classifier(x)))
        before = sorted(self.folder.iterdir())
        done = self.run_import(self.folder / "net.onnx", "--preprocessing", "0..1", "--dry-run", "--name", "mine")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(self.folder.iterdir()), before)
        for part in "/conv", "/gemm", "mine: 2 nodes", "image 3 x 8 x 8", "5 classes", "Sites:", "Attention layers:":
            self.assertIn(part, done.stdout)

    def test_nothing_is_overwritten(self):
        n = self.net()
        n.save(self.folder / "net.onnx", n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)])))))
        (self.folder / "net.h5").write_text("mine")
        done = self.run_import(self.folder / "net.onnx", "--preprocessing", "0..1", "--out", self.folder / "net.h5")
        self.assertEqual(done.returncode, 1)
        self.assertEqual((self.folder / "net.h5").read_text(), "mine")

    def test_names(self):
        n = self.net()
        x = n.qdq("image")
        x = n.qdq(n.add("Relu", [n.add("Conv", [x, n.weights((6, 3, 3, 3))], name="a*b,c?d e")]))
        x = n.qdq(n.add("Relu", [n.add("Conv", [x, n.weights((6, 6, 3, 3))], name="conv")]))
        _, _, said = self.check(n, n.qdq(n.classifier(x)))
        names = self.sites(said)
        self.assertEqual(len(set(names)), 2)
        for name in names:
            self.assertNotRegex(name, r"[/,*? ]")
            self.assertNotIn(name, ("conv", "fc", "all", "default", "none"))


if __name__ == "__main__":
    unittest.main()
