"""LeNet as in Heated-Up Softmax Embedding's MNIST experiment (Zhang et al. 2018, https://arxiv.org/abs/1809.04157)."""

from __future__ import annotations

from core.runtime import gluon

nn = gluon.nn


class Grey(gluon.HybridBlock):
    """Mean over the colour channels: (n, 3, H, W) -> (n, 1, H, W).

    Pictures travel as RGB; for MNIST the three channels are equal, so the network is the original's with one channel.
    """

    def hybrid_forward(self, F, x):
        return F.mean(x, axis=1, keepdims=True)


class AsMap(gluon.HybridBlock):
    """(n, F) -> (n, F, 1, 1), so that heads treat it as a feature map."""

    def hybrid_forward(self, F, x):
        return F.reshape(x, shape=(0, -1, 1, 1))


def lenet(**kwargs) -> gluon.HybridBlock:
    """Convolution 5x5x32 (same size), ReLU, maximum over 2x2, convolution 5x5x64, ReLU, maximum over 2x2, FC 500, ReLU.

    The bottleneck of D numbers that follows is the head (`bn`, `linear` or `l2`).
    Inputs: (n, 3, 28, 28). Outputs: (n, 500, 1, 1).
    """
    features = nn.HybridSequential(**kwargs)
    with features.name_scope():
        features.add(Grey(),
                     nn.Conv2D(32, 5, padding=2, activation='relu'), nn.MaxPool2D(2, 2),
                     nn.Conv2D(64, 5, padding=2, activation='relu'), nn.MaxPool2D(2, 2),
                     nn.Dense(500, activation='relu'), AsMap())
    return features
