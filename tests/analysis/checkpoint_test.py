"""Checkpoints of PyTorch's quantization-aware training: the model files made of them against PyTorch's own INT8
networks, and what is refused. The networks are the Python original's, an eighth as wide."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy

SOURCE, PROGRAM = (os.environ[name] for name in ("TRISEG_SOURCE_DIR", "TRISEG_PROGRAM"))
sys.dont_write_bytecode = True
sys.path.append(os.path.join(SOURCE, "analysis"))
import integer_network  # noqa: E402  behind its folder
import triseg  # noqa: E402
from triseg.import_torch import import_checkpoint  # noqa: E402

try:
    import torch
    import original_in_torch as original
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    torch = None

NETWORKS = ("alexnet", "vgg16", "vgg19", "lenet5", "nin", "mobilenetv1")
BACKENDS = ("fbgemm", "qnnpack")
IMAGES = 48


def import_torch(*arguments, start=("-m", "triseg.import_torch")):
    return subprocess.run([sys.executable, "-B", *start, *arguments], capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": os.path.join(SOURCE, "analysis")})


def write_idx(folder, name, array):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(bytes([0, 0, 8, array.ndim]) + numpy.array(array.shape, ">u4").tobytes())
        file.write(numpy.ascontiguousarray(array, "u1").tobytes())


@unittest.skipUnless(torch, "needs PyTorch: Debian package python3-torch")
class Import(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.set_num_threads(2)
        cls.folder = tempfile.mkdtemp(prefix="triseg-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.images = original.random_images(IMAGES, torch.Generator().manual_seed(3))

    def at(self, name):
        return os.path.join(self.folder, name)

    def save(self, model, name="model.pth"):
        torch.save(model.state_dict(), self.at(name))
        return self.at(name)

    def imported(self, path, network, backend):
        """The model file as the package reads it."""
        model, notes = import_checkpoint(path, network, backend)
        self.assertEqual(len(notes), network == "lenet5")
        model.data = "images"
        model.write(self.at("model.h5"))
        return triseg.Model.read(self.at("model.h5"))

    def assert_codes_of_pytorch(self, model, converted):
        """All values, the logits among them, equal PyTorch's; returns the codes as integer_network has them."""
        ours, theirs = integer_network.run(model, self.images.numpy()), original.codes(converted, self.images)
        numpy.testing.assert_array_equal(integer_network.image_codes(model, self.images.numpy()), theirs["quant"])
        places = {list(ours)[-1]: converted.order[-1]}
        if model.network == "lenet5":
            places |= {"conv1": "relu1", "conv2": "relu2", "fc1": "relu3", "fc2": "relu4"}
        compared = 0
        for name, found in ours.items():
            expected = theirs.get(places.get(name, name))
            if expected is None:  # a pool, which PyTorch's network calls otherwise
                continue
            if places.get(name, name).startswith("relu"):  # of codes with a zero point, which become 0
                expected = expected - expected.min()
            numpy.testing.assert_array_equal(found.reshape(expected.shape), expected, name)
            compared += 1
        self.assertGreater(compared, len(ours) / 2)
        self.assertEqual(len(numpy.unique(expected, axis=0)), IMAGES, "each image should have logits of its own")
        return ours

    def assert_codes_of_triseg(self, model, values):
        """Mean and variance of each site's codes, and the class of each image, as the program has them."""
        classes = values[list(values)[-1]].reshape(IMAGES, -1).argmax(axis=1)
        os.makedirs(self.at("images"), exist_ok=True)
        for prefix in ("train", "t10k"):
            write_idx(self.at("images"), f"{prefix}-images-idx4-ubyte", self.images.numpy())
            write_idx(self.at("images"), f"{prefix}-labels-idx1-ubyte", classes)
        rows = model.description.nodes
        sites = model.description.all_sites or list(rows.index[rows["relu"] == 1])
        codes = {"t1_code": 1, "v1_code": 2, "t2_code": 3, "v2_code": 4, "tmax_code": 5}
        with open(self.at("result.json"), "w") as file:
            json.dump({"layers": {sites[0]: codes}, "model": model.network, "backend": model.backend}, file)
        options = ["--teacher", self.at("model.h5"), "--data", self.at("images"), "--split", "test", "--format", "json"]
        self.assertEqual(self.program("evaluate", self.at("result.json"), *options)["acc_teacher"], 100)
        layers = self.program("analyze", "variance", "--images", str(IMAGES), *options)["layers"]
        self.assertLessEqual(set(sites), set(layers))
        for name in sites:
            found, scale = layers[name]["activations"], model.nodes[name].output_scale
            numpy.testing.assert_allclose(found["mean"], scale * values[name].mean(), 1e-12, err_msg=name)
            numpy.testing.assert_allclose(found["variance"], scale**2 * values[name].var(), 1e-9, err_msg=name)

    def program(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_networks(self):
        for network in NETWORKS:
            for backend in BACKENDS:
                with self.subTest(network, backend=backend):
                    trained = original.trained(network, backend, narrow=8)
                    model = self.imported(self.save(trained), network, backend)
                    converted = original.converted(trained, model.input_scale, model.input_zero_point)
                    values = self.assert_codes_of_pytorch(model, converted)
                    if (backend == "fbgemm") == (network != "lenet5"):  # lenet5's ReLUs have a code range of their own
                        self.assert_codes_of_triseg(model, values)

    def test_ways_to_train(self):
        """Observers that were left on move once more when PyTorch converts; batch norms may stay in the modules."""
        for backend in BACKENDS:
            for way in ({"observe": True}, {"keep_norms": True}, {"observe": True, "keep_norms": True}):
                with self.subTest(backend, **way):
                    trained = original.trained("alexnet", backend, narrow=8, **way)
                    model = self.imported(self.save(trained), "alexnet", backend)
                    converted = original.converted(trained, None, None)
                    for name in ("conv1", "conv5", "fc2", "fc3"):
                        module = getattr(converted, name)
                        module = module if name == "fc3" else module[0]
                        weights, node = module.weight(), model.nodes[name]
                        by_channel = backend == "fbgemm"
                        scale = weights.q_per_channel_scales() if by_channel else torch.tensor(weights.q_scale())
                        scale = scale.broadcast_to(len(node.weights)).numpy()
                        numpy.testing.assert_array_equal(weights.int_repr().numpy().ravel(), node.weights.ravel(), name)
                        numpy.testing.assert_allclose(node.weight_scale, scale, 3e-7)
                        self.assertEqual((module.scale, module.zero_point), (node.output_scale, node.output_zero_point))
                    self.assert_codes_of_pytorch(model, converted)

    def test_refusals(self):
        state = original.trained("alexnet", "fbgemm", narrow=32, steps=1, observe=True).state_dict()
        torch.save(state, self.at("whole.pth"))
        without = dict(state)
        observer = "conv3.conv.activation_post_process.activation_post_process."
        del without[observer + "max_val"]
        torch.save(without, self.at("without.pth"))
        torch.save(state | {"conv6.weight": torch.zeros(1)}, self.at("more.pth"))
        unseen = dict(state)
        unseen["quant.activation_post_process.activation_post_process.min_val"] = torch.tensor(numpy.inf)
        torch.save(unseen, self.at("unseen.pth"))
        torch.save(state | {"conv2.conv.weight": torch.zeros(3, 7, 5, 5)}, self.at("shape.pth"))
        torch.save(state | {"conv2.conv.weight": torch.zeros(6, 7, 5, 5)}, self.at("next.pth"))
        seen = "conv2.conv.weight_fake_quant.activation_post_process."
        torch.save(state | {seen + "min_val": torch.zeros(1), seen + "max_val": torch.ones(1)}, self.at("sizes.pth"))
        torch.save(original.network("alexnet", 32).state_dict(), self.at("float.pth"))
        torch.save({"epoch": 3, "state_dict": state}, self.at("wrapped.pth"))
        torch.save(original.network("alexnet", 32), self.at("object.pth"))
        with open(self.at("text.pth"), "w") as file:
            file.write("no checkpoint\n")
        with open(self.at("whole.pth"), "rb") as whole, open(self.at("half.pth"), "wb") as half:
            half.write(whole.read()[:5000])
        for name, network, backend, expected in (
                ("whole", "vgg16", "fbgemm", "not a checkpoint of VGG-16 behind prepare_qat: missing conv1_1.weight"),
                ("whole", "vgg16", "fbgemm", "unexpected conv1.conv.weight, "),
                ("whole", "alexnet", "qnnpack", "give the --backend that it was trained with"),
                ("without", "alexnet", "fbgemm", f"missing {observer}max_val"),
                ("more", "alexnet", "fbgemm", "behind prepare_qat: unexpected conv6.weight"),
                ("unseen", "alexnet", "fbgemm", "min_val: not finite: its observer has seen no image"),
                ("shape", "alexnet", "fbgemm", "conv2.conv.bias: expected the shape (3,), found (6,)"),
                ("next", "alexnet", "fbgemm", "conv2: expected weights (channels, 2, height, width), found (6"),
                ("sizes", "alexnet", "fbgemm", "weight_fake_quant: expected 6 scales under fbgemm, found 1: give"),
                ("float", "alexnet", "fbgemm", "missing conv1.conv.weight_fake_quant.activation_post_process.min_val"),
                ("wrapped", "alexnet", "fbgemm", "expected a state dict, a tensor a key"),
                ("object", "alexnet", "fbgemm", "not a PyTorch checkpoint that holds tensors alone"),
                ("text", "alexnet", "fbgemm", "not a PyTorch checkpoint that holds tensors alone"),
                ("half", "alexnet", "fbgemm", "not a PyTorch checkpoint that holds tensors alone"),
                ("absent", "alexnet", "fbgemm", "No such file")):
            with self.subTest(name, network=network):
                with self.assertRaises(triseg.Error) as refused:
                    import_checkpoint(self.at(f"{name}.pth"), network, backend)
                self.assertTrue(str(refused.exception).startswith(f"{self.at(name)}.pth: "), refused.exception)
                self.assertIn(expected, str(refused.exception))
                self.assertNotIn("\n", str(refused.exception))

    def test_the_command_line(self):
        torch.save(original.trained("lenet5", "qnnpack", steps=1, observe=True).state_dict(), self.at("lenet5.pth"))
        options = ["--model", "lenet5", "--backend", "qnnpack"]
        done = import_torch(self.at("lenet5.pth"), *options, "--data", "a/b/", "--out", self.at("lenet5.h5"))
        self.assertEqual((done.returncode, done.stderr), (
            0, f"import_torch.py: {self.at('lenet5.pth')}: it has no scale of the images: they get that of all pixels, "
               "0 to 255\n"))
        self.assertEqual(done.stdout, f"{self.at('lenet5.h5')}: LeNet-5, qnnpack, 7 nodes, 61770 weights\n"
                                      f"Search it with: triseg search --teacher {self.at('lenet5.h5')} --data a/b/\n")
        model = triseg.Model.read(self.at("lenet5.h5"))
        self.assertEqual((model.data, model.network, model.backend), ("b", "lenet5", "qnnpack"))
        for place, expected in (("none.pth", "No such file"), ("lenet5.pth", "give the --backend that it was ")):
            done = import_torch(self.at(place), "--model", "lenet5", "--backend", "fbgemm", "--out", self.at("no.h5"))
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
            self.assertIn(f"error: {self.at(place)}: ", done.stderr)
            self.assertIn(expected, done.stderr)
            self.assertFalse(os.path.exists(self.at("no.h5")))
        done = import_torch("x.pth", "--model", "resnet", "--backend", "fbgemm", "--out", "x.h5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("invalid choice: 'resnet' (choose from 'alexnet', 'vgg16'", done.stderr)
        without = ("import runpy, sys; sys.modules['torch'] = None; "
                   "runpy.run_module('triseg.import_torch', run_name='__main__')")
        done = import_torch("x.pth", "--model", "nin", "--backend", "fbgemm", "--out", "x.h5", start=("-c", without))
        self.assertEqual((done.returncode, done.stderr),
                         (2, "needs torch: run with /usr/bin/python3 (Debian package python3-torch)\n"))



if __name__ == "__main__":
    unittest.main()
