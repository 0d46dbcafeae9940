"""The tables that say what networks of our own and which initial weights there are; read without MXNet."""

from __future__ import annotations

import functools
import pathlib
from collections import namedtuple

from core.errors import fold, pick_name
from models.preprocessing import HALF, LITE

Own = namedtuple('Own', 'make preprocessing weights summary')
Own.__doc__ = """A backbone of this folder.

make : function(size, prefix) -> the network for pictures of size x size: a row of blocks, or a network whose
    `trunk_blocks()` are the blocks to keep
preprocessing : Preprocessing of its weights; without weights, what it should get
weights : None, or a function () -> {name: NumPy array}, such as weights.Download(address, sha256)
summary : a few words for --help
"""


def _convnet(size, prefix):
    from models.convnet import convnet
    return convnet(prefix=prefix)


def _lenet(size, prefix):
    from models.lenet import lenet
    return lenet(prefix=prefix)


def _efficientnet_lite0(size, prefix):
    from models.efficientnet import EfficientNetLite0
    return EfficientNetLite0(size, prefix=prefix)


def _efficientnet_lite0_weights():
    from models.efficientnet import package_weights
    return package_weights()


OWN = {
    'convnet': Own(_convnet, HALF._replace(size=48), None, 'from scratch, 28 to 64 px'),
    'lenet': Own(_lenet, HALF._replace(size=28), None, 'MNIST, from scratch'),
    'efficientnet_lite0': Own(_efficientnet_lite0, LITE, _efficientnet_lite0_weights,
                              'ImageNet weights from a package, no download'),
}

Start = namedtuple('Start', 'kind size random_bias')
Start.__doc__ = """Initial weights of a layer with F inputs and G outputs; biases start at 0 unless random_bias.

kind : 'avg': uniform +-sqrt(2 size / (F + G)); 'in': uniform +-sqrt(size / F); 'truncated': a normal of variance
    size / F, cut at two deviations
random_bias : True: biases are uniform +-1/sqrt(F)
"""

STARTS = {
    'xavier': Start('avg', 2, False),              # MXNet's Xavier(magnitude=2), Embedding Expansion, margin loss
    'glorot_uniform': Start('avg', 3, False),      # Ranking Regularizer's embedding layer
    'he_truncated': Start('truncated', 2, False),  # Heated-Up Softmax: TensorFlow 1's variance_scaling_initializer
    'caffe_uniform': Start('in', 3, False),        # HDC: Caffe's "xavier"
    'torch_linear': Start('in', 1, True),          # SST, N-pair: PyTorch's Linear
}

# Names of the zoo inside MXNet (its get_model does not publish them).
GLUON = tuple(f'{stem}{tail}' for stem, tails in (
    ('resnet', ('18_v1', '34_v1', '50_v1', '101_v1', '152_v1', '18_v2', '34_v2', '50_v2', '101_v2', '152_v2')),
    ('vgg', ('11', '13', '16', '19', '11_bn', '13_bn', '16_bn', '19_bn')), ('alexnet', ('',)),
    ('densenet', ('121', '161', '169', '201')), ('squeezenet', ('1.0', '1.1')), ('inceptionv3', ('',)),
    ('mobilenet', ('1.0', '0.75', '0.5', '0.25')), ('mobilenetv2_', ('1.0', '0.75', '0.5', '0.25'))) for tail in tails)

# Names that the papers use for networks of the zoos.
ALIASES = {'inception_bn': 'bninception', 'bn_inception': 'bninception', 'inceptionv1': 'googlenet',
           'inception_v1': 'googlenet', 'inception_v3': 'inceptionv3', 'inception_v4': 'inceptionv4',
           'inc3': 'inceptionv3', 'inc4': 'inceptionv4', 'mobile': 'mobilenet1.0', 'mobilenet': 'mobilenet1.0',
           'dmlgoogle': 'inceptionv3'}

def canonical(name: str) -> str:
    """The registered spelling of a backbone's name, whether there is such a backbone or not.

    >>> canonical('Inception-V1')
    'googlenet'
    """
    key = fold(name)
    return ALIASES.get(key, key)


@functools.lru_cache(maxsize=1)
def _zoo_names():
    """Classifiers of GluonCV and gluoncv2: a file, as asking them takes seconds."""
    return pathlib.Path(__file__).with_name('zoo_names.txt').read_text(encoding='utf-8').split()


def names() -> list[str]:
    """Every legal --backbone."""
    return sorted({*OWN, *ALIASES, *GLUON, *_zoo_names()})


def resolve(name: str) -> str:
    """The canonical name of a backbone for any spelling. Raises UserError with close matches for an unknown one.

    Example
    -------
    >>> resolve('Inception-V1'), resolve('resnet50-v2')
    ('googlenet', 'resnet50_v2')
    """
    key = canonical(name)
    return key if key in names() else canonical(pick_name('--backbone', name, names()))
