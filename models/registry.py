"""The tables that say what networks of our own and which initial weights there are; read without MXNet."""

from collections import namedtuple

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
    'xavier': Start('avg', 2, False),              # MXNet's Xavier(magnitude=2), Embedding Expansion, DeepEmbedding
    'glorot_uniform': Start('avg', 3, False),      # Ranking Regularizer's embedding layer
    'he_truncated': Start('truncated', 2, False),  # Heated-Up Softmax: TensorFlow 1's variance_scaling_initializer
    'caffe_uniform': Start('in', 3, False),        # HDC: Caffe's "xavier"
    'torch_linear': Start('in', 1, True),          # SST: PyTorch's Linear
}
