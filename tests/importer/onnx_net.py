"""ONNX files made a node at a time, each evaluated as it is added: what its tensors are follows from the ONNX
specification alone, in double precision on dequantized numbers. So a test has a file and, independent of the importer,
its outputs."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

TYPES = {"u8": (np.uint8, 0, 255), "s8": (np.int8, -128, 127), "s32": (np.int32, -2**31, 2**31 - 1)}


def quantized(x, scale, zero, kind, axis=None):
    """The integers that QuantizeLinear makes. It divides in float32, which decides ties."""
    dtype, low, high = TYPES[kind]
    x = np.asarray(x)
    scale, zero = along(scale, axis, x.ndim), along(zero, axis, x.ndim)
    return np.clip(np.float64(np.rint(np.float32(x) / np.float32(scale))) + np.float64(zero), low, high).astype(dtype)


def dequantized(q, scale, zero, axis=None):
    scale, zero = along(scale, axis, q.ndim), along(zero, axis, q.ndim)
    return (np.float64(q) - np.float64(zero)) * np.float64(scale)


def along(v, axis, rank):
    v = np.asarray(v)
    if v.size == 1:
        return v.reshape(())
    return v.reshape([-1 if d == axis % rank else 1 for d in range(rank)])


def windows(x, kernel, strides, dilations, fill):
    """(N, C, rows, columns, kernel height, kernel width) of x, which is padded already."""
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    rows = (x.shape[2] - span[0]) // strides[0] + 1
    columns = (x.shape[3] - span[1]) // strides[1] + 1
    out = np.full(x.shape[:2] + (rows, columns) + tuple(kernel), fill, np.float64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, z = i * dilations[0], j * dilations[1]
            out[..., i, j] = x[:, :, y:y + (rows - 1) * strides[0] + 1:strides[0],
                               z:z + (columns - 1) * strides[1] + 1:strides[1]]
    return out


def pads_of(a, shape, kernel):
    """Top, left, bottom, right, and how far the last window hangs over (ceil_mode)."""
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    pads = list(a.get("pads", [0, 0, 0, 0]))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    auto = a.get("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        for d in range(2):
            total = max(0, (-(-shape[d] // strides[d]) - 1) * strides[d] + span[d] - shape[d])
            less, more = total // 2, total - total // 2
            pads[d], pads[d + 2] = (less, more) if auto == "SAME_UPPER" else (more, less)
    over = [0, 0]
    if a.get("ceil_mode", 0):
        for d in range(2):
            size = shape[d] + pads[d] + pads[d + 2]
            count = -(-(size - span[d]) // strides[d]) + 1
            if (count - 1) * strides[d] >= shape[d] + pads[d]:
                count -= 1
            over[d] = max(0, (count - 1) * strides[d] + span[d] - size)
    return pads, over, strides, dilations


def padded(x, pads, over, fill):
    top, left, bottom, right = pads
    return np.pad(np.float64(x), ((0, 0), (0, 0), (top, bottom + over[0]), (left, right + over[1])),
                  constant_values=fill)


def conv(x, w, b=None, **a):
    pads, over, strides, dilations = pads_of(a, x.shape[2:], w.shape[2:])
    groups = a.get("group", 1)
    view = windows(padded(x, pads, over, 0), w.shape[2:], strides, dilations, 0)
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    parts = [np.einsum("ncyxij,ocij->noyx", view[:, g * inputs:(g + 1) * inputs],
                       np.float64(w[g * outputs:(g + 1) * outputs]))
             for g in range(groups)]
    y = np.concatenate(parts, 1)
    return y if b is None else y + np.float64(b).reshape(1, -1, 1, 1)


def max_pool(x, **a):
    kernel = a["kernel_shape"]
    pads, over, strides, dilations = pads_of(a, x.shape[2:], kernel)
    return windows(padded(x, pads, over, -np.inf), kernel, strides, dilations, 0).max((-2, -1)).astype(x.dtype)


def average_pool(x, **a):
    kernel = a["kernel_shape"]
    pads, over, strides, dilations = pads_of(a, x.shape[2:], kernel)
    inside = np.ones(x.shape[2:])
    counted = padded(inside[None, None], pads, over, 0)
    if a.get("count_include_pad", 0):
        counted[:, :, :inside.shape[0] + pads[0] + pads[2], :inside.shape[1] + pads[1] + pads[3]] = 1
    total = windows(padded(x, pads, over, 0), kernel, strides, dilations, 0).sum((-2, -1))
    return total / windows(counted, kernel, strides, dilations, 0).sum((-2, -1))


def sigmoid(x, **_):
    return 1 / (1 + np.exp(-np.float64(x)))


def hard_sigmoid(x, alpha=0.2, beta=0.5):
    return np.clip(alpha * x + beta, 0, 1)


def erf(x):
    """Abramowitz and Stegun 7.1.5, the power series, of |x| up to 3; beyond it is 1 but for 2e-5."""
    x = np.clip(np.float64(x), -3, 3)
    term, total = x.copy(), x.copy()
    for n in range(1, 60):
        term = term * -x * x / n
        total = total + term / (2 * n + 1)
    return 2 / np.sqrt(np.pi) * total


def multi_threshold(x, thresholds, out_scale=1.0, out_bias=0.0, **_):
    """MultiThreshold of QONNX: how many thresholds of its channel an element has reached."""
    rows = np.broadcast_to(thresholds, (x.shape[1], thresholds.shape[1]))
    rows = rows.reshape((1, x.shape[1]) + (1,) * (x.ndim - 2) + (-1,))
    return out_scale * np.sum(x[..., None] >= rows, -1) + out_bias


def clip(x, low=None, high=None, min=-np.inf, max=np.inf):  # the attributes' names are ONNX's
    return np.clip(x, min if low is None else low, max if high is None else high).astype(x.dtype)


def gemm(x, w, b=0, alpha=1.0, beta=1.0, transA=0, transB=0):
    return alpha * np.matmul(np.float64(x), np.float64(w.T if transB else w)) + beta * np.asarray(b)


def batch_norm(x, scale, shift, mean, variance, epsilon=1e-5):
    s = along(scale / np.sqrt(np.float64(variance) + epsilon), 1, x.ndim)
    return x * s + along(shift, 1, x.ndim) - along(mean, 1, x.ndim) * s


def reshape(x, shape, allowzero=0):
    sizes = [x.shape[i] if s == 0 else int(s) for i, s in enumerate(np.asarray(shape))]
    return x.reshape(sizes)


def squeeze(x, axes=None):
    return np.squeeze(x, tuple(int(a) for a in axes)) if axes is not None else np.squeeze(x)


def unsqueeze(x, axes):
    return np.expand_dims(x, tuple(int(a) for a in np.asarray(axes).ravel()))


def shape_of(x, start=0, end=None):
    return np.array(x.shape[start:end], np.int64)


def sliced(x, starts, ends, axes=(0,), steps=(1,)):
    """Along one axis."""
    where = [slice(None)] * x.ndim
    where[int(axes[0])] = slice(int(starts[0]), int(ends[0]), int(steps[0]))
    return x[tuple(where)]


def mean(x, axes=None, keepdims=1):
    return np.mean(np.float64(x), tuple(int(a) for a in axes), keepdims=bool(keepdims))


def pad(x, pads, value=0, axes=None, mode="constant"):
    n = x.ndim
    if axes is not None:
        every = np.zeros(2 * n, np.int64)
        for i, axis in enumerate(axes):
            every[axis], every[axis + n] = pads[i], pads[i + len(axes)]
        pads = every
    value = 0 if value is None else np.asarray(value).item()
    return np.pad(x, [(int(pads[i]), int(pads[i + n])) for i in range(n)], constant_values=value)


def quant(x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
    """Quant of QONNX, which quantizes and dequantizes."""
    bits = int(np.asarray(bits).item())
    low = -2**(bits - 1) + (1 if narrow else 0) if signed else 0
    high = 2**(bits - 1) - 1 if signed else 2**bits - 1 - (1 if narrow else 0)
    q = np.clip(np.float64(np.rint(np.float32(x) / np.float32(scale) + np.float32(zero))), low, high)
    return (q - np.float64(zero)) * np.float64(scale)


def kind_of(array):
    return "u8" if np.asarray(array).dtype == np.uint8 else "s8" if np.asarray(array).dtype == np.int8 else "s32"


def q_linear(x, scale, zero=np.uint8(0), axis=1):
    return quantized(x, scale, zero, kind_of(zero), axis)


def dq_linear(q, scale, zero=0, axis=1):
    return dequantized(q, scale, zero, axis)


def q_conv(x, xs, xz, w, ws, wz, ys, yz, b=None, **a):
    bias = None if b is None else np.float64(b) * np.float64(xs) * np.float64(ws)
    return quantized(conv(dequantized(x, xs, xz), dequantized(w, ws, wz, 0), bias, **a), ys, yz, kind_of(yz))


def q_matmul(x, xs, xz, w, ws, wz, ys, yz):
    return quantized(dequantized(x, xs, xz) @ dequantized(w, ws, wz, 1), ys, yz, kind_of(yz))


def q_gemm(x, xs, xz, w, ws, wz, b, ys, yz, alpha=1.0, transA=0, transB=0):
    w = dequantized(w, ws, wz, 0 if transB else 1)
    bias = np.float64(b) * np.float64(xs) * np.float64(ws)
    return quantized(alpha * (dequantized(x, xs, xz) @ (w.T if transB else w) + bias), ys, yz, kind_of(yz))


def q_binary(operation):
    return lambda a, sa, za, b, sb, zb, sc, zc: quantized(
        operation(dequantized(a, sa, za), dequantized(b, sb, zb)), sc, zc, kind_of(zc))


def q_concat(ys, yz, *parts, axis):
    real = [dequantized(*parts[i:i + 3]) for i in range(0, len(parts), 3)]
    return quantized(np.concatenate(real, axis), ys, yz, kind_of(yz))


def q_unary(operation):
    return lambda x, xs, xz, ys, yz, **a: quantized(operation(dequantized(x, xs, xz), **a), ys, yz, kind_of(yz))


def softmax(x, axis=-1, **_):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


OPERATORS = {
    "QuantizeLinear": q_linear, "DequantizeLinear": dq_linear, "Quant": quant, "Conv": conv, "MaxPool": max_pool,
    "AveragePool": average_pool, "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True), "Gemm": gemm,
    "MatMul": lambda a, b: np.float64(a) @ np.float64(b), "Relu": lambda x: np.maximum(x, 0), "Clip": clip,
    "Sigmoid": sigmoid, "Tanh": np.tanh, "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda x: x * hard_sigmoid(x, 1 / 6, 0.5),
    "LeakyRelu": lambda x, alpha=0.01: np.where(x < 0, alpha * x, x), "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b, "Div": lambda a, b: a / b, "BatchNormalization": batch_norm,
    "Identity": lambda x: x, "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "Flatten": lambda x, axis=1: x.reshape(len(x), -1),
    "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Transpose": lambda x, perm: x.transpose(perm),
    "ReduceMean": mean, "Pad": pad, "Softmax": softmax, "Shape": shape_of,
    "Slice": sliced, "GlobalMaxPool": lambda x: x.max((2, 3), keepdims=True), "Dropout": lambda x: x,
    "Cast": lambda x, to: x,
    "LogSoftmax": lambda x, axis: np.log(softmax(x, axis)),
    "QLinearReduceMean": q_unary(lambda x, axes, keepdims: x.mean(tuple(axes), keepdims=bool(keepdims))),
    "MultiThreshold": multi_threshold, "PRelu": lambda x, slope: np.where(x < 0, slope * x, x),
    "Abs": np.abs, "Neg": np.negative, "Min": np.minimum, "Max": np.maximum, "Erf": erf,
    "Celu": lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(x / alpha), x),
    "Selu": lambda x: 1.05070102214813232421875 * np.where(x < 0, 1.67326319217681884765625 * np.expm1(x), x),
    "Elu": lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(x), x),
    "Softplus": lambda x: np.log1p(np.exp(x)), "Softsign": lambda x: x / (1 + np.abs(x)),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))), "Gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "QuickGelu": lambda x, alpha=1.702: x * sigmoid(alpha * x),
    "Gather": lambda x, i, axis=0: np.take(x, i, axis), "QLinearConv": q_conv, "QLinearMatMul": q_matmul,
    "QGemm": q_gemm, "QLinearAdd": q_binary(np.add), "QLinearMul": q_binary(np.multiply), "QLinearConcat": q_concat,
    "QLinearGlobalAveragePool": q_unary(lambda x, channels_last=0: x.mean((2, 3), keepdims=True)),
    "QLinearAveragePool": q_unary(average_pool), "QLinearSigmoid": q_unary(sigmoid),
    "QLinearLeakyRelu": q_unary(lambda x, alpha=0.01: np.where(x < 0, alpha * x, x)),
    "QLinearSoftmax": q_unary(softmax),
}


class Net:
    """A graph with one input, float images of `images` (N, C, H, W) or (N, H, W, C)."""

    def __init__(self, images, opset=13, batch="N", seed=0):
        self.random = np.random.default_rng(seed)
        self.images, self.opset, self.batch = np.float64(images), opset, batch
        self.nodes, self.constants, self.values = [], {}, {"image": self.images}
        self.scales = {}  # of dequantized activations, and of what has the same numbers
        self.also_inputs = []  # initializers that are inputs of the graph, too
        self.domains = set()
        self.image_sizes = None  # as the file gives them, where those of the images are not theirs
        self.last_name = None

    def constant(self, array, node=False):
        """The name of a constant: an initializer, or with node=True a Constant node."""
        name = f"constant{len(self.values)}"
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.values[name] = array
        if node:
            self.nodes.append(helper.make_node("Constant", [], [name], name=name,
                                               value=numpy_helper.from_array(array, name)))
        else:
            self.constants[name] = array
        return name

    def add(self, operator, inputs, domain="", name=None, evaluate=True, **attributes):
        """Appends a node; its inputs are names, or arrays that become constants. The name of its output."""
        inputs = ["" if i is None else i if isinstance(i, str) else self.constant(i) for i in inputs]
        output = name or f"{operator.lower()}{len(self.nodes)}"
        self.domains.add(domain)
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"/{output}/{operator}", domain=domain,
                                           **attributes))
        if evaluate:
            given = [self.values[i] if i else None for i in inputs]
            self.values[output] = OPERATORS[operator](*given, **attributes)
        if operator in ("DequantizeLinear", "Quant"):
            self.scales[output] = self.values[inputs[1]]
        elif inputs and inputs[0] in self.scales:
            self.scales[output] = self.scales[inputs[0]]
        return output

    # quantization
    def range_of(self, tensor, kind, symmetric=False, scale=None):
        """Scale and zero point by the least and largest number on the images."""
        low, high = min(0, self.values[tensor].min()), max(0, self.values[tensor].max())
        if symmetric:
            scale = np.float32(scale or max(-low, high) / 127)
            return scale, TYPES[kind][0](128 if kind == "u8" else 0)
        scale = np.float32(scale or (high - low) / 255)
        bottom = TYPES[kind][1]
        return scale, TYPES[kind][0](np.clip(np.rint(bottom - low / scale), bottom, bottom + 255))

    def q(self, tensor, kind="u8", **how):
        scale, zero = self.range_of(tensor, kind, **how)
        return self.add("QuantizeLinear", [tensor, scale, zero]), scale, zero

    def qdq(self, tensor, kind="u8", **how):
        codes, scale, zero = self.q(tensor, kind, **how)
        return self.add("DequantizeLinear", [codes, scale, zero])

    def quant(self, tensor, scale, bits=8, signed=1, narrow=0, domain="qonnx.custom_op.general"):
        return self.add("Quant", [tensor, np.float32(scale), np.float32(0), np.float32(bits)], domain=domain,
                        signed=signed, narrow=narrow, rounding_mode="ROUND")

    def real_weights(self, shape):
        return np.float32(self.random.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def weight_scale(self, weights, axis=None):
        if axis is None:
            return np.float32(np.abs(weights).max() / 127)
        others = tuple(d for d in range(weights.ndim) if d != axis)
        return np.float32(np.abs(weights).max(others) / 127)

    def weights(self, shape, axis=0, form="int8", zero=0):
        """A dequantized constant. form: int8 (DequantizeLinear of integers), float (QuantizeLinear of numbers before
        it), uint8 (integers with zero point 128)."""
        real = self.real_weights(shape)
        scale = self.weight_scale(real, axis)
        kind = "u8" if form == "uint8" else "s8"
        zeros = np.full(scale.shape, 128 if form == "uint8" else zero, TYPES[kind][0])
        where = {} if axis is None else {"axis": axis}
        codes = real if form == "float" else quantized(real, scale, zeros, kind, axis)
        if form == "float":
            codes = self.add("QuantizeLinear", [codes, scale, zeros], **where)
        return self.add("DequantizeLinear", [codes, scale, zeros], **where)

    def conv(self, tensor, channels, size=3, axis=0, form="int8", bias="units", **attributes):
        """A convolution with quantized weights, its output without a scale."""
        inputs = self.values[tensor].shape[1] // attributes.get("group", 1)
        weights = self.weights((channels, inputs, size, size), axis, form)
        return self.add("Conv", [tensor, weights] + self.bias(channels, bias, tensor, weights), **attributes)

    def bias(self, channels, form, tensor, weights):
        """A bias for weights that were dequantized. form: units (numbers that are multiples of the accumulator's), s32
        (the same as integers), float (any numbers), s8 (integers with a scale of their own), none."""
        real = np.float32(self.random.normal(size=channels) * 0.3)
        if form == "none":
            return []
        if form == "float":
            return [real]
        if form == "s8":
            scale = np.float32(np.abs(real).max() / 127)
            return [self.add("DequantizeLinear", [quantized(real, scale, 0, "s8"), scale, np.int8(0)])]
        scale = np.broadcast_to(np.float32(self.scales[tensor] * self.scales[weights]).ravel(), channels)
        codes = quantized(real, scale, 0, "s32", 0)
        if form == "units":
            return [np.float32(codes * np.float64(scale))]
        return [self.add("DequantizeLinear", [codes, scale, np.zeros(channels, np.int32)], axis=0)]

    def classifier(self, tensor, classes=5, bias="units"):
        """Flattens and multiplies by a matrix, its output without a scale."""
        flat = self.add("Flatten", [tensor])
        weights = self.weights((classes, self.values[flat].shape[1]), 0)
        return self.add("Gemm", [flat, weights] + self.bias(classes, bias, flat, weights), transB=1)

    # the file
    def save(self, path, output, check=True, image_type=TensorProto.FLOAT):
        shape = [self.batch] + list(self.image_sizes or self.images.shape[1:])
        inputs = [helper.make_tensor_value_info("image", image_type, shape)]
        for name in self.also_inputs:
            array = self.constants[name]
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype)
                                                        if hasattr(helper, "np_dtype_to_tensor_dtype")
                                                        else numpy_helper.from_array(array).data_type, array.shape))
        outputs = [helper.make_tensor_value_info(o, TensorProto.FLOAT,
                                                 ["M"] + list(np.shape(self.values.get(o, [0]))[1:]))
                   for o in output.split()]
        initializers = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, initializers)
        imports = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1)
                                                           for d in sorted(self.domains - {""})]
        model = helper.make_model(graph, opset_imports=imports, producer_name="tests")
        model.ir_version = 8
        if check and self.opset <= 17 and self.domains <= {""}:
            checker.check_model(model)
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
