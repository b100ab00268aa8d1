"""Makes a model file, as `triseg search --teacher` takes it, of a checkpoint of the Python original,
NAME_qat_preconvert.pth.

The checkpoint is the state dict of a network that torch.ao.quantization.prepare_qat has prepared and training has seen,
before convert. Its integers are those that convert makes: batch norm folded, weights quantized by their observers,
scales and zero points of activations from the observers behind the ReLUs, biases at scale s_in s_w. Multipliers are
rounded as PyTorch's engine QNNPACK rounds them, so that all codes are its codes; scales of weights are those that the
multipliers imply, which are PyTorch's but for the last bits of float32. PyTorch (1.13 or newer) loads the file; only
tensors are taken from it. Exit status: 0; 1 if the checkpoint is not of that network and backend or cannot be read, or
the model file cannot be written; 2 if the command line is not understood or PyTorch is missing.
"""
import importlib.resources
import os
import shlex
import sys
import tomllib

from triseg import command_line

with command_line.packages():
    import numpy
    import pandas

    from triseg.files import Error
    from triseg.model import Description, Model, Node
    from triseg.torch_checkpoint import BACKENDS, LARGEST, Checkpoint, affine, bias_codes, multipliers

# The normalization of the original's images, whose network takes 3 x 32 x 32.
MEAN, STANDARD_DEVIATION = numpy.array([0.4914, 0.4822, 0.4465]), numpy.array([0.2470, 0.2435, 0.2616])
INPUT = (3, 32, 32)


class Builder:
    """Puts a Model together node by node, each behind the last."""

    def __init__(self, scale, zero_point):
        self.rows, self.nodes, self.before, self.shape = {}, {}, None, INPUT  # before: name of the last node
        self.last = Node(scale, zero_point)  # the image's scale, then the last node's

    def convolution(self, entry, p):
        """A convolution or fully connected layer of these Parameters. Raises ValueError."""
        weights, relu, inputs = p.weights, entry.get("relu", True), self.shape[0]
        if entry.get("op") == "fc":
            if weights.ndim != 2 or weights.shape[1] != numpy.prod(self.shape):
                raise ValueError(f"expected weights (channels, {numpy.prod(self.shape)}), found {weights.shape}")
            weights = weights.reshape(-1, *self.shape)
        elif weights.ndim != 4 or inputs % weights.shape[1] or len(weights) % (inputs // weights.shape[1]):
            raise ValueError(f"expected weights (channels, {inputs}, height, width), found {weights.shape}")
        s_in, scale = self.last.output_scale, float(p.scale)
        multiplier = multipliers(s_in, p.weight_scale, scale)
        bias = bias_codes(p.bias, s_in, p.weight_scale)
        if numpy.abs(bias).max() >= 2**31:
            raise ValueError("a bias leaves 32 bits at the scale of its input and weights")
        # Codes below the zero point are negative values: the ReLU lifts them to it, and it becomes code 0.
        codes = {"output_zero_point": 0, "highest": 255 - p.zero_point} if relu else {"output_zero_point": p.zero_point}
        self._add(entry["name"], "convolution", len(weights), weights.shape[2:], entry.get("stride", 1),
                  entry.get("padding", 0), groups=inputs // weights.shape[1], relu=relu,
                  node=Node(scale, **codes, weights=weights, weight_scale=multiplier.astype("f8") * scale / s_in,
                            bias=bias.astype("i4"), multiplier=multiplier))

    def pool(self, name, operation, kernel=None, stride=None, padding=0):
        """A maximum or an average, of the whole plane if there is no kernel. Raises ValueError."""
        last = self.last
        self._add(name, operation, self.shape[0], (kernel, kernel) if kernel else self.shape[1:], stride or kernel or 1,
                  padding, node=Node(last.output_scale, last.output_zero_point, last.lowest, last.highest))

    def _add(self, name, operation, channels, window, stride, padding, node, groups=1, relu=False):
        plane = [(side + 2 * padding - extent) // stride + 1 for side, extent in zip(self.shape[1:], window)]
        if min(plane) < 1:
            raise ValueError(f"its window of {window[0]} x {window[1]} does not fit into {self.shape[1]} x "
                             f"{self.shape[2]}")
        self.shape = (channels, *plane)
        self.rows[name] = {"operation": operation, "inputs": [self.before],
                           **dict(zip(("channels", "height", "width"), self.shape)),
                           "window_height": window[0], "window_width": window[1],
                           "stride_y": stride, "stride_x": stride, "dilation_y": 1, "dilation_x": 1,
                           "pad_top": padding, "pad_left": padding, "pad_bottom": padding, "pad_right": padding,
                           "ceil": 0, "groups": groups, "count_padding": 0, "relu": int(relu)}
        self.nodes[name] = self.last = node
        self.before = name


def networks():
    """The original's networks by name."""
    return tomllib.loads((importlib.resources.files("triseg") / "original_networks.toml").read_text())


def import_checkpoint(path, name, backend):
    """The Model of a checkpoint, and what the user should know about it, a list of lines. Raises Error."""
    checkpoint = Checkpoint(path, backend)
    recipe = networks()[name]
    images, notes = checkpoint.scale_of_images(), []
    if images is None:
        images = affine(*_ends_of_images(), LARGEST[backend])
        notes.append(f"{checkpoint.path}: it has no scale of the images: they get that of all pixels, 0 to 255")
    parameters = {entry["name"]: checkpoint.parameters(_module(checkpoint, entry["name"]))
                  for entry in recipe["nodes"] if _has_parameters(entry)}
    checkpoint.refuse(recipe["display_name"])
    builder = Builder(float(images[0]), images[1])
    for entry in recipe["nodes"]:
        try:
            if _has_parameters(entry):
                builder.convolution(entry, parameters[entry["name"]])
            else:
                builder.pool(entry["name"], entry["op"], entry.get("kernel"), entry.get("stride"),
                             entry.get("padding", 0))
            if "pool" in entry:
                builder.pool(f"{entry['name']}.pool", "maximum", entry["pool"])
        except ValueError as error:
            raise Error(f"{checkpoint.path}: {recipe['display_name']}: {entry['name']}: {error}") from error
    description = Description(recipe["display_name"], *INPUT, builder.shape[0], recipe.get("sites", []),
                              recipe["attention"], pandas.DataFrame.from_dict(builder.rows, orient="index"))
    model = Model(name, backend, builder.nodes, float(images[0]), images[1], MEAN, STANDARD_DEVIATION, description)
    return model, notes


def _ends_of_images():
    """The least and the largest value of the original's normalized images."""
    least, largest = ((numpy.float32(pixel) - MEAN.astype("f4")) / STANDARD_DEVIATION.astype("f4") for pixel in (0, 1))
    return least.min(), largest.max()


def _has_parameters(entry):
    return entry.get("op", "conv") in ("conv", "fc")


def _module(checkpoint, name):
    """The name of the module that makes a node's value."""
    modules = (f"{name}.conv", f"{name}.linear", name)
    return next((module for module in modules if checkpoint.has(f"{module}.weight")), name)


def main():
    parser = command_line.parser(__doc__)
    parser.add_argument("checkpoint", metavar="CHECKPOINT.pth")
    parser.add_argument("--model", required=True, choices=list(networks()), help="the original's network")
    parser.add_argument("--backend", required=True, choices=BACKENDS, help="that it was trained with")
    parser.add_argument("--data", default="cifar-10-batches-bin", metavar="FOLDER",
                        help="the images that it was trained on, a folder that triseg's --data takes (default: "
                             "%(default)s, as CIFAR-10's archive for C calls it); a search compares its name")
    parser.add_argument("--out", required=True, metavar="MODEL.h5", help="the model file")
    o = parser.parse_args()
    with command_line.packages():
        import torch  # noqa: F401  said before the checkpoint is opened
    model, notes = import_checkpoint(o.checkpoint, o.model, o.backend)
    model.data = os.path.basename(os.path.abspath(o.data))
    model.command_line = shlex.join(["python3", "-m", "triseg.import_torch", *sys.argv[1:]])
    model.write(o.out)
    for note in notes:
        command_line.report(note, "")
    weights = sum(node.weights.size for node in model.nodes.values() if node.weights is not None)
    print(f"{o.out}: {model.description.display_name}, {o.backend}, {len(model.nodes)} nodes, {weights} weights")
    print(f"Search it with: triseg search --teacher {shlex.quote(o.out)} --data {shlex.quote(o.data)}")
    return 0


def program():
    command_line.run(main)


if __name__ == "__main__":
    program()
