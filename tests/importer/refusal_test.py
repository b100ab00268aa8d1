"""What triseg import refuses, in one line each."""

import unittest

import numpy as np

from importing import Importing


class Refusals(Importing):
    def test_image_that_is_clipped(self):
        n = self.net()
        x = n.quant("image", 1 / 255, narrow=1, signed=0)
        y = n.add("Conv", [x, n.quant(n.real_weights((4, 3, 3, 3)), 1 / 128)])
        self.refused(n, n.add("Flatten", [n.quant(y, 1 / 32)]), "/quant0", "255 codes")

    def refused(self, net, output, *parts, options=(), **saving):
        onnx, model = self.folder / "net.onnx", self.folder / "net.h5"
        net.save(onnx, output, check=False, **saving)
        if "--preprocessing" not in options:
            options = ["--preprocessing", "0..1", *options]
        done = self.run_import(onnx, "--out", model, *options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for part in parts + (() if "--output" in options else ("net.onnx",)):
            self.assertIn(part, done.stderr)
        self.assertFalse(model.exists())

    def start(self):
        n = self.net()
        return n, n.qdq(n.add("Relu", [n.conv(n.qdq("image"), 6)]))

    def test_operators(self):
        for operator, domain, part in (("MatMulInteger", "", "statically"), ("DynamicQuantizeLinear", "", "statically"),
                                       ("ConvInteger", "", "statically"), ("Resize", "", "enlarge"), 
                                       ("LSTM", "", "ecurrent"),
                                       ("RequantShift", "PACTOps", "RequantShift"), 
                                       ("RequantShift", "", "RequantShift")):
            n, x = self.start()
            y = n.add(operator, [x], domain=domain, evaluate=False)
            with self.subTest(operator=operator):
                self.refused(n, y, y, operator, part)

    def test_several_outputs(self):
        n, x = self.start()
        y = n.qdq(n.classifier(x))
        self.refused(n, f"{y} {x}", "2 outputs", x, "--output")

    def test_output_that_is_none(self):
        n, x = self.start()
        y = n.qdq(n.classifier(x))
        self.refused(n, y, "--output nothing", y, options=["--output", "nothing"])

    def test_thresholds_that_no_multiplier_holds(self):
        n = self.net()
        x = n.quant("image", 1 / 255, signed=0)
        x = n.add("Conv", [x, n.quant(n.real_weights((6, 3, 3, 3)), 1 / 128)])
        steps = np.float32(np.sort(n.random.uniform(0, 1, (6, 20))))
        x = n.add("MultiThreshold", [x, steps], domain="qonnx.custom_op.general")
        self.refused(n, n.add("Flatten", [x]), "/multithreshold", "of its 120 thresholds", "Quant")

    def test_sum_of_what_is_not_quantized(self):
        """As FINN's residual blocks are: the sum has the accumulators of a convolution in it."""
        n, x = self.start()
        y = n.add("Add", [n.conv(x, 6, 1), x])
        y = n.add("MultiThreshold", [y, np.float32([[0.5, 1.5]])], domain="qonnx.custom_op.general")
        self.refused(n, n.add("Flatten", [y]), "/add", "not quantized")

    def test_image_whose_pixels_are_no_codes(self):
        n = self.net()
        n.scales["image"] = np.float32(1 / 255)
        self.refused(n, n.qdq(n.classifier(n.qdq(n.conv("image", 4)))), "/conv", "--preprocessing",
                     options=["--preprocessing", "cifar10"])

    def test_convolution_of_one_dimension(self):
        n, x = self.start()
        n.values["line"] = np.zeros((24, 6, 8))
        y = n.add("Conv", [x, n.weights((4, 6, 3), 0)], evaluate=False)
        self.refused(n, y, "Conv", "planes")

    def test_float_network(self):
        n = self.net()
        y = n.add("Conv", ["image", n.real_weights((4, 3, 3, 3))])
        self.refused(n, n.add("Flatten", [y]), "not quantized", "quantize_static")
        y = n.qdq(n.add("Conv", [n.qdq("image"), n.real_weights((4, 3, 3, 3))]))
        self.refused(n, n.add("Flatten", [y]), "/conv", "weights are not quantized", "QuantizeLinear")

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

if __name__ == "__main__":
    unittest.main()
