"""Files with QuantizeLinear and DequantizeLinear around float operators, a test for each construct: the logit codes of
the model file, by the reference engine, are those of the ONNX file, which onnx_net evaluates on its own."""

import unittest

import numpy as np
from onnx import TensorProto, helper

from importing import Importing
from onnx_net import quantized


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
                              ("MaxPool", {"dilations": [2, 2]}),
                              ("AveragePool", {"pads": [1, 0, 0, 1]}),
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
                    {"auto_pad": "SAME_UPPER"},
                    {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, {"auto_pad": "VALID"}):
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
            x = n.add("BatchNormalization", [y, scale, np.float32(n.random.normal(size=6)),
                                             np.float32(n.random.normal(size=6)),
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
        x = n.add("BatchNormalization", [x, np.float32(n.random.uniform(0.5, 2, 6)),
                                         np.float32(n.random.normal(size=6)),
                                         np.float32(n.random.normal(size=6)), np.float32(n.random.uniform(0.5, 2, 6))])
        self.check(n, n.qdq(n.classifier(n.qdq(n.add("Relu", [x])))))
    def test_element_type_named_by_the_node(self):
        """Operator set 21 leaves a zero point of 0 out and names its type."""
        n = self.net(opset=21)
        x = n.qdq("image")
        y = n.add("Relu", [n.conv(x, 6)])
        scale, _ = n.range_of(y, "s8", symmetric=True)
        q = n.add("QuantizeLinear", [y, scale, np.int8(0)])
        n.nodes[-1].input.pop()
        n.nodes[-1].attribute.append(helper.make_attribute("output_dtype", TensorProto.INT8))
        _, _, said = self.check(n, n.qdq(n.classifier(n.add("DequantizeLinear", [q, scale]))))
        self.assertIn("codes 0..127", said)

    def test_biases_that_are_multiplied(self):
        n = self.net()
        flat = n.add("Flatten", [self.first(n)])
        w = n.weights((5, n.values[flat].shape[1]), 0)
        self.check(n, n.qdq(n.add("Gemm", [flat, w] + n.bias(5, "units", flat, w), transB=1, beta=2.0)))

    def test_pools_make_no_site(self):
        for operator, how in ("AveragePool", {"kernel_shape": [2, 2]}), ("MaxPool", {"kernel_shape": [2, 2]}):
            n = self.net()
            x = n.qdq(n.add(operator, [self.first(n)], **how))
            self.assertEqual(len(self.sites(self.check(n, n.qdq(n.classifier(x)))[2])), 1)


if __name__ == "__main__":
    unittest.main()
