"""What ONNX graphs have beside convolutions and scales: layouts, shapes, several inputs of a node, functions, ends; as
qdq_test.py."""

import unittest

import numpy as np

from importing import Importing


class Graph(Importing):
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
        constant = n.add("DequantizeLinear", [np.array([3, 90, 200, 17, 255], np.uint8), np.float32(0.01),
                                              np.uint8(119)])
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
    def test_shape_arithmetic(self):
        """How exporters write flattening of dynamic batches."""
        for how in "Slice", "start and end", "end from the back":
            n = self.net(opset=15)
            x = n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6, 3)]))
            if how == "Slice":
                first = n.add("Slice", [n.add("Shape", [x]), np.array([0], np.int64), np.array([1], np.int64)])
            else:
                first = n.add("Shape", [x], **({"start": 0, "end": 1} if how == "start and end" else {"end": -3}))
            flat = n.add("Reshape", [x, n.add("Concat", [first, np.array([-1], np.int64)], axis=0)])
            x = n.add("Gemm", [flat, n.weights((5, n.values[flat].shape[1]), 0)], transB=1)
            with self.subTest(how=how):
                self.check(n, n.qdq(x))

    def test_pads_of_some_axes(self):
        n = self.net(opset=18)
        x = n.add("Pad", [self.first(n), np.array([1, 2, 0, 1], np.int64), None, np.array([2, 3], np.int64)])
        self.check(n, n.qdq(n.classifier(n.qdq(n.conv(x, 4)))))

    def test_constants_a_channel_behind_a_value(self):
        """They have no scale in the file and need none."""
        n = self.net()
        x = n.qdq(n.conv(self.first(n), 6))
        x = n.add("Mul", [x, np.float32(n.random.uniform(-2, 2, (1, 6, 1, 1)))])
        self.check(n, n.qdq(n.classifier(n.qdq(x))))
        n = self.net()
        x = n.qdq(n.conv(self.first(n), 6))
        x = n.add("Add", [np.float32(n.random.normal(size=(6, 1, 1))), x])
        scale, difference, _ = self.check(n, n.qdq(n.classifier(n.qdq(x))), exact=False)
        self.assertLess(np.abs(difference).max(), 1.1 * scale)  # sums are rounded as biases are
        self.assertLess(np.mean(np.abs(difference) > scale / 4), 0.05)

    def test_constants_an_element_behind_a_value(self):
        for operator in "Add", "Mul":
            n = self.net()
            x = n.qdq(n.conv(self.first(n), 6))
            constant = np.float32(n.random.integers(-127, 128, (1,) + n.values[x].shape[1:]) * (1 / 127))
            constant.flat[0] = 1  # so that the scale is that of the numbers
            self.check(n, n.qdq(n.classifier(n.qdq(n.add(operator, [x, constant])))))

    def test_multiple_of_a_value_without_a_scale(self):
        n = self.net()
        x = n.add("Mul", [self.first(n), np.float32(2.5)])
        x = n.qdq(n.add("Relu", [n.conv(n.add("Div", [x, np.float32(3)]), 6)]))
        self.check(n, n.qdq(n.classifier(x)))

    def test_image_that_is_not_quantized(self):
        for preprocessing, mean, deviation in ("0..1", 0, 1), ("0..255", 0, 1 / 255), ("0.2/0.5", 0.2, 0.5):
            n = self.net(mean=mean, deviation=deviation)
            n.scales["image"] = np.float32(1 / (255 * deviation))
            x = n.qdq(n.add("Relu", [n.conv("image", 6)]))
            with self.subTest(preprocessing=preprocessing):
                _, _, said = self.check(n, n.qdq(n.classifier(x)), "--preprocessing", preprocessing)
                self.assertIn("its pixels are its codes", said)

    def test_more_tables(self):
        for operator, domain, opset, inputs, how in (
                ("PRelu", "", 16, [np.float32([0.2])], {}), ("Celu", "", 13, [], {"alpha": 0.7}), 
                ("Selu", "", 13, [], {}),
                ("Elu", "", 13, [], {"alpha": 0.8}), ("Softplus", "", 13, [], {}), ("Softsign", "", 13, [], {}), 
                ("Erf", "", 13, [], {}),
                ("Abs", "", 13, [], {}), ("Neg", "", 13, [], {}), ("Mish", "", 18, [], {}), ("Gelu", "", 20, [], {}),
                ("QuickGelu", "com.microsoft", 13, [], {"alpha": 1.5}), ("Max", "", 13, [np.float32(-0.2)], {}),
                ("Min", "", 13, [np.float32(0.3)], {})):
            n = self.net(opset=opset)
            x = n.qdq(n.conv(self.first(n), 6))
            x = n.qdq(n.add(operator, [x] + inputs, domain=domain, **how))
            with self.subTest(operator=operator):
                self.check(n, n.qdq(n.classifier(x)))

    def test_several_outputs(self):
        n = self.net()
        x = self.first(n)
        y = n.qdq(n.classifier(x))
        n.add("Resize", [x], evaluate=False)  # what the output does not depend on is not looked at
        self.check(n, f"{x} {y}", "--preprocessing", "0..1", "--output", y, logits=y, others=False)
        z = n.add("Mul", [y, np.float32(2)])
        self.check(n, z, "--preprocessing", "0..1", "--output", y, logits=y, others=False)

if __name__ == "__main__":
    unittest.main()
