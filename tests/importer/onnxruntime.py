"""ONNX Runtime as another program to compare with: npm's onnxruntime-node, in a build folder
(scripts/onnxruntime.sh)."""

import os
import subprocess
import tempfile

import numpy as np

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnxruntime.js")


def outputs(packages, model, images, level):
    """(N, ...) float32 of images (N, ...) in the order that the model takes; packages: the folder node_modules; level:
    as onnxruntime.js has it. Raises RuntimeError with what ONNX Runtime says."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = os.path.join(folder, "images"), os.path.join(folder, "outputs")
        np.ascontiguousarray(images, np.float32).tofile(given)
        command = ["node", SCRIPT, str(model), given, str(len(images)), made, level]
        environment = dict(os.environ, NODE_PATH=os.fspath(packages))
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return np.fromfile(made, np.float32).reshape(len(images), -1)
