"""An imported network from its ONNX file to a searched student, through the program, on images whose labels the ONNX file chose."""

import json
import os
import subprocess
import unittest

import h5py
import numpy as np

from import_test import Importing, as_input, pixels
from onnx_net import Net

PROGRAM = os.environ["TRISEG_PROGRAM"]
TRAIN, TEST = 192, 48


class ImportedSearch(Importing):
    def triseg(self, *words):
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_search_and_evaluation(self):
        images = pixels((3, 12, 12), TRAIN + TEST)
        n = Net(as_input(images))
        x = self.first(n, 8)
        skip = n.qdq(n.add("Relu", [n.conv(x, 8, pads=[1, 1, 1, 1])]))
        x = n.qdq(n.add("Relu", [n.add("Add", [x, n.qdq(n.conv(skip, 8, pads=[1, 1, 1, 1]))])]))
        flat, weights = n.add("Flatten", [x]), n.weights((5, 8 * 12 * 12))
        bias = -np.median(n.values[flat] @ n.values[weights].T, 0)  # so that no class is all images'
        output = n.qdq(n.add("Gemm", [flat, weights, np.float32(bias)], transB=1))
        n.save(self.folder / "net.onnx", output)
        done = self.run_import(self.folder / "net.onnx", "--preprocessing", "0..1", "--out", self.folder / "net.h5")
        self.assertEqual(done.returncode, 0, done.stderr)

        logits = np.reshape(n.values[output], (len(images), -1))
        labels = logits.argmax(1)
        self.assertGreater(len(set(labels)), 1)
        with h5py.File(self.folder / "waves.h5", "w") as file:
            for split, rows in ("train", slice(0, TRAIN)), ("test", slice(TRAIN, None)):
                file[f"{split}/images"], file[f"{split}/labels"] = images[rows], labels[rows].astype(np.uint8)

        done = self.triseg("search", "--teacher", "net.h5", "--data", "waves.h5", "--episodes", 64, "--calib-batches", 2,
                           "--batch-size", 16, "--top-k", 4, "--out", "out")
        self.assertIn(f"net.h5 does not say which images it was trained on: those of {self.folder}/waves.h5 are taken", done.stderr)
        result = self.folder / "out" / "tri_ppo_int_codes" / "net.json"
        self.assertEqual(len(json.loads(result.read_text())["layers"]), 3)
        scores = json.loads(self.triseg("evaluate", result, "--teacher", "net.h5", "--format", "json").stdout)
        self.assertEqual(scores["acc_teacher"], 100.0)


if __name__ == "__main__":
    unittest.main()
