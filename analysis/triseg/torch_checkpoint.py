"""Checkpoints of quantization-aware training in PyTorch: the state dict of a model behind prepare_qat, before convert.

The integers are those that torch.ao.quantization.convert makes; all steps are in float32, as there.
"""
import dataclasses
import io

import numpy

from triseg.files import Error, name_of, open_input, reason

BACKENDS = ("fbgemm", "qnnpack")
LARGEST = {"fbgemm": 127, "qnnpack": 255}  # the code that the largest calibrated activation gets
EPSILON = numpy.float32(1.1920929e-07)  # the least scale, where a checkpoint has no `eps` of its own
BATCH_NORM_EPSILON = numpy.float32(1e-5)
AVERAGING = numpy.float32(0.01)  # of the moving averages of an observer that is still on

OBSERVER = ("activation_post_process.min_val", "activation_post_process.max_val")
BESIDE = ("fake_quant_enabled", "observer_enabled", "scale", "zero_point", "activation_post_process.eps")
BATCH_NORM = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


@dataclasses.dataclass
class Parameters:
    """What convert makes of a convolution or a fully connected layer."""
    weights: numpy.ndarray  # (O, I / groups, height, width) or (O, I): s8
    weight_scale: numpy.ndarray  # (O): f32
    bias: numpy.ndarray  # (O): f32, real
    scale: numpy.float32  # of the output
    zero_point: int


class Checkpoint:
    """The tensors of a checkpoint by key. All that is asked for is noted, so that refuse() can name what is missing and
    what nobody asked for."""

    def __init__(self, path, backend):
        """Needs PyTorch; loads tensors alone, never code. Raises Error."""
        import torch  # here, so that everything else of the package does without
        self.path, self.backend = name_of(path), backend
        try:
            with open_input(path, mode="rb") as file:
                content = io.BytesIO(file.read())
        except OSError as error:
            raise Error(f"{self.path}: {reason(error)}") from error
        try:
            state = torch.load(content, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever damaged bytes make of it
            raise Error(f"{self.path}: not a PyTorch checkpoint that holds tensors alone: "
                        f"{str(error).split(chr(10))[0][:200]}") from error
        if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
            raise Error(f"{self.path}: expected a state dict, a tensor a key: save model.state_dict()")
        self.tensors = {str(key): value.detach().numpy() for key, value in state.items()}
        self.missing, self.asked = [], set()

    def has(self, key):
        return key in self.tensors

    def scale_of_images(self):
        """Scale and zero point of the QuantStub `quant`, or None: the model has none."""
        if not any(key.startswith("quant.") for key in self.tensors):
            return None
        return self._activation("quant")

    def parameters(self, module):
        """The Parameters of a module, None if a key is missing."""
        weight = self._get(f"{module}.weight")
        channels = None if weight is None else weight.shape[:1]
        bias = self._get(f"{module}.bias", channels, required=False)
        norm = None
        if any(self.has(f"{module}.{key}") for key in BATCH_NORM):
            norm = [self._get(f"{module}.{key}", channels) for key in BATCH_NORM]
            self.asked.add(f"{module}.bn.num_batches_tracked")
        ends = self._ends(f"{module}.weight_fake_quant")
        output = self._activation(module)
        if weight is None or ends is None or output is None or any(part is None for part in norm or []):
            return None
        if norm:
            weight, bias = fold_batch_norm(weight, bias, *norm)
        elif bias is None:
            bias = numpy.zeros(len(weight), "f4")
        scale = self._weight_scale(module, weight, *ends)
        return Parameters(quantize(weight, scale), scale, bias, *output)

    def refuse(self, network):
        """Raises Error if keys are missing, or are there that the network does not have."""
        ignored = lambda key: ".dropout.activation_post_process." in key  # observed by some versions, used by none
        unexpected = [key for key in self.tensors if key not in self.asked and not ignored(key)]
        if self.missing or unexpected:
            found = {"missing": self.missing, "unexpected": unexpected}
            raise Error(f"{self.path}: not a checkpoint of {network} behind prepare_qat: " +
                        "; ".join(f"{what} {_some(keys)}" for what, keys in found.items() if keys))

    def _get(self, key, shape=None, required=True):
        """The tensor, which has to be finite and of this shape, if one is given. Notes the key."""
        self.asked.add(key)
        if key in self.tensors:
            value = self.tensors[key]
            if value.dtype.kind == "f" and not numpy.isfinite(value).all():
                raise Error(f"{self.path}: {key}: not finite" +
                            (": its observer has seen no image" if key.endswith(OBSERVER) else ""))
            if shape is not None and value.shape != shape:
                raise Error(f"{self.path}: {key}: expected the shape {shape}, found {value.shape}")
            return value
        if required:
            self.missing.append(key)
        return None

    def _ends(self, quantizer):
        """Least and largest value that an observer has seen."""
        self.asked.update(f"{quantizer}.{key}" for key in BESIDE)
        least, largest = (self._get(f"{quantizer}.{key}") for key in OBSERVER)
        if least is None or largest is None:
            return None
        if not least.size or least.shape != largest.shape:
            raise Error(f"{self.path}: {quantizer}: its observer has seen no image")
        return least.astype("f4"), largest.astype("f4")

    def _number(self, key, otherwise):
        value = self.tensors.get(key)
        return otherwise if value is None or value.size != 1 else value.reshape(-1)[0]

    def _epsilon(self, quantizer):
        return numpy.float32(self._number(f"{quantizer}.activation_post_process.eps", EPSILON))

    def _activation(self, module):
        """Scale and zero point of a module's output, None if a key is missing."""
        quantizer = f"{module}.activation_post_process"
        ends = self._ends(quantizer)
        if ends is None:
            return None
        scale, zero_point = affine(*(numpy.float32(end.reshape(-1)[0]) for end in ends), LARGEST[self.backend],
                                   self._epsilon(quantizer))
        trained = self._number(f"{quantizer}.scale", scale)
        if not 0.75 < trained / scale < 1.5:  # half or twice: the largest code is 255 where it should be 127, or 127
            raise Error(f"{self.path}: {quantizer}: trained with the scale {trained:.6g}, that of {self.backend} is "
                        f"{scale:.6g}: give the --backend that it was trained with")
        return scale, zero_point

    def _weight_scale(self, module, weight, least, largest):
        """The scale of each channel's weights, by what the observer has seen; one that is still on sees these, too."""
        quantizer = f"{module}.weight_fake_quant"
        by_channel = self.backend == "fbgemm"
        expected, other = (len(weight), 1) if by_channel else (1, len(weight))
        if least.size != expected:
            raise Error(f"{self.path}: {quantizer}: expected {expected} scales under {self.backend}, found "
                        f"{least.size}" +
                        (": give the --backend that it was trained with" if least.size == other else ""))
        if self._number(f"{quantizer}.observer_enabled", 0):
            axes = tuple(range(1, weight.ndim)) if by_channel else None
            least, largest = (end.reshape(-1 if by_channel else ()) for end in (least, largest))
            least = least + AVERAGING * (weight.min(axes) - least)
            largest = largest + AVERAGING * (weight.max(axes) - largest)
        return numpy.broadcast_to(symmetric(least, largest, self._epsilon(quantizer)), len(weight)).astype("f4")


def fold_batch_norm(weight, bias, gamma, beta, mean, variance):
    """Weight and bias of a convolution with the batch norm behind it in them."""
    inverse = numpy.float32(1) / numpy.sqrt(variance + BATCH_NORM_EPSILON)
    bias = numpy.zeros_like(mean) if bias is None else bias
    return weight * (gamma * inverse).reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * inverse * gamma + beta


def symmetric(least, largest, epsilon):
    """The scale of signed codes -128 to 127 with zero point 0."""
    largest = numpy.maximum(numpy.maximum(-least, largest), numpy.float32(0))
    return numpy.maximum(largest / numpy.float32(127.5), epsilon)


def affine(least, largest, codes, epsilon=EPSILON):
    """Scale and zero point of the codes 0 to `codes`; 0 always has a code."""
    zero = numpy.float32(0)
    least = min(least, zero)
    scale = max((max(largest, zero) - least) / numpy.float32(codes), epsilon)
    return scale, int(numpy.clip(-numpy.rint(least / scale), 0, codes))


def quantize(weight, scale):
    """Signed codes of weights, their scale given by channel."""
    inverse = (numpy.float32(1) / scale).reshape(-1, *[1] * (weight.ndim - 1))
    return numpy.clip(numpy.rint(weight * inverse), -128, 127).astype("i1")


def multipliers(input_scale, weight_scale, output_scale):
    """What accumulators are multiplied by, with each step rounded to float32 as in QNNPACK."""
    return weight_scale * numpy.float32(input_scale) * (numpy.float32(1) / numpy.float32(output_scale))


def bias_codes(bias, input_scale, weight_scale):
    """The bias at scale input_scale weight_scale, as QNNPACK rounds it; in double, for what leaves 32 bits."""
    return numpy.rint(bias * (numpy.float32(1) / (numpy.float32(input_scale) * weight_scale))).astype("f8")


def _some(keys):
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
