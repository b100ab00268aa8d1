"""Files in the other forms, QONNX and operators on integers; as qdq_test.py."""

import unittest

import numpy as np

from importing import Importing
from onnx_net import Net, quantized


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

    def thresholds(self, n, tensor, scale, count=255, shift=0.0):
        """(C, count) of a uniform quantizer whose step is `scale`."""
        channels = n.values[tensor].shape[1]
        return np.float32(np.broadcast_to((np.arange(count) + 0.5 + shift) * scale, (channels, count)))

    def whole_weights(self, n, shape, most=15):
        return np.float32(n.random.integers(-most, most + 1, shape))

    def test_thresholds(self):
        """As FINN writes them: whole weights, the image as it is, factors and biases, thresholds a channel, a
        factor behind."""
        for count in 255, 15, 1:
            n = self.net(opset=9)
            x = n.add("Conv", ["image", self.whole_weights(n, (6, 3, 3, 3))])
            x = n.add("Add", [n.add("Mul", [x, np.float32(1 / 64)]), np.float32(n.random.normal(size=(1, 6, 1, 1)))])
            step = 4 / 255 / 64 * 200 / count  # a whole number of the sums' units
            step = np.round(step * 255 * 64) / (255 * 64)
            x = n.add("MultiThreshold", [x, self.thresholds(n, x, step, count)], domain="finn.custom_op.general",
                      out_dtype="UINT8")
            x = n.add("Mul", [x, np.float32(1 / 32)])
            w = self.whole_weights(n, (5, 6, 6, 6))
            x = n.add("Mul", [n.add("Conv", [x, w]), np.float32(1 / 512)])
            top = np.abs(n.values[x]).max()
            logits = n.quant(n.add("Flatten", [x]), top / 100)
            with self.subTest(count=count):
                _, _, said = self.check(n, logits)
                self.assertEqual(len(self.sites(said)), 1)
                self.assertIn(f"codes 0..{count}", said)

    def test_thresholds_of_a_value(self):
        """Any steps: they become a table."""
        n = self.net()
        x = n.quant("image", 1 / 255, signed=0)
        w = n.quant(n.real_weights((6, 3, 3, 3)), 1 / 128, narrow=1)
        x = n.quant(n.add("Relu", [n.add("Conv", [x, w])]), 1 / 100, signed=0)
        steps = np.float32(np.sort(n.random.uniform(0, 2, (1, 60))))
        x = n.add("MultiThreshold", [x, steps], domain="qonnx.custom_op.general", out_scale=0.25, out_bias=-1.0)
        flat = n.add("Flatten", [x])
        w = n.quant(n.real_weights((n.values[flat].shape[1], 5)), 1 / 100)
        self.check(n, n.quant(n.add("MatMul", [flat, w]), 1 / 4))


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

if __name__ == "__main__":
    unittest.main()
