"""Files that no tool should write: each is refused by one line, in little time and memory, or taken as it stands."""

import resource
import subprocess
import unittest

import numpy as np
import onnx
from onnx import helper, numpy_helper

from importing import IMPORT, Importing

X = "dequantizelinear6"  # the value behind the ReLU
NODES = 7  # nodes up to it


class Hostile(Importing):
    def setUp(self):
        super().setUp()
        n = self.net()
        x = self.first(n)
        self.path = self.folder / "net.onnx"
        n.save(self.path, n.qdq(n.classifier(x)))
        self.whole = self.path.read_bytes()

    def model(self):
        return onnx.load_from_string(self.whole)

    def refused(self, model, *parts, accepted=False):
        """One line and exit code 1, or 0 and none where it may be accepted; within 2 GB and 20 s."""
        self.path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        limit = 2 << 30
        done = subprocess.run([IMPORT, str(self.path), "--preprocessing", "0..1", "--dry-run"],
                              capture_output=True, text=True, timeout=20,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertIn(done.returncode, (0, 1) if accepted else (1,), done.stderr[-500:])
        self.assertEqual(len(done.stderr.splitlines()), done.returncode, done.stderr[:500])
        self.assertLess(len(done.stderr), 2000)
        for part in parts:
            self.assertIn(part, done.stderr)
        return done

    def replaced(self, index, array):
        """The model with another tensor in place of an initializer."""
        model = self.model()
        tensor = model.graph.initializer[index]
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), tensor.name))
        return model

    def behind(self, *nodes, **constants):
        """The model with nodes between the ReLU's value and what reads it; they make "t"."""
        model = self.model()
        for name, array in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        for node in reversed(nodes):
            model.graph.node.insert(NODES, node)
        model.graph.node[NODES + len(nodes)].input[0] = "t"
        return model

    def constant_product(self, *nodes, **constants):
        """The same with a product by a constant "k" of which the nodes make "c"."""
        return self.behind(*nodes, helper.make_node("Mul", [X, "c"], ["t"]),
                           **{"k": np.ones((1, 4, 1, 1), np.float32), **constants})

    def test_numbers_that_are_none(self):
        names = [tensor.name for tensor in self.model().graph.initializer]
        scales = [i for i, tensor in enumerate(self.model().graph.initializer) if tensor.data_type == 1]
        self.assertGreater(len(scales), 8)
        for i in scales:
            for value in (np.nan, np.inf, -1, 0) if i == scales[0] else (np.nan,):
                array = numpy_helper.to_array(self.model().graph.initializer[i]).copy()
                array.flat[0] = value
                with self.subTest(tensor=names[i], value=value):
                    self.refused(self.replaced(i, array))

    def test_sizes(self):
        for dims in [0, 3, 3, 3], [4, 3, 3], [1 << 40, 3, 3, 3], [-4, -3, 3, 3], []:
            model = self.model()
            weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
            del weights.dims[:]
            weights.dims.extend(dims)
            with self.subTest(dims=dims):
                self.refused(model, weights.name)
        for dims in [1, 3, 100000, 100000], [1, 3, -8, 8], [0, 0, 0, 0], [1, 3, 8], [1, 1 << 40, 8, 8]:
            model = self.model()
            shape = model.graph.input[0].type.tensor_type.shape
            del shape.dim[:]
            for d in dims:
                shape.dim.add().dim_value = d
            with self.subTest(image=dims):
                self.refused(model)

    def test_names(self):
        model = self.model()
        model.graph.node[4].output[0] = model.graph.node[3].output[0]
        self.refused(model, "there already")
        model = self.model()
        model.graph.initializer.append(model.graph.initializer[4])
        self.refused(model, "two initializers")
        model = self.model()
        model.graph.node[3].input[0] = model.graph.node[9].output[0]
        self.refused(model, "depend")
        for name in "image", model.graph.initializer[0].name:
            model = self.model()
            model.graph.output[0].name = name
            self.refused(model, "no node makes its output")
        model = self.model()
        del model.graph.initializer[4]
        self.refused(model, "nothing makes its input 'constant")
        model = self.model()
        model.graph.node[3].name, model.graph.node[3].op_type = "a\nb\x1b[31m" + "c" * 100000, "N\to"
        self.refused(model, "a b\\x1b[31mccc")
        model = self.model()
        model.graph.node[3].name = "a\nb\x1b[31mc"
        self.assertNotIn("\x1b", self.refused(model, accepted=True).stdout)

    def test_tensors_in_other_places(self):
        model = self.model()
        tensor = model.graph.initializer[4]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../../../etc/passwd"
        self.refused(model, "another file")
        model = self.model()
        model.graph.initializer[4].raw_data += b"\0\0\0"
        self.refused(model)

    def test_axes(self):
        node = helper.make_node
        for perm in [0, 1], [9, 9, 9, 9], [-1, -2, -3, -4], [0, 0, 0, 0]:
            with self.subTest(perm=perm):
                self.refused(self.behind(node("Transpose", [X], ["t"], perm=perm)), "order")
                self.refused(self.constant_product(node("Transpose", ["k"], ["c"], perm=perm)), "order")
        for axes in [9], [-9], [0, 0], [1 << 62], [-(1 << 63)]:
            for operator in "Squeeze", "Unsqueeze":
                with self.subTest(operator=operator, axes=axes):
                    self.refused(self.behind(node(operator, [X, "a"], ["t"]), a=np.int64(axes)), operator)
                    self.refused(self.constant_product(node(operator, ["k", "a"], ["c"]), a=np.int64(axes)), operator)
        for shape in [-5], [1 << 62] * 3, [0] * 5, [-1, -1]:
            with self.subTest(shape=shape):
                self.refused(self.behind(node("Reshape", [X, "a"], ["t"]), a=np.int64(shape)), "Reshape")
                self.refused(self.constant_product(node("Reshape", ["k", "a"], ["c"]), a=np.int64(shape)), "Reshape")
        for axis in 9, -9, 1 << 62:
            with self.subTest(flattened_at=axis):
                self.refused(self.constant_product(node("Flatten", ["k"], ["c"], axis=axis)), "Flatten")

        flat = [node("GlobalMaxPool", [X], ["a"]), node("Squeeze", ["a"], ["b"]),
                node("Concat", ["b", "b"], ["t"], axis=1)]
        self.refused(self.behind(*flat), "Concat", "axes")

    def test_windows(self):
        for how in ({"strides": [0, 0]}, {"strides": [1 << 40, 1]}, {"strides": [1]}, {"pads": [-1] * 4},
                    {"pads": [4096] * 4}, {"dilations": [0, 0]}, {"group": 0}, {"group": 1 << 62},
                    {"kernel_shape": [5, 5]}, {"auto_pad": "X"}):
            model = self.model()
            conv = model.graph.node[3]
            del conv.attribute[:]
            conv.attribute.extend(helper.make_attribute(name, value) for name, value in how.items())
            with self.subTest(how=how):
                self.refused(model)

    def test_nodes_without_inputs_and_outputs(self):
        for operator in ("Conv", "Relu", "Add", "Concat", "Identity", "Clip", "MaxPool", "Gemm", "QuantizeLinear",
                         "QLinearConv", "QLinearConcat", "MultiThreshold", "Quant", "Reshape", "PRelu", "Max"):
            for inputs in [], ["", X]:
                with self.subTest(operator=operator, inputs=inputs):
                    self.refused(self.behind(helper.make_node(operator, inputs, ["t"])), accepted=True)
        self.refused(self.behind(helper.make_node("Relu", [X], [""])))

    def test_work_that_grows(self):
        node = helper.make_node
        double = [node("Concat", ["k" if i == 0 else f"c{i - 1}"] * 2, [f"c{i}"], axis=0) for i in range(60)]
        self.refused(self.behind(*double, node("Reshape", [X, "c59"], ["t"]), k=np.int64([1])), "Concat")
        square = [node("Mul", [X if i == 0 else f"m{i - 1}"] * 2, [f"m{i}"]) for i in range(60)]
        self.refused(self.behind(*square, node("Relu", ["m59"], ["t"])))
        large = [node("Identity", ["k" if i == 0 else f"i{i - 1}"], [f"i{i}"]) for i in range(2000)]
        self.refused(self.behind(*large, node("Mul", [X, "i1999"], ["t"]), k=np.ones(1 << 18, np.float32)), "constants")
        many = self.model()
        many.graph.node.extend(node("Relu", [X], [f"r{i}"]) for i in range(60000))
        self.refused(many, "nodes")

    def test_bytes_that_are_changed(self):
        random = np.random.default_rng(0)
        for _ in range(30):
            changed = bytearray(self.whole)
            for at in random.integers(len(changed), size=random.integers(1, 4)):
                changed[at] = random.integers(256)
            with self.subTest(seed_and_file=len(changed)):
                self.refused(bytes(changed), accepted=True)


if __name__ == "__main__":
    unittest.main()
