"""Networks in files from before they were graphs: chains of layers, which become nodes."""
import pandas

from triseg import hdf5

TEXTS = ("name", "kind")
SIZES = ("in_channels", "out_channels", "kernel", "stride", "padding", "pool", "relu")
SIDES = ("input_channels", "input_side", "classes")
PROVENANCE = ("data", "data_sha256", "creator", "creator_version", "file_time", "command_line", "seed", "epochs",
              "float_accuracy", "int8_test_accuracy")
QUANTIZATION = ("input_scale", "input_zero_point", "output_scale", "output_zero_point")
PARAMETERS = ("weights", "weight_scale", "bias", "multiplier")


def nodes_of(layers, side):
    """The nodes, as in Description.nodes, of a data frame of layers (in_channels to relu, by name) that takes images of
    this side."""
    rows, before = {}, []

    def add(name, operation, channels, window, stride, padding, relu):
        nonlocal before, side
        side = (side + 2 * padding - window) // stride + 1
        rows[name] = {"operation": operation, "inputs": before or [None], "channels": channels, "height": side,
                      "width": side, "window_height": window, "window_width": window, "stride_y": stride,
                      "stride_x": stride, "dilation_y": 1, "dilation_x": 1, "pad_top": padding, "pad_left": padding,
                      "pad_bottom": padding, "pad_right": padding, "ceil": 0, "groups": 1, "count_padding": 0,
                      "relu": relu}
        before = [name]

    for layer in layers.itertuples():
        window = side if layer.kind == "fc" else layer.kernel
        add(layer.Index, "convolution", layer.out_channels, window, layer.stride, layer.padding, layer.relu)
        if layer.pool > 1:
            add(f"{layer.Index}.pool", "maximum", layer.out_channels, layer.pool, layer.pool, 0, 0)
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def read(content, version, check):
    """(description, nodes, (scale, zero point of the input)) of a model file of versions 1 to 3; no description in one
    of version 1 or 2, and so no pools among its nodes."""
    from triseg import model
    at = lambda p: hdf5.plain(content[p])
    names = sorted({p.split("/")[2] for p in content.values if p.startswith("/layers/")},
                   key=lambda name: content[f"/layers/{name}/@index"])
    if check:
        hdf5.check(content, content.digest(_paths(names, version)))
    description, rows = None, {name: name for name in names}
    if version == 3:
        layers = pandas.DataFrame({key: at(f"/network/{key}") for key in (*TEXTS, *SIZES)}).set_index("name")
        channels, side, classes = (at(f"/network/@{key}") for key in SIDES)
        rows = nodes_of(layers, side)
        description = model.Description(at("/@display_name"), channels, side, side, classes, [],
                                        list(at("/network/default_attention")), rows)
    nodes = {}
    for name in rows if version < 3 else rows.index:
        if name not in names:  # a pool
            nodes[name] = model.Node(output.output_scale, output.output_zero_point)
            continue
        node = model.Node(**{key: at(f"/layers/{name}/@{key}") for key in ("output_scale", "output_zero_point")},
                          **{key: at(f"/layers/{name}/{key}") for key in PARAMETERS})
        if version == 3:
            node.weights = node.weights.reshape(len(node.weights), -1,
                                                *rows.loc[name, ["window_height", "window_width"]])
        output = nodes[name] = node
    return description, nodes, (at(f"/layers/{names[0]}/@input_scale"), at(f"/layers/{names[0]}/@input_zero_point"))


def _paths(layers, version):
    """What the digest of a model file is over, in order."""
    paths = ["/@network", "/@backend"]
    if version == 3:
        paths += ["/@display_name", *(f"/network/@{key}" for key in SIDES), "/network/default_attention",
                  *(f"/network/{key}" for key in (*TEXTS, *SIZES))]
    paths += [f"/@{key}" for key in PROVENANCE] + ["/normalization/mean", "/normalization/standard_deviation"]
    for name in layers:
        paths += [f"/layers/{name}/{key}" for key in ("@index", *(f"@{key}" for key in QUANTIZATION), *PARAMETERS)]
    return paths
