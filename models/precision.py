"""The trunk in float16 while it trains; everything else, and every weight that is kept, stays float32."""

import contextlib

from core.contracts import Out
from core.errors import UserError
from core.gluon_internals import children, own_parameters
from core.runtime import gluon
from models import heads


def check(dtype: str, ctx: list) -> None:
    """UserError for float16 on a CPU, for which MXNet has no convolution and no matrix product in float16."""
    if dtype == 'float16' and any(device.device_type == 'cpu' for device in ctx):
        raise UserError('--dtype=float16 needs a GPU: MXNet has no float16 convolution for a CPU. Fix: --gpu_idx=0 '
                        'where there is one, or --dtype=float32')


@contextlib.contextmanager
def half(block):
    """While it lasts, a graph that is traced casts the weights of the layers in `block` to float16 before it uses them.

    BatchNorm takes float32 weights beside float16 maps, and computes its statistics in float32.
    """
    layers = [layer for layer in every(block) if own_parameters(layer) and not isinstance(layer, gluon.nn.BatchNorm)]
    for layer in layers:
        layer.hybrid_forward = casting(layer.hybrid_forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.hybrid_forward


def casting(forward):
    """`forward` of a layer, given its weights in float16."""
    def hybrid_forward(F, x, *args, **weights):
        return forward(F, x, *args, **{name: F.cast(weight, 'float16') for name, weight in weights.items()})
    return hybrid_forward


def every(block):
    """A block and all blocks inside it."""
    return [block, *(inner for child in children(block) for inner in every(child))]


class Half(gluon.HybridBlock):
    """An EmbeddingNet whose trunk computes in float16, for training; its parameters are the network's own, in float32.

    Inputs: as EmbeddingNet. Output: Out(embedding (n, D), feature), float32, as are all gradients of weights. The
    network itself goes on computing in float32, so what is evaluated, saved and exported does not know of this.

    Parameters
    ----------
    net : EmbeddingNet

    Raises
    ------
    UserError : a trunk that is a finished graph, in which no weight can be cast
    """

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        if any(isinstance(block, gluon.SymbolBlock) for block in every(net.trunk)):
            raise UserError(f'--dtype=float16: the trunk of --backbone={net.backbone} is cut from a finished graph, '
                            'whose types are fixed. Fix: --dtype=float32, or another --backbone')
        self.ready, self.normalise, self.feature = net.ready, net.normalise, net.feature
        self.trunk, self.head, self.offset, self.scale = net.trunk, net.head, net.offset, net.scale
        self.params.update(net.params)
        self.hybridize(static_alloc=True)

    def __call__(self, image):
        self.ready()
        out = super().__call__(image)
        return Out(*out) if isinstance(out, (list, tuple)) else Out(out, None)

    def hybrid_forward(self, F, x, offset, scale):
        with half(self.trunk):
            maps = self.trunk(F.cast(self.normalise(F, x, offset, scale), 'float16'))
        return heads.outputs(F, self.head, [F.cast(each, 'float32') for each in maps], self.feature)
