"""Runs a model file's nodes on images in integers, after docs/int8-contract.md. Written for tests: exact, not fast."""
import numpy

F4 = numpy.float32


def image_codes(model, images):
    """Codes of images (N, C, H, W) of pixels 0 to 255."""
    codes = numpy.empty(images.shape, "i8")
    for c, (mean, deviation) in enumerate(zip(model.mean.astype("f4"), model.standard_deviation.astype("f4"))):
        x = (numpy.arange(256, dtype="f4") / F4(255) - mean) / deviation
        table = numpy.clip(numpy.rint(x / F4(model.input_scale)) + model.input_zero_point, 0, 255).astype("i8")
        codes[:, c] = table[images[:, c]]
    return codes


def windows(values, row, outside):
    """The values that each window of a node sees: (N, C, output height, output width, window height, width)."""
    pads = ((0, 0), (0, 0), (row.pad_top, row.pad_bottom), (row.pad_left, row.pad_right))
    padded = numpy.pad(values, pads, constant_values=outside)
    seen = numpy.lib.stride_tricks.sliding_window_view(padded, (row.window_height, row.window_width), axis=(2, 3))
    return seen[:, :, ::row.stride_y, ::row.stride_x]


def requantized(sums, multiplier, node):
    codes = numpy.rint(sums.astype("f4") * multiplier) + F4(node.output_zero_point)
    return numpy.clip(codes, node.lowest, node.highest).astype("i8")


def convolution(values, row, node, z_in):
    channels, per_group = node.weights.shape[0] // row.groups, node.weights.shape[1]
    seen = windows(values - z_in, row, 0)
    sums = []
    for g in range(row.groups):  # products of doubles: exact, for all sums are below 2^53
        weights = node.weights[g * channels:(g + 1) * channels].reshape(channels, -1).astype("f8")
        x = seen[:, g * per_group:(g + 1) * per_group].transpose(0, 2, 3, 1, 4, 5)
        x = x.reshape(*x.shape[:3], -1).astype("f8")
        sums.append((x @ weights.T).transpose(0, 3, 1, 2))
    by_channel = lambda array: array.reshape(-1, 1, 1)
    sums = numpy.concatenate(sums, axis=1).astype("i8") + by_channel(node.bias.astype("i8"))
    return requantized(sums, by_channel(node.multiplier), node)


def average(values, row, node, s_in, z_in):
    assert not (row.pad_top or row.pad_left or row.pad_bottom or row.pad_right), "no network here pads an average"
    multiplier = F4(s_in / (node.output_scale * row.window_height * row.window_width))
    return requantized(windows(values - z_in, row, 0).sum(axis=(4, 5)), multiplier, node)


def run(model, images):
    """Codes of every value by name, on images (N, C, H, W) of pixels; of chains alone."""
    values, s_in, z_in, results = image_codes(model, images), model.input_scale, model.input_zero_point, {}
    for row in model.description.nodes.itertuples():
        node = model.nodes[row.Index]
        if row.operation == "convolution":
            values = convolution(values, row, node, z_in)
        elif row.operation == "maximum":
            values = windows(values, row, -1).max(axis=(4, 5))
        else:
            values = average(values, row, node, s_in, z_in)
        results[row.Index], s_in, z_in = values, node.output_scale, node.output_zero_point
    return results
