"""The command line of triseg import."""

import os
import subprocess
import unittest

import h5py
import numpy as np

from importing import Importing

PROGRAM = os.environ["TRISEG_PROGRAM"]


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

    def test_imported_network_is_searched_on_any_data(self):
        """The model file does not say what the network was trained on."""
        n = self.net()
        n.save(self.folder / "net.onnx", n.qdq(n.classifier(self.first(n))))
        done = self.run_import(self.folder / "net.onnx", "--preprocessing", "0..1", "--out", self.folder / "net.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        random = np.random.default_rng(0)
        with h5py.File(self.folder / "data.h5", "w") as file:
            for part, count in ("train", 300), ("test", 60):
                file[f"{part}/images"] = random.integers(256, size=(count, 3, 8, 8), dtype=np.uint8)
                file[f"{part}/labels"] = np.arange(count, dtype=np.uint8) % 5
        command = [PROGRAM, "search", "--teacher", "net.h5", "--data", "data.h5", "--episodes", "32", "--batch-size", "16",
                   "--episodes-per-update", "16", "--calib-batches", "2", "--out", "results"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("teacher accuracy", done.stdout + done.stderr)

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
