"""Makes a model file of a checkpoint of the Python original, NAME_qat_preconvert.pth, as `triseg search --teacher` takes it.

The checkpoint is the state dict of a network that torch.ao.quantization.prepare_qat has prepared and training has seen,
before convert. Its integers are those that convert makes: batch norm folded, weights quantized by their observers, scales
and zero points of activations from the observers behind the ReLUs, biases at scale s_in s_w. PyTorch (1.13 or newer) loads
the file; only tensors are taken from it. Exit status: 0, or 1 if the checkpoint is not of that network and backend, cannot be
read or the model file cannot be written, 2 if the command line is not understood.
"""
import dataclasses
import importlib.resources
import shlex
import sys
import tomllib

from triseg import command_line

with command_line.packages():
    import numpy

    from triseg.files import Error
    from triseg.torch_checkpoint import BACKENDS, LARGEST, Checkpoint, affine, bias_codes

# The normalization of the original's images, whose network takes 3 x 32 x 32.
MEAN, STANDARD_DEVIATION = numpy.array([0.4914, 0.4822, 0.4465]), numpy.array([0.2470, 0.2435, 0.2616])
INPUT = (3, 32, 32)
NODE_KEYS = {"name", "op", "stride", "padding", "kernel", "pool", "relu"}
IMAGE = -1


@dataclasses.dataclass
class Node:
    """A node with its numbers; network/network.hpp and network/quantized_network.hpp say what they mean."""
    name: str
    operation: str  # convolution, maximum, average
    inputs: list  # number of the node before it, or IMAGE
    shape: tuple  # of its value: channels, height, width
    scale: float
    zero_point: int
    highest: int = 255
    window: tuple = (1, 1)
    stride: int = 1
    padding: int = 0
    groups: int = 1
    relu: bool = False
    weights: numpy.ndarray = None
    weight_scale: numpy.ndarray = None
    bias: numpy.ndarray = None
    multiplier: numpy.ndarray = None


@dataclasses.dataclass
class Network:
    name: str
    backend: str
    recipe: dict  # of original_networks.toml
    scale: float  # of the images
    zero_point: int
    notes: list  # what the user should know, a line each
    nodes: list = dataclasses.field(default_factory=list)

    def value(self, number):
        """Shape, scale, zero point and highest code of a value."""
        if number == IMAGE:
            return INPUT, self.scale, self.zero_point, 255
        node = self.nodes[number]
        return node.shape, node.scale, node.zero_point, node.highest


def networks():
    """The original's networks by name."""
    return tomllib.loads((importlib.resources.files("triseg") / "original_networks.toml").read_text())


def import_checkpoint(path, name, backend):
    """The Network of a checkpoint. Raises Error."""
    checkpoint = Checkpoint(path, backend)
    recipe = networks()[name]
    images, notes = checkpoint.scale_of_images(), []
    if images is None:
        images = affine(*_ends_of_images(), LARGEST[backend])
        notes.append("the checkpoint has no scale of the images: they get that of all pixels from 0 to 255")
    network = Network(name, backend, recipe, float(images[0]), images[1], notes)
    parameters = {entry["name"]: checkpoint.parameters(_module(checkpoint, entry["name"]))
                  for entry in recipe["nodes"] if _has_parameters(entry)}
    checkpoint.refuse(recipe["display_name"])
    for entry in recipe["nodes"]:
        try:
            if _has_parameters(entry):
                network.nodes.append(_convolution(network, entry, parameters[entry["name"]]))
            else:
                network.nodes.append(_pool(network, entry["name"], entry["op"], entry.get("kernel"), entry.get("stride"),
                                           entry.get("padding", 0)))
            if "pool" in entry:
                network.nodes.append(_pool(network, f"{entry['name']}.pool", "maximum", entry["pool"]))
        except ValueError as error:
            raise Error(f"{checkpoint.path}: {recipe['display_name']}: {entry['name']}: {error}") from error
    return network


def _ends_of_images():
    least, largest = ((numpy.float32(pixel) - MEAN.astype("f4")) / STANDARD_DEVIATION.astype("f4") for pixel in (0, 1))
    return least.min(), largest.max()


def _has_parameters(entry):
    return entry.get("op", "conv") in ("conv", "fc")


def _module(checkpoint, name):
    """The name of the module that makes a node's value."""
    return next((module for module in (f"{name}.conv", f"{name}.linear", name) if checkpoint.has(f"{module}.weight")), name)


def _convolution(network, entry, p):
    shape, s_in, z_in, _ = network.value(len(network.nodes) - 1)
    weights, relu = p.weights, entry.get("relu", True)
    if entry.get("op") == "fc":
        if weights.ndim != 2 or weights.shape[1] != numpy.prod(shape):
            raise ValueError(f"expected weights (channels, {numpy.prod(shape)}), found {weights.shape}")
        weights = weights.reshape(-1, *shape)
    elif weights.ndim != 4 or shape[0] % weights.shape[1] or len(weights) % (shape[0] // weights.shape[1]):
        raise ValueError(f"expected weights (channels, {shape[0]}, height, width), found {weights.shape}")
    scale, zero_point = float(p.scale), p.zero_point
    node = Node(entry["name"], "convolution", [len(network.nodes) - 1], shape, scale, zero_point, window=weights.shape[2:],
                stride=entry.get("stride", 1), padding=entry.get("padding", 0), groups=shape[0] // weights.shape[1], relu=relu,
                weights=weights, weight_scale=p.weight_scale.astype("f8"))
    if relu:  # codes below the zero point are negative values: the ReLU lifts them to it, and it becomes code 0
        node.zero_point, node.highest = 0, 255 - zero_point
    node.shape = (len(weights), *_plane(shape, node))
    bias = bias_codes(p.bias, s_in, p.weight_scale)
    if numpy.abs(bias).max() >= 2**31:
        raise ValueError("a bias leaves 32 bits at the scale of its input and weights")
    node.bias, node.multiplier = bias.astype("i4"), (s_in * node.weight_scale / scale).astype("f4")
    return node


def _pool(network, name, operation, kernel=None, stride=None, padding=0):
    shape, scale, zero_point, highest = network.value(len(network.nodes) - 1)
    window = (kernel, kernel) if kernel else shape[1:]
    node = Node(name, operation, [len(network.nodes) - 1], shape, scale, zero_point, highest, window,
                stride or kernel or 1, padding)
    node.shape = (shape[0], *_plane(shape, node))
    return node


def _plane(shape, node):
    """Height and width of what a window makes. Raises ValueError if the padded plane holds none."""
    plane = tuple((side + 2 * node.padding - k) // node.stride + 1 for side, k in zip(shape[1:], node.window))
    if min(plane) < 1:
        raise ValueError(f"its window of {node.window} does not fit into {shape[1:]}")
    return plane
