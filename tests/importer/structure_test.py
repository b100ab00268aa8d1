"""What triseg import makes of pads, channels, readers of one value, batches, inputs and outputs."""

import unittest

import numpy as np
from onnx import TensorProto, helper

from importing import Importing, pixels
from onnx_net import Net
from refusal_test import Refusals


class Structure(Importing):
    def refused(self, *words, **saving):
        (self.folder / "net.h5").unlink(missing_ok=True)
        Refusals.refused(self, *words, **saving)

    def end(self, n, x):
        return n.qdq(n.classifier(n.qdq(n.conv(x, 4))))

    # pads
    def pad(self, n, x):
        return n.add("Pad", [x, np.array([0, 0, 1, 1, 0, 0, 0, 1], np.int64)])

    def test_pads_before_what_keeps_zero(self):
        for operator, inputs in (("Relu", []), ("Tanh", []), ("LeakyRelu", []), ("Mul", [np.float32(1.7)]),
                                 ("Clip", [np.float32(-0.3), np.float32(0.4)]), ("Identity", [])):
            n = self.net()
            x = self.pad(n, n.qdq(n.conv(self.first(n), 6)))
            with self.subTest(operator=operator):
                self.check(n, self.end(n, n.qdq(n.add(operator, [x] + inputs))))
        n = self.net()
        x = self.pad(n, n.conv(self.first(n), 6))
        self.check(n, self.end(n, n.qdq(x)))
        n = self.net(mean=0, deviation=1 / 255)
        x = self.pad(n, n.add("Sub", [n.add("Mul", ["image", np.float32(1 / 255)]), np.float32(0.4)]))
        self.check(n, self.end(n, n.qdq(n.add("Relu", [n.conv(n.qdq(x), 4)]))), "--preprocessing", "0..255")

    def test_pads_before_what_changes_zero(self):
        numbers = np.float32([1, 2, 3, 4])
        for operator, inputs in (("Sigmoid", []), ("Add", [np.float32(0.5)]),
                                 ("Clip", [np.float32(0.1), np.float32(2)]),
                                 ("Add", [numbers.reshape(1, 4, 1, 1)]), ("GlobalAveragePool", []), ("Flatten", []),
                                 ("BatchNormalization", [numbers, numbers, numbers, numbers])):
            n = self.net()
            y = n.add(operator, [self.pad(n, self.first(n))] + inputs)
            with self.subTest(operator=operator):
                self.refused(n, n.qdq(n.add("Flatten", [n.qdq(y)])), f"({operator})", "behind a Pad")
        n = self.net()
        y = n.add("Sub", [self.pad(n, "image"), np.float32([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1)])
        self.refused(n, self.end(n, n.qdq(y)), "(Sub)", "behind a Pad")

    def test_average_that_counts_the_zeros_of_a_pad(self):
        n = self.net()
        x = n.add("AveragePool", [self.pad(n, self.first(n))], kernel_shape=[3, 2], strides=[2, 2])
        self.check(n, self.end(n, n.qdq(x)))
        n = self.net()
        x = n.add("AveragePool", [self.pad(n, self.first(n))], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 0])
        self.refused(n, self.end(n, n.qdq(x)), "(AveragePool)", "pads of its own")

    def test_shape_behind_a_pad(self):
        n = self.net()
        x = self.pad(n, self.first(n))
        height = n.add("Gather", [n.add("Shape", [x]), np.array([2], np.int64)], axis=0)
        y = n.add("Flatten", [n.qdq(n.conv(x, 3, 7))])
        y = n.add("Reshape", [y, n.add("Concat", [np.array([0, 3], np.int64), height], axis=0)], evaluate=False)
        self.refused(n, y, "(Reshape)", "[1, 3, 9]")

    # readers of one value
    def test_readers_with_a_scale_each(self):
        """DedicatedQDQPair of ONNX Runtime: the value is one node."""
        n = self.net()

        def read(x, kind="u8"):
            return n.qdq(x, kind)

        def named(name, x):
            output = n.add("Relu", [x], name=name)
            return output

        x = named("conv1", n.conv(n.qdq("image"), 4, pads=[1, 1, 1, 1]))
        for block in "add13", "add23":
            y = n.qdq(n.add("Relu", [n.conv(read(x), 4, pads=[1, 1, 1, 1])]))
            x = n.add("Relu", [n.add("Add", [n.qdq(n.conv(y, 4, pads=[1, 1, 1, 1])), read(x)], name=block)])
        _, _, said = self.check(n, n.qdq(n.classifier(read(n.add("GlobalAveragePool", [read(x)])))))
        sites = self.sites(said)
        self.assertEqual(len(sites), 5, sites)
        self.assertEqual([name for name in sites if name.startswith("add")], ["add13", "add23"])
        self.assertEqual([name for name in sites if name.endswith("_2")], [])

    def test_reader_that_folds_a_relu_of_a_value_that_another_reads(self):
        n = self.net()
        y = n.conv(n.qdq("image"), 4)
        scale = np.float32(np.abs(n.values[y]).max() / 127)
        a, b = (n.qdq(y, "s8", symmetric=True, scale=scale) for _ in range(2))
        b = n.qdq(n.add("Relu", [b]), "s8", symmetric=True, scale=scale)
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Add", [a, b])))))

    def test_image_with_two_normalizations(self):
        for second in 0.5, 0.25:
            n = self.net()
            scale = np.float32(1 / 64)
            a, b = (n.qdq(n.add("Sub", ["image", np.float32(offset)]), scale=scale) for offset in (0.5, second))
            x = n.qdq(n.add("Relu", [n.add("Add", [n.qdq(n.conv(a, 4)), n.qdq(n.conv(b, 4))])]))
            n.values[n.nodes[-1].output[0]] = n.values[x]
            y = n.qdq(n.classifier(x))
            with self.subTest(second=second):
                if second == 0.5:
                    self.check(n, y)
                else:
                    # The zero point is the same where the range is.
                    for node in n.nodes:
                        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[1] in n.constants:
                            if np.all(n.values[node.input[1]] == scale):
                                n.constants[node.input[2]] = np.uint8(32)
                    self.refused(n, y, "normalization")

    # channels
    def shuffled(self, n, x, groups):
        count, channels, height, width = n.values[x].shape
        x = n.add("Reshape", [x, np.array([-1, groups, channels // groups, height, width], np.int64)])
        x = n.add("Transpose", [x], perm=[0, 2, 1, 3, 4])
        return n.add("Reshape", [x, np.array([-1, channels, height, width], np.int64)])

    def split(self, n, x, sizes):
        outputs = [f"{x}_part{i}" for i in range(len(sizes))]
        for name, part in zip(outputs, np.split(n.values[x], np.cumsum(sizes)[:-1], 1)):
            n.values[name] = part
            n.scales[name] = n.scales[x]
        sizes = n.constant(np.array(sizes, np.int64))
        n.nodes.append(helper.make_node("Split", [x, sizes], outputs, name=f"/{x}/Split", axis=1))
        return outputs

    def slice(self, n, x, start, end, step=1):
        return n.add("Slice", [x] + [np.array([v], np.int64) for v in (start, end, 1, step)])

    def test_channels_in_another_order(self):
        for after in "Conv", "grouped Conv", "Concat", "MaxPool", "GlobalAveragePool":
            for wrapped in False, True:
                n = self.net()
                y = self.first(n, 6)
                x = self.shuffled(n, y, 3)
                if wrapped:
                    scale = n.nodes[-4].input[1:]
                    x = n.add("DequantizeLinear", [n.add("QuantizeLinear", [x, *scale]), *scale])
                if after == "Conv":
                    x = n.conv(x, 5)
                elif after == "grouped Conv":
                    x = n.conv(x, 6, group=3)
                elif after == "Concat":
                    x = n.add("Concat", [y, x], axis=1)
                elif after == "MaxPool":
                    x = n.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
                else:
                    x = n.add(after, [x])
                with self.subTest(after=after, wrapped=wrapped):
                    _, _, said = self.check(n, n.qdq(n.classifier(n.qdq(x))))
                    self.assertEqual(len(self.sites(said)), 1)
                    self.assertEqual(".channels" in said, after != "Conv")

    def test_some_channels(self):
        for how in "Split", "Slice", "Slice of a shuffle", "Gather", "every second":
            n = self.net()
            x = self.first(n, 6)
            if how == "Split":
                a, b = self.split(n, x, [2, 4])
            elif how == "Slice":
                a, b = self.slice(n, x, 0, 3), self.slice(n, x, 3, 2**31 - 1)
            elif how == "every second":
                a, b = self.slice(n, x, 0, 6, 2), self.slice(n, x, -5, 6, 2)
            elif how == "Gather":
                a, b = (n.add("Gather", [x, np.array(at, np.int64)], axis=1) for at in ([5, 0], [1, 1, -2]))
            else:
                x = self.shuffled(n, x, 2)
                a, b = self.slice(n, x, 0, 3), self.slice(n, x, 3, 6)
            b = n.qdq(n.add("Relu", [n.conv(b, 5, 1)]))
            with self.subTest(how=how):
                _, _, said = self.check(n, self.end(n, n.qdq(n.add("Concat", [a, b], axis=1))))
                self.assertEqual(len(self.sites(said)), 2)

    def test_parts_of_planes(self):
        n = self.net()
        y = n.add("Slice", [self.first(n)] + [np.array([v], np.int64) for v in (0, 4, 2)])
        self.refused(n, self.end(n, y), "(Slice)", "axis 2")

    # batches, inputs, outputs
    def test_file_for_one_size_of_batch(self):
        n = self.net(batch=24)
        x = n.qdq(n.conv(self.first(n), 6))
        flat = n.add("Reshape", [x, np.array([24, 216], np.int64)])
        x = n.add("Gemm", [flat, n.weights((5, 216))], transB=1)
        self.check(n, n.qdq(x))

    def test_network_without_sites(self):
        n = self.net()
        _, _, said = self.check(n, n.qdq(n.classifier(n.qdq(n.conv(n.qdq("image"), 4)))))
        self.assertEqual(self.sites(said), [])

    def test_logits_of_several_positions(self):
        n = self.net()
        self.refused(n, n.qdq(n.conv(self.first(n), 10)), "[1, 10, 6, 6]", "average")

    def test_softmax_along_another_axis(self):
        for opset, axis in (13, 1), (13, -1), (13, 0), (11, 2):
            n = self.net(opset=opset)
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 4, 7, axis=None if opset < 13 else 0)]))
            with self.subTest(opset=opset, axis=axis):
                self.refused(n, n.add("Softmax", [x], axis=axis), "(Softmax)", f"axis {axis}", "--output")

    def test_flat_image(self):
        n = Net(np.float32(pixels()).reshape(24, -1) / np.float32(255))
        self.pixels = pixels()
        flat = n.qdq("image")
        x = n.add("Gemm", [flat, n.weights((6, 192))], transB=1)
        x = n.qdq(n.add("Relu", [x]))
        y = n.qdq(n.add("Gemm", [x, n.weights((5, 6))], transB=1))
        self.check(n, y, "--preprocessing", "0..1", "--input", "3,8,8")
        self.refused(n, y, "--input 3,8,8")

    def test_image_of_integers(self):
        """A graph that takes pixels needs no --preprocessing; others do."""
        n = self.net()
        n.values["image"] = self.pixels
        x = n.add("DequantizeLinear", ["image", np.float32(1 / 64), np.uint8(114)])
        y = n.qdq(n.classifier(n.qdq(n.add("Relu", [n.conv(x, 4)]))))
        self.check(n, y, "--name", "integers", image_type=TensorProto.UINT8)
        n.save(self.folder / "float.onnx", y, check=False)
        done = self.run_import(self.folder / "float.onnx", "--dry-run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--preprocessing is missing", done.stderr)

    def test_size_that_the_file_leaves_open(self):
        n = self.net()
        y = self.end(n, self.first(n))
        n.image_sizes = [3, "H", "W"]
        self.check(n, y, "--preprocessing", "0..1", "--input", "3,8,8")
        self.refused(n, y, "--input")

    def test_operators(self):
        for operator, how in (("GlobalMaxPool", {}), ("Dropout", {}), ("Cast", {"to": TensorProto.FLOAT}),
                              ("Elu", {"alpha": 0.5}), ("Softplus", {})):
            n = self.net()
            x = n.qdq(n.conv(self.first(n), 6))
            x = n.qdq(n.add(operator, [x], **how))
            with self.subTest(operator=operator):
                self.check(n, n.qdq(n.classifier(x)))
        n = self.net()
        logits = n.qdq(n.classifier(n.qdq(n.conv(self.first(n), 6))))
        self.check(n, n.add("LogSoftmax", [logits], axis=-1), logits=logits)
        n = self.net()
        x = self.first(n, 6)
        codes, scale, zero = n.q(x)
        n.values["mean"] = n.values[x].mean((2, 3))
        s, z = n.range_of("mean", "u8")
        x = n.add("QLinearReduceMean", [codes, scale, zero, s, z], domain="com.microsoft", axes=[2, 3], keepdims=0)
        self.check(n, n.qdq(n.classifier(n.add("DequantizeLinear", [x, s, z]))))


if __name__ == "__main__":
    unittest.main()
