"""The networks of the Python original in PyTorch, after its module names, and their way to a checkpoint and to INT8.

Widths are the original's divided by `narrow`, which keeps the structure and makes a test of seconds.
"""
from collections import OrderedDict
import warnings

import torch
from torch import nn
import torch.ao.nn.quantized as nnq
from torch.ao.quantization import (DeQuantStub, QuantStub, convert, disable_observer, fuse_modules, fuse_modules_qat,
                                   get_default_qat_qconfig, prepare_qat)

MEAN, DEVIATION = (torch.tensor(v).view(3, 1, 1) for v in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)))
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def block(i, o, kernel=3, stride=1, padding=1, groups=1):
    """A convolution without bias, batch norm and ReLU, under the names that are fused."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(i, o, kernel, stride, padding, groups=groups, bias=False),
                                     bn=nn.BatchNorm2d(o), relu=nn.ReLU(inplace=True)))


def dense(i, o, **rest):
    return nn.Sequential(OrderedDict(linear=nn.Linear(i, o), relu=nn.ReLU(inplace=True), **rest))


class Original(nn.Module):
    """A chain of modules between two stubs; `order` names them as forward calls them."""

    def __init__(self, order, stubs=True):
        super().__init__()
        if stubs:
            self.quant, self.dequant = QuantStub(), DeQuantStub()
        for name, module in order:
            self.add_module(name, module)
        self.order, self.stubs = [name for name, _ in order], stubs

    def forward(self, x):
        x = self.quant(x) if self.stubs else x
        for name in self.order:
            x = getattr(self, name)(x)
        return self.dequant(x) if self.stubs else x

    def fuse(self, fuse):
        for module in [m for m in self.modules() if isinstance(m, nn.Sequential)]:
            names = [name for name in ("conv", "linear", "bn", "relu") if name in module._modules]
            fuse(module, names, inplace=True)


def alexnet(n):
    w = [64 // n, 192 // n, 384 // n, 256 // n, 256 // n]
    return Original([("conv1", block(3, w[0], 5, 2, 2)), ("pool1", nn.MaxPool2d(2, 2)),
                     ("conv2", block(w[0], w[1], 5, 1, 2)), ("pool2", nn.MaxPool2d(2, 2)),
                     ("conv3", block(w[1], w[2])), ("conv4", block(w[2], w[3])), ("conv5", block(w[3], w[4])),
                     ("pool3", nn.MaxPool2d(2, 2)), ("flat", nn.Flatten()),
                     ("fc1", dense(w[4] * 4, 512 // n, dropout=nn.Dropout(0.5))),
                     ("fc2", dense(512 // n, 256 // n, dropout=nn.Dropout(0.5))), ("fc3", nn.Linear(256 // n, 10))])


def vgg(name, n):
    order, channels = [], 3
    for b, (depth, width) in enumerate(zip(VGG[name], (64, 128, 256, 512, 512)), 1):
        for i in range(1, depth + 1):
            order.append((f"conv{b}_{i}", block(channels, width // n)))
            channels = width // n
        order.append((f"pool{b}", nn.MaxPool2d(2, 2)))
    if name == "vgg19":
        return Original([*order, ("flat", nn.Flatten()), ("fc", nn.Linear(channels, 10))])
    return Original([*order, ("avgpool", nn.AdaptiveAvgPool2d((1, 1))), ("flat", nn.Flatten()),
                     ("fc1", dense(channels, 512 // n)), ("fc2", nn.Linear(512 // n, 10))])


def lenet5(n):
    """Has neither stubs nor fused modules: its ReLUs stand alone, and the observers see what lies before them."""
    return Original([("conv1", nn.Conv2d(3, 6, 5)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2, 2)),
                     ("conv2", nn.Conv2d(6, 16, 5)), ("relu2", nn.ReLU()), ("pool2", nn.MaxPool2d(2, 2)),
                     ("flat", nn.Flatten()), ("fc1", nn.Linear(400, 120)), ("relu3", nn.ReLU()),
                     ("fc2", nn.Linear(120, 84)), ("relu4", nn.ReLU()), ("fc3", nn.Linear(84, 10))], stubs=False)


def nin(n):
    w = 192 // n
    pool = lambda: nn.MaxPool2d(3, stride=2, padding=1)
    return Original([("conv1", block(3, w, 5, 1, 2)), ("cccp1", block(w, 160 // n, 1, 1, 0)),
                     ("cccp2", block(160 // n, 96 // n, 1, 1, 0)), ("pool1", pool()),
                     ("conv2", block(96 // n, w, 5, 1, 2)), ("cccp3", block(w, w, 1, 1, 0)),
                     ("cccp4", block(w, w, 1, 1, 0)),
                     ("pool2", pool()), ("conv3", block(w, w)), ("cccp5", block(w, w, 1, 1, 0)),
                     ("cccp6", block(w, 10, 1, 1, 0)), ("avgpool", nn.AdaptiveAvgPool2d((1, 1))),
                     ("flat", nn.Flatten())])


def mobilenetv1(n):
    order, channels = [("conv1", block(3, 32 // n))], 32 // n
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for i, width in enumerate(widths, 1):
        order.append((f"dw{i}", block(channels, channels, 3, 2 if i in (2, 4, 6, 12) else 1, 1, groups=channels)))
        order.append((f"pw{i}", block(channels, width // n, 1, 1, 0)))
        channels = width // n
    return Original([*order, ("avgpool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()),
                     ("fc", nn.Linear(channels, 10))])


def network(name, narrow):
    return vgg(name, narrow) if name in VGG else globals()[name](narrow)


def random_images(count, generator):
    """Images of pixels 0 to 255 (count, 3, 32, 32), u8, each a brightness and a contrast of its own."""
    noise = torch.randn(count, 3, 32, 32, generator=generator) * 60 * torch.rand(count, 1, 1, 1, generator=generator)
    smooth = nn.functional.interpolate(torch.rand(count, 3, 4, 4, generator=generator) * 255, size=(32, 32))
    return (smooth + noise).clamp(0, 255).round().to(torch.uint8)


def normalized(images):
    return (images.float() / 255 - MEAN) / DEVIATION


def trained(name, backend, narrow=1, steps=3, batch=8, observe=False, keep_norms=False):
    """The network behind prepare_qat and a few steps of training. observe: its observers are still on. keep_norms:
    batch norms stay in the modules; the original folds them before."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    model = network(name, narrow)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():  # as after training in float: statistics of the images, weights of all sizes
        for norm in norms:
            norm.momentum = None  # the mean of all batches
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.5, 0.5, generator=generator)
        for _ in range(3):
            model(normalized(random_images(batch, generator)))
        for norm in norms:
            norm.momentum = 0.1
    model.train(keep_norms)
    model.fuse(fuse_modules_qat if keep_norms else fuse_modules)
    model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of reduce_range, which the default of fbgemm has
        model.qconfig = get_default_qat_qconfig(backend)
        prepare_qat(model, inplace=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    for step in range(steps):
        if step == steps - 1 and not observe:
            model.apply(disable_observer)
        images = normalized(random_images(batch, generator))
        labels = torch.randint(0, 10, (batch,), generator=generator)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def converted(model, image_scale, image_zero_point):
    """The INT8 network that PyTorch runs with QNNPACK, which Debian's build has; FBGEMM it has not. One without a
    QuantStub, which PyTorch cannot run, gets this scale of the images."""
    torch.backends.quantized.engine = "qnnpack"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = convert(model, inplace=False).eval()
    if not made.stubs:
        made.quant = nnq.Quantize(torch.tensor([image_scale]), torch.tensor([image_zero_point]), torch.quint8)
        made.dequant, made.stubs = nnq.DeQuantize(), True
    return made


def codes(model, images):
    """Codes of every module's output by name, the image's as `quant`, as PyTorch computes them."""
    found, hooks = {}, []
    for name in ("quant", *model.order):
        keep = lambda module, inputs, output, name=name: found.__setitem__(name, output.int_repr().numpy().astype("i8"))
        hooks.append(getattr(model, name).register_forward_hook(keep))
    with torch.no_grad():
        model(normalized(images))
    for hook in hooks:
        hook.remove()
    return found
