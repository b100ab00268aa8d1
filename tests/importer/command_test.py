"""The command line of triseg import."""

import unittest

import numpy as np

from importing import Importing


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
