"""BatchNorm and the ReLU behind it as one operator: the same numbers, a fifth less time for MobileNets on a CPU."""

import os

from core.gluon_internals import activation, children, named_children, options, replace_child
from core.runtime import gluon, mx

nn = gluon.nn


class Fused(gluon.HybridBlock):
    """Stands where a ReLU stood that the BatchNorm before it now computes."""

    def __init__(self, relu, **kwargs):
        super().__init__(**kwargs)
        self.relu = relu

    def hybrid_forward(self, F, x):
        return x


def possible(ctx) -> bool:
    """Whether the fused operator exists on all of `ctx`: only MXNet's oneDNN part has it, for CPUs."""
    return (all(device.device_type == 'cpu' for device in ctx) and mx.runtime.Features().is_enabled('MKLDNN')
            and os.environ.get('MXNET_MKLDNN_ENABLED', '1') != '0')


def fuse(block, active: bool, rows=()) -> None:
    """Fuse (active=True) or take apart every BatchNorm, ReLU pair behind a convolution in the rows of blocks inside
    `block`.

    Behind a slice or a transposition the gradient of the fused operator is wrong in MXNet 1.9.1: its mask has another
    memory layout than what the convolution behind it hands back. So the layer before the pair has to be known.

    A row is a HybridSequential or one of the types `rows`. Names of parameters do not change. BatchNorm with frozen
    statistics stays as it is. ONNX has no such operator: take the pairs apart before an export.
    """
    if isinstance(block, (nn.HybridSequential, *rows)):
        blocks = named_children(block)
        for before, norm, (name, relu) in zip(blocks.values(), list(blocks.values())[1:], list(blocks.items())[2:]):
            if active and isinstance(before, nn.Conv2D) and _pair(norm, relu):
                norm.fuse_relu = True
                replace_child(block, name, Fused(relu))
            elif not active and isinstance(relu, Fused):
                norm.fuse_relu = False
                replace_child(block, name, relu.relu)
    for child in children(block):
        fuse(child, active, rows)


def _pair(norm, relu):
    return (isinstance(norm, nn.BatchNorm) and isinstance(relu, nn.Activation) and activation(relu) == 'relu'
            and options(norm)['axis'] == 1 and not options(norm)['use_global_stats'])
